"""The benchmarks run, write what they promise and go on where they stopped. Nothing here looks at a time."""

import json
import os
import subprocess
from functools import partial

import pytest
import torch

from benchmarks import __main__ as door
from benchmarks import busy, gat, graphs, kernels, memory, startup, timing, vit
from benchmarks.results import Results
from zoo import machine

TINY = {"img_size": 32, "depth": 1}


@pytest.fixture
def small(monkeypatch):
    """The ViT benchmark on one block, four patches and small matrix products; returns the keys that were measured."""
    measured = []

    def timed(row, *how):
        measured.append((row["what"], row["batch"]))
        return vit_timed(row, *how, **TINY)

    vit_timed = vit.timed
    monkeypatch.setattr(vit, "timed", timed)
    monkeypatch.setattr(vit, "gemm_peak", partial(timing.gemm_peak, sizes=(16,), rounds=1))
    return measured


def arguments(out, batches, *more):
    fixed = ["--models", "vit_tiny_patch16_224", "--modes", "eager", "--dtypes", "float32", "--rounds", "2"]
    return ["vit", *fixed, "--what", "forward,train", "--batches", batches, "--out", str(out), *more]


@pytest.mark.slow
def test_vit_writes_rows_and_resumes(tmp_path, small, capsys):
    out = tmp_path / "vit.json"
    door.main(arguments(out, "1"))
    assert small == [("forward", 1), ("train", 1)]
    door.main(arguments(out, "1,2", "--resume"))
    assert small[2:] == [("forward", 2), ("train", 2)]  # what was there is kept

    data = json.loads(out.read_text())
    assert data["benchmark"] == "vit" and len(data["sessions"]) == 2
    session = data["sessions"][0]
    assert {"started", "ended", "load_before", "load_after", "threads", "versions"} <= session.keys()
    assert session["gemm_peak_start"]["float32"] > 0 and session["gemm_peak_end"]["float32"] > 0
    tiny = "vit_tiny_patch16_224"
    assert set(data["rows"]) == {f"{tiny}/{w}/eager/float32/{b}" for w in ("forward", "train") for b in (1, 2)}
    for row in data["rows"].values():
        assert {"min_ms", "median_ms"} == row["zoo"].keys() == row["timm"].keys() == row["copy"].keys()
        assert row["ratio"] > 0 and row["spread"] >= 0 and row["ok"] == (row["ratio"] >= 1 - row["spread"])
        assert row["gflop"] > 0 and row["gflops"]["zoo"] > 0
    assert "zoo/timm" in capsys.readouterr().out


def test_vit_measures_one_row_within_a_limit(tmp_path, small, capsys):
    out, key = tmp_path / "vit.json", "vit_tiny_patch16_224/train/eager/float32/1"
    one = ["--only", key, "--seconds", "1e-9", "--out", str(out)]
    door.main(["vit", "--list", "--only", key])
    assert capsys.readouterr().out.split() == [key] and not out.exists()
    door.main(["vit", *one])
    (row,) = json.loads(out.read_text())["rows"].items()
    assert row[0] == key and row[1]["rounds"] == timing.LEAST and small == [("train", 1)]
    with pytest.raises(SystemExit) as stop:
        door.main(["vit", "--only", "vit_huge", "--out", str(out)])
    assert stop.value.code == 2 and "error: --only vit_huge is not a row" in capsys.readouterr().err


def test_bfloat16_runs():
    row = {"model": "vit_tiny_patch16_224", "mode": "eager", "dtype": "bfloat16", "batch": 1}
    for what in ("forward", "train"):
        assert vit.timed({**row, "what": what}, rounds=1, **TINY)["ratio"] > 0


def test_every_round_times_each_once_in_a_turned_order():
    order = []
    times = timing.in_turn({name: partial(order.append, name) for name in "abc"}, rounds=2, warmup=1)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert [len(times[name]) for name in "abc"] == [2, 2, 2]


@pytest.mark.parametrize("limit, kept", [(None, 9), (1e9, 9), (1e-9, timing.LEAST)])
def test_a_limit_ends_rounds_but_for_the_least(limit, kept):
    calls = []
    times = timing.in_turn({"a": partial(calls.append, 0)}, rounds=9, warmup=3, limit=limit)
    assert len(times["a"]) == kept and len(calls) == kept + (1 if limit == 1e-9 else 3)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    results = Results("x", tmp_path / "x.json")
    results.add("a", {"ratio": 1.0})
    with pytest.raises(TypeError):
        results.add("b", {"ratio": object()})
    assert set(json.loads((tmp_path / "x.json").read_text())["rows"]) == {"a"}


@pytest.mark.slow
def test_memory_is_that_of_the_model_in_its_own_process():
    pytest.importorskip("psutil")
    row = {"model": "vit_tiny_patch16_224", "mode": "train", "dtype": "float32", "batch": 1}
    used = memory.in_process("benchmarks.memory", repeats=1, side="zoo", threads=1, sizes=TINY, **row)
    assert used > 1  # a megabyte of weights at least


@pytest.mark.parametrize("what", ["forward", "train"])
@pytest.mark.parametrize("kernel", kernels.SCORES)
def test_kernels_run(kernel, what):
    kernels.call(what, kernel, heads=4, length=5, width=4)()


def test_startup_reports_a_failing_process(tmp_path):
    startup.process(["-c", "pass"], str(tmp_path))
    with pytest.raises(RuntimeError, match="no such thing"):
        startup.process(["-c", "raise SystemExit('no such thing')"], str(tmp_path))


def test_epoch_takes_turns(tmp_path):
    from benchmarks.epoch import alternate

    threads = torch.get_num_threads()
    few = ["model.depth=1", "+trainer.limit_train_batches=2", "callbacks=none", "data.val_fraction=0.02"]
    seconds = alternate(few, rounds=2)
    assert len(seconds["run"]) == len(seconds["bare"]) == 2
    assert torch.get_num_threads() == threads


def test_busy_writes_both_times(tmp_path, monkeypatch):
    running = []
    monkeypatch.setattr(busy, "training", lambda overrides: 1.0 + 0.25 * len(running))
    begin = subprocess.Popen
    monkeypatch.setattr(busy.subprocess, "Popen", lambda *a, **k: running.append(begin(*a, **k)) or running[-1])
    door.main(["busy", "--rounds", "1", "--out", str(tmp_path / "busy.json"), "model=gat"])
    (row,) = json.loads((tmp_path / "busy.json").read_text())["rows"].values()
    assert row["ratio"] == 1.25 and row["ok"] and row["bar"] == 1.5
    assert running[0].poll() is not None  # it is gone


SMALL = graphs.Size(nodes=20, edges=400, dim=6, heads=2, head_dim=3)  # no node without an edge


@pytest.mark.parametrize("conv", graphs.CONVS)
def test_graph_layers_do_the_same_work(conv):
    calls = graphs.layer_calls(conv, SMALL)
    theirs = calls["pyg"]()
    for name in ("zoo", "zoo_sort", "copy"):
        ours = calls[name]()
        graphs.agree(ours, theirs)
        # No gradient is left out: those of ours are of tensors with as many numbers as theirs.
        assert sum(each.numel() for each in ours) == sum(each.numel() for each in theirs)


@pytest.mark.parametrize("wrong", [0, 1])
def test_graph_layers_that_differ_are_not_compared(wrong):
    right = graphs.contest("GATConv", SMALL)
    theirs = right.call(right.pyg)()
    ours = [each + 0.01 * (i == wrong) for i, each in enumerate(theirs)]
    with pytest.raises(AssertionError):
        graphs.agree(tuple(ours), theirs)


def test_only_the_row_that_says_so_sorts_in_every_call(monkeypatch):
    sorts = []
    sort = gat.graphs.Edges._sort
    monkeypatch.setattr(gat.graphs.Edges, "_sort", lambda edges: sorts.append(edges) or sort(edges))
    calls = graphs.layer_calls("GATConv", SMALL)
    sorts.clear()
    counts = {name: [_count(sorts, calls[name]) for _ in range(3)] for name in calls}
    assert counts == {"zoo": [0] * 3, "zoo_sort": [1] * 3, "pyg": [0] * 3, "copy": [0] * 3}


def _count(seen, call):
    before = len(seen)
    call()
    return len(seen) - before


@pytest.mark.slow
def test_gat_writes_rows_and_resumes(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(gat.graphs, "layer_calls", partial(graphs.layer_calls, size=SMALL))
    monkeypatch.setattr(gat, "SIZES", [SMALL, SMALL._replace(edges=800)])
    monkeypatch.setattr(gat, "NAMES", [*gat.NAMES[:-1], "epoch/digits_knn"])  # needs no download
    monkeypatch.setattr(gat.memory, "in_process", lambda module, **question: asked.append(question) or len(asked))
    out = tmp_path / "gat.json"
    door.main(["gat", "--only", "layer/GATConv,memory", "--rounds", "1", "--out", str(out)])
    first = json.loads(out.read_text())["rows"]
    assert set(first) == {"layer/GATConv", *(f"memory/{conv}" for conv in graphs.CONVS)}
    door.main(["gat", "--rounds", "1", "--resume", "--out", str(out)])

    data = json.loads(out.read_text())
    rows = data["rows"]
    assert set(rows) == set(gat.NAMES) and len(data["sessions"]) == 2
    assert all(rows[name] == row for name, row in first.items())  # what was there is kept
    assert [(q["name"], q["side"]) for q in asked] == [(conv, side) for conv in graphs.CONVS for side in ("zoo", "pyg")]
    for name, row in rows.items():
        assert "load" in row and "bar" in row
        if name.startswith(("layer", "epoch")):
            theirs = (row["pyg"]["min_ms"] + row["copy"]["min_ms"]) / 2
            assert row["ratio"] == theirs / row["zoo"]["min_ms"]
            assert row["ok"] == (row["bar"] is None or row["ratio"] >= row["bar"] * (1 - row["spread"]))
    assert rows["memory/GATv2Conv"]["ratio"] == 3 / 4 and not rows["memory/GATv2Conv"]["ok"]
    assert list(rows["edges/GATConv"]["times"]) == ["400", "800"]
    assert "torch-geometric" in data["sessions"][0]["versions"] and "slope" in capsys.readouterr().out


@pytest.mark.slow
def test_memory_of_a_graph_layer_is_that_of_its_calls():
    pytest.importorskip("psutil")
    asked = {"side": "zoo", "name": "GATConv", "threads": 1, "size": (20_000, 100_000, 16, 2, 16)}
    assert memory.in_process("benchmarks.graphs", repeats=1, **asked) > 2.5  # the output alone


@pytest.mark.parametrize("name", ["gat", "seq2seq"])
def test_a_row_that_is_not_there(name, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        door.main([name, "--only", "gpt5", "--out", str(tmp_path / "out.json")])
    assert stop.value.code == 2 and "--only gpt5 is not a row" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("options", "kept"), [([], "given back"), (["--keep-memory"], "kept")])
def test_what_becomes_of_freed_memory_is_written_down(monkeypatch, tmp_path, options, kept):
    """And is so: for this process at once, and for those that it starts."""
    asked = []
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")})
    monkeypatch.setattr(machine, "keep_freed_memory", lambda: asked.append(True))  # not in the process of the tests
    monkeypatch.setattr(gat, "run", lambda args: Results("gat", args.out).close())
    door.main(["gat", "--out", str(tmp_path / "gat.json"), *options])
    (session,) = json.loads((tmp_path / "gat.json").read_text())["sessions"]
    assert session["freed_memory"] == kept and bool(asked) == (kept == "kept")
