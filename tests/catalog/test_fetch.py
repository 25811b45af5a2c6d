"""Fetching into the cache: whole, verified, once; what a cut leaves is gone on with (issue 11, point 6)."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.catalog.server import continuing, drip, stall, times
from zoo.catalog import address, card, fetch, http, local
from zoo.catalog import cache as caches
from zoo.errors import ZooError

LARGE = "/zoo/gat.mine/model.safetensors"


def pin_of(folder):
    return hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()


def same(folder, source):
    """Every file that the card lists, and the card."""
    names = ["card.json", *card.read(source)["files"]]
    return all((folder / name).read_bytes() == (source / name).read_bytes() for name in names)


def test_an_address_needs_no_setting(cache, server, gat):
    found = local(f"{server.url}/zoo/gat.mine")
    assert same(found, gat) and found.is_relative_to(cache / "models") and found.name == pin_of(gat)
    assert sorted(path.name for path in found.iterdir()) == ["card.json", "config.json", "model.safetensors"]


def test_only_the_card_is_asked_for_again_and_a_new_version_is_seen(cache, server, gat):
    first = local(f"{server.url}/zoo/gat.mine")
    server.asked.clear()
    assert local(f"{server.url}/zoo/gat.mine/") == first and server.paths() == ["/zoo/gat.mine/card.json"]
    (gat / "config.json").write_text('{"format": 1, "targets": "class"}')
    card.write(gat, {})
    second = local(f"{server.url}/zoo/gat.mine")
    assert second != first and same(second, gat) and first.is_dir()  # somebody may still read it


def test_a_pin_holds_and_asks_once(cache, server, gat):
    pinned = f"{server.url}/zoo/gat.mine#sha256={pin_of(gat)}"
    found = local(pinned)
    assert same(found, gat)
    server.asked.clear()
    assert local(pinned) == found and not server.asked
    (found / "card.json").write_text("{}")
    with pytest.raises(ZooError, match="has been changed since it was fetched; delete"):
        local(pinned)


def test_a_wrong_pin_is_refused(cache, server, gat, visible):
    with pytest.raises(ZooError, match=r"gat.mine/card.json is not the pinned one: its sha256 is [0-9a-f]{64}, not 00"):
        local(f"{server.url}/zoo/gat.mine#sha256={'0' * 64}")
    assert visible() == [] and server.paths() == ["/zoo/gat.mine/card.json"]


@pytest.mark.parametrize("ranges", [True, False], ids=["range", "no range"])
def test_a_cut_is_gone_on_with(cache, server, gat, ranges):
    server.wrong[LARGE] = times(2, lambda handler: handler.send_file(stop=120_000))
    if not ranges:  # the server starts over each time
        server.wrong[LARGE] = lambda handler: handler.send_file(
            ranges=False, stop=120_000 if len(server.paths(LARGE)) < 3 else None
        )
    assert same(local(f"{server.url}/zoo/gat.mine"), gat)
    assert [wanted for path, wanted in server.asked if path == LARGE] == [
        None,
        "bytes=120000-",
        ["bytes=120000-", "bytes=240000-"][ranges],
    ]


def test_a_later_process_goes_on_too(cache, server, gat, visible):
    server.wrong[LARGE] = lambda handler: handler.send_file(stop=20_000)
    with pytest.raises(ZooError, match=r"cannot be had: the answer ended after 80,000 of 300,000 bytes \(4 tries\)"):
        local(f"{server.url}/zoo/gat.mine")
    assert visible() == []
    server.wrong.clear()
    server.asked.clear()
    assert same(local(f"{server.url}/zoo/gat.mine"), gat)
    assert (LARGE, "bytes=80000-") in server.asked and visible()


def test_what_is_left_of_another_version_is_not_believed(cache, server, gat):
    part = fetch.Place.of(address.parse(f"{server.url}/zoo/gat.mine")).folder / f".fetching-{pin_of(gat)}"
    part.mkdir(parents=True)
    (part / ".model.safetensors.part").write_bytes(b"another" * 1000)
    (part / "config.json").write_bytes(b"broken")
    (part / ".config.json.part").write_bytes(b"longer than the whole of it")
    assert same(local(f"{server.url}/zoo/gat.mine"), gat)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_an_overloaded_server_is_asked_again(cache, server, gat, code):
    server.wrong[LARGE] = times(2, lambda handler: handler.refuse(code, Retry_After="3600"))
    assert same(local(f"{server.url}/zoo/gat.mine"), gat) and len(server.paths(LARGE)) == 3


def test_silence_is_a_cut(cache, server, gat, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=0.3, waits=(0, 0, 0)))
    server.wrong[LARGE] = times(1, stall(2))
    assert same(local(f"{server.url}/zoo/gat.mine"), gat)


def test_a_trickle_is_a_cut(cache, server, gat, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=0.4, waits=(), slowest=1000))
    server.wrong[LARGE] = drip
    with pytest.raises(ZooError, match=r"cannot be had: only \d+ bytes came in \d s \(1 try\)"):
        local(f"{server.url}/zoo/gat.mine")


def test_headers_that_trickle_are_a_cut(cache, server, gat, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=0.1, waits=(0,)))
    server.wrong[LARGE] = continuing
    with pytest.raises(ZooError, match=r"cannot be had: .* \(2 tries\)"):
        local(f"{server.url}/zoo/gat.mine")
    assert len(server.paths(LARGE)) == 2


def test_without_a_network_nobody_waits(cache, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ZooError, match=r"255.255.255.255/x is not in the cache: [^()]* cannot be had: [^()]*\. If you"):
        local("https://255.255.255.255/x")


def test_one_of_several_threads_fetches(cache, server, gat):
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(local, [f"{server.url}/zoo/gat.mine"] * 4))
    assert len(found) == 1 and same(found.pop(), gat) and len(server.paths(LARGE)) == 1


FETCH = "import sys; from zoo.catalog import local; print(local(sys.argv[1]))"


def test_one_of_several_processes_fetches_and_a_dead_one_holds_nothing(cache, server, gat, root):
    server.wrong[LARGE] = times(1, stall(60))
    env = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", FETCH, f"{server.url}/zoo/gat.mine"]
    first = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)  # it waits for the silent server
    try:
        while not server.paths(LARGE):
            assert first.poll() is None
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(local, f"{server.url}/zoo/gat.mine")
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
            first.kill()
            first.wait()
            assert same(second.result(timeout=20), gat) and len(server.paths(LARGE)) == 2
    finally:
        first.kill()
        first.wait()


HOLD = """
import sys, pathlib
from zoo import locks
file = locks.take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
input()
"""


def test_one_that_hangs_is_named(cache, server, gat, monkeypatch):
    place = fetch.Place.of(address.parse(f"{server.url}/zoo/gat.mine"))
    monkeypatch.setattr(caches, "STUCK", 0.05)
    monkeypatch.setattr(caches, "LOOK", 0.02)
    command = [sys.executable, "-c", HOLD, str(place.folder / caches.LOCK)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(
            ZooError, match=f"is being written by process {holder.pid} on .*added nothing for 0 minutes; end that"
        ):
            local(f"{server.url}/zoo/gat.mine")
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("name", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_takes_the_cache_only(cache, server, gat, monkeypatch, name):
    url = f"{server.url}/zoo/gat.mine"
    monkeypatch.setenv(name, "1")
    with pytest.raises(ZooError) as error:
        local(url)
    assert not server.asked
    assert f"{url} is not in the cache: {name}=1 forbids the network. If you have its folder from elsewhere" in str(
        error.value
    )
    where = str(error.value).split("put it at '")[1].split("'")[0]
    shutil.copytree(gat, where)
    assert same(local(url), gat) and same(local(f"{url}#sha256={pin_of(gat)}"), gat) and not server.asked


def test_without_a_network_the_cache_serves(cache, server, gat, caplog):
    url = f"{server.url}/zoo/gat.mine"
    found = local(url)
    server.wrong["/zoo/gat.mine/card.json"] = lambda handler: handler.refuse(503)
    assert local(url) == found and fetch.content(url) == card.read(gat)
    assert "cannot be had: the server answers 503 (4 tries). The version of it in the cache is taken" in caplog.text
    shutil.rmtree(cache)
    server.asked.clear()
    with pytest.raises(ZooError, match=r"is not in the cache: .* cannot be had: the server answers 503 \(1 try\)"):
        local(url)
    assert len(server.asked) == 1  # it was given up a moment ago


def test_a_card_is_told_without_the_weights(cache, server, gat, monkeypatch):
    assert fetch.content(f"{server.url}/zoo/gat.mine") == card.read(gat)
    assert fetch.content(f"{server.url}/zoo/gat.mine", pin_of(gat)) == card.read(gat)
    assert fetch.content(f"{server.url}{LARGE}") == card.read(gat)
    assert server.paths(".safetensors") == []
    local(f"{server.url}/zoo/gat.mine")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert fetch.content(f"{server.url}/zoo/gat.mine") == card.read(gat)


def test_a_cache_that_cannot_be_written(cache, server, gat, monkeypatch):
    cache.write_text("a file")
    with pytest.raises(
        ZooError, match=r"in the cache cannot be written \(Not a directory: .*set ZOO_CACHE to a folder"
    ):
        local(f"{server.url}/zoo/gat.mine")


def test_a_disk_that_fills_up_leaves_nothing(cache, server, gat, visible):
    part = fetch.Place.of(address.parse(f"{server.url}/zoo/gat.mine")).folder / f".fetching-{pin_of(gat)}"
    part.mkdir(parents=True)
    (part / ".model.safetensors.part").symlink_to("/dev/full")
    with pytest.raises(ZooError, match=r"in the cache cannot be written \(No space left on device\): make room there"):
        local(f"{server.url}/zoo/gat.mine")
    assert visible() == [] and not part.exists()


def test_room_is_looked_for_first(cache, server, gat, visible):
    content = card.read(gat)
    content["files"]["model.safetensors"]["bytes"] = 10**15
    (gat / "card.json").write_text(json.dumps(content))
    with pytest.raises(
        ZooError, match=r"gat.mine needs 1,000,000,000,000,013 bytes in the cache .*, and [\d,]+ are free there"
    ):
        local(f"{server.url}/zoo/gat.mine")
    assert server.paths() == ["/zoo/gat.mine/card.json"] and visible() == []


def test_the_cache_is_where_the_configs_say(monkeypatch, tmp_path):
    from omegaconf import OmegaConf

    from zoo.conf import folder

    def told():
        return OmegaConf.load(folder() / "train.yaml").paths.cache

    for name in ("ZOO_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "ZOO_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
        assert str(caches.root()) == told()


def test_a_pinned_address_on_the_command_line_of_train():
    from zoo.conf import compose_train, expand

    pinned = f"https://example.org/zoo/gat.mine#sha256={'0' * 64}"
    assert compose_train([f"init={pinned}"]).init == pinned
    plain = ["init=https://example.org/gat.mine", "init=hf://me/gat@v1", f"init='{pinned}'", "tag=a#b"]
    assert expand(plain) == plain
