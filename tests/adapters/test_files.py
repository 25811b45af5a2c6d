"""Adapters in folders: alone, whole, joined with their base, and as peft has them."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tests.adapters.models import MODELS, inputs, make, stirred, vit
from zoo import ZooError
from zoo.adapters import named_places
from zoo.adapters.record import Base
from zoo.pretrained.adapter_files import places, told_from

EVERY = pytest.mark.parametrize("name", MODELS)


def adapted(name, kind="lora", **settings):
    model = make(name)
    there = named_places(model)
    usual = [n for n in (("q", "v", "o") if kind == "lora" else ("o", "down")) if n in there]
    return stirred(zoo.adapt(model, kind, **{"rank": 3, "targets": usual or ["q"], **settings}))


def same(a, b):
    with torch.no_grad():
        return torch.equal(a(*inputs(a)), b(*inputs(b)))


@EVERY
@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_an_adapter_comes_back_onto_its_base(name, kind, tmp_path):
    model = adapted(name, kind, dropout=0.25)
    zoo.save_adapter(model, tmp_path / "adapter")
    back = zoo.load_adapter(make(name), tmp_path / "adapter")
    assert same(model, back) and back.adapter == model.adapter
    assert {n for n, p in back.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }


@EVERY
def test_a_folder_knows_its_base(name, tmp_path):
    """`zoo.load` of an adapter's folder joins it with the base, wherever both are moved to together."""
    zoo.save(make(name), tmp_path / "a" / "base")
    model = stirred(zoo.adapt(zoo.load(tmp_path / "a" / "base"), "lora", targets=["q"]))
    zoo.save_adapter(model, tmp_path / "a" / "adapter")
    assert {p.name for p in (tmp_path / "a" / "adapter").iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "card.json", "config.json",
    }  # fmt: skip
    (tmp_path / "a").rename(tmp_path / "b")
    back = zoo.load(tmp_path / "b" / "adapter")
    assert same(model, back) and not back.training
    record = json.loads((tmp_path / "b" / "adapter" / "config.json").read_text())["adapter"]
    assert (
        record["base"]["name"] == "base" and record["base"]["source"] == "../base" and len(record["base"]["hash"]) == 64
    )


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_save_writes_base_and_adapter(kind, tmp_path):
    model = adapted("vit", kind)
    zoo.save(model, tmp_path / "whole")
    back = zoo.load(tmp_path / "whole")
    assert same(model, back) and back.adapter == model.adapter
    zoo.save(back, tmp_path / "again")
    assert same(model, zoo.load(tmp_path / "again"))


def test_merged_and_saved_over_the_adapter(tmp_path):
    model = adapted("vit")
    zoo.save(model, tmp_path / "here")
    zoo.save(zoo.merge(model), tmp_path / "here")
    assert same(model, zoo.load(tmp_path / "here")) and zoo.load(tmp_path / "here").adapter is None


def test_the_base_is_not_where_it_was(tmp_path):
    zoo.save(make("vit"), tmp_path / "base")
    model = stirred(zoo.adapt(zoo.load(tmp_path / "base"), "lora"))
    zoo.save_adapter(model, tmp_path / "adapter")
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(
        ZooError, match=r"adapter of base \(sha256 \w{12}\), which is not where it was.*base=<its folder>"
    ):
        zoo.load(tmp_path / "adapter")
    assert same(model, zoo.load(tmp_path / "adapter", base=tmp_path / "elsewhere"))


def test_an_adapter_of_another_base_is_refused(tmp_path):
    zoo.save_adapter(adapted("vit"), tmp_path / "adapter")
    other = vit().eval()
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(ZooError, match="is an adapter of another base"):
        zoo.load_adapter(other, tmp_path / "adapter")
    assert other.adapter is None and all(torch.equal(other.state_dict()[n], t) for n, t in before.items())
    assert zoo.load_adapter(other, tmp_path / "adapter", strict=False).adapter is not None
    zoo.save(vit(), tmp_path / "other")
    with pytest.raises(ZooError, match="is an adapter of another base"):
        zoo.load(tmp_path / "adapter", base=tmp_path / "other")
    with pytest.raises(ZooError, match="is no module of this GAT"):
        zoo.load_adapter(make("gat"), tmp_path / "adapter")


def test_an_adapter_of_an_adapter_is_refused(tmp_path):
    zoo.save(make("vit"), tmp_path / "base")
    zoo.save_adapter(stirred(zoo.adapt(zoo.load(tmp_path / "base"), "lora")), tmp_path / "one")
    with pytest.raises(ZooError, match="and an adapter itself: merge that one first"):
        zoo.load(tmp_path / "one", base=tmp_path / "one")
    change_record(tmp_path / "one", lambda record: record["base"].update(source="."))  # A8: a file that leads to itself
    with pytest.raises(ZooError, match="and an adapter itself: merge that one first"):
        zoo.load(tmp_path / "one")


@pytest.mark.parametrize(
    "source", ["timm://hf-hub:somebody/else", "timm://vit/../x", "/dev/zero", "/etc/passwd", "https://x.y/z"]
)
def test_where_a_base_lies_is_only_read(folder, source):  # A8
    """No address of a network but names of timm's own list, no device, nothing that is no model."""
    change_record(folder, lambda record: record["base"].update(source=source))
    with pytest.raises(ZooError, match=r"not where it was|is a file of another kind|nothing to start from"):
        zoo.load(folder)


def test_init_from_an_adapter_begins_where_it_ended(tmp_path):
    from zoo.pretrained import initialise

    zoo.save(make("vit"), tmp_path / "base")
    model = stirred(zoo.adapt(zoo.load(tmp_path / "base"), "lora"))
    zoo.save_adapter(model, tmp_path / "adapter")
    begun, changes = initialise(model.config, str(tmp_path / "adapter"), {})
    x = inputs(model)[0]
    assert not changes and begun.adapter is None and torch.allclose(begun.eval()(x), model(x), atol=1e-5)


@pytest.mark.parametrize("source", ["timm://vit_tiny.augreg", "timm://vit_tiny@w.safetensors", "base"])
def test_where_a_base_lay_is_told_from_its_adapter(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    (tmp_path / "base").mkdir()
    here = tmp_path / "runs" / "one" / "model"
    here.mkdir(parents=True)
    told = told_from(Base("it", source, "0" * 64), here)
    assert str(tmp_path) not in told.source
    found, (head, at, path) = places(told, here)[0], source.rpartition("@")
    if at or not source.startswith("timm"):
        assert found.startswith(head + at) and Path(found.removeprefix(head + at)).resolve() == tmp_path / path
    else:
        assert found == source


# ---- bad files


@pytest.fixture
def folder(tmp_path):
    zoo.save_adapter(adapted("vit"), tmp_path / "adapter")
    return tmp_path / "adapter"


def change_record(folder, change):
    (folder / "card.json").unlink(missing_ok=True)  # else its hashes are what is found first
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content["adapter"])
    path.write_text(json.dumps(content))


def change_tensors(folder, change):
    (folder / "card.json").unlink(missing_ok=True)
    path = folder / "adapter_model.safetensors"
    tensors = dict(load_file(path))
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


QKV = "blocks.0.attn.projection.qkv"


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda r: r.update(kind="zip"), "adapter.kind='zip'"),
        (lambda r: r.update(dropout=2), "adapter.dropout=2"),
        (lambda r: r.update(pieces={}), "adapter.pieces"),
        (lambda r: r.update(whole=["nowhere"]), "'nowhere' is no module"),
        (lambda r: r["base"].update(hash="zz"), "adapter.hash='zz'"),
        (lambda r: r["base"].update(hash="0" * 64), "another base"),
        (lambda r: r["pieces"][QKV][0].update(rank=10**9), "rank 6, its parts another in sum|rank 3, its parts"),
        (lambda r: r["pieces"][QKV][0].update(start=-1), "adapter.start=-1"),
        (lambda r: r["pieces"][QKV][0].update(stop=10**9), "are not there, or twice"),
        (lambda r: r["pieces"][QKV][0].update(start=2, stop=40), "are not there, or twice"),
        (lambda r: r["pieces"][QKV][0].update(name="keys"), "adapter.name='keys'"),
        (lambda r: r["pieces"][QKV][0].update(scale=True), "adapter.scale=True"),
        (lambda r: r["pieces"].update({"blocks.0": r["pieces"][QKV]}), "'blocks.0' is no linear map"),
        (lambda r: r["tensors"].update({"head.weight": "gone"}), "has no gone"),
        (lambda r: r["tensors"].pop("head.weight"), "head.weight is missing"),
    ],
)
def test_a_broken_record(folder, change, sentence):  # A8
    change_record(folder, change)
    with pytest.raises(ZooError, match=sentence):
        zoo.load_adapter(make("vit"), folder)


A = f"base_model.model.{QKV}.lora_A.weight"


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda t: t.update({A: t[A][:, :3]}), r"is \[3, 3\] there, \[3, 16\] here"),
        (lambda t: t.update({A: t[A].reshape(-1)}), "A and B of .* are"),
        (lambda t: t.pop(A), "are none and"),
        (lambda t: t.update({A: t[A] * float("nan")}), "NaN or infinite"),
        (lambda t: t.update({A: t[A].int()}), "there, .* here"),
    ],
)
def test_broken_tensors(folder, change, sentence):  # A7
    change_tensors(folder, change)
    with pytest.raises(ZooError, match=sentence):
        zoo.load_adapter(make("vit"), folder)


def test_a_truncated_file_and_an_empty_folder(folder, tmp_path):
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ZooError, match="truncated"):
        zoo.load_adapter(make("vit"), folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZooError, match=r"holds no adapter.*nothing"):
        zoo.load_adapter(make("vit"), tmp_path / "empty")
    with pytest.raises(ZooError, match="has no adapter"):
        zoo.save_adapter(make("vit"), tmp_path / "none")
