"""LoRA files are peft's: it reads ours, we read its, and what is not plain LoRA is refused by name."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import zoo
from tests.adapters.models import MODELS, gpt, inputs, make, stirred, vit
from zoo import ZooError
from zoo.adapters import named_places
from zoo.attention.maps import NAMES
from zoo.pretrained import peft_files
from zoo.pretrained.peft_config import Settings

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:peft"
)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("targets", [("q", "v"), NAMES], ids=["qv", "all"])
def test_peft_reads_ours(name, targets, tmp_path):
    model = make(name)
    plain = copy.deepcopy(model)
    there = [target for target in targets if target in named_places(model)]
    zoo.save_adapter(stirred(zoo.adapt(model, "lora", rank=3, alpha=5, targets=there)), tmp_path)
    with torch.no_grad():
        theirs = peft.PeftModel.from_pretrained(plain, tmp_path)
        assert (theirs(*inputs(model)) - model(*inputs(model))).abs().max() <= 1e-5


def of_peft(model, folder, **settings):
    """A LoRA by peft on a copy of a model, in a folder; what it computes."""
    usual = {"r": 4, "lora_alpha": 6, "target_modules": ["qkv", "fc1"], "init_lora_weights": False}
    config = peft.LoraConfig(**{**usual, **settings})
    theirs = peft.get_peft_model(copy.deepcopy(model), config).eval()
    stirred(theirs)
    theirs.save_pretrained(folder)
    with torch.no_grad():
        return theirs(*inputs(model))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"fc1": 2, r"blocks\.1\.attn.*": 3}, "alpha_pattern": {"^blocks.0.mlp.fc1": 11}},
        {"lora_dropout": 0.5, "modules_to_save": ["head"]},
        {"rank_pattern": {"qkv": 7}, "use_rslora": True, "target_modules": r"blocks\.\d+\.(attn|mlp).*\.(qkv|fc2)"},
    ],
)
def test_theirs_load_here(settings, tmp_path):
    model = vit().eval()
    wanted = of_peft(model, tmp_path, **settings)
    zoo.load_adapter(model, tmp_path)
    with torch.no_grad():
        assert (model(*inputs(model)) - wanted).abs().max() <= 1e-5
        zoo.save_adapter(model, tmp_path / "ours")  # and on
        again = zoo.load_adapter(_plain(model), tmp_path / "ours")
        assert torch.equal(again(*inputs(model)), model(*inputs(model)))


def _plain(model):
    """The base of a model with an adapter."""
    base = vit()
    base.load_state_dict({name: t for name, t in model.state_dict().items() if ".adapters." not in name})
    return base.eval()


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"use_dora": True}, "use_dora=True is a kind of LoRA that is not known"),
        ({"lora_bias": True}, "lora_bias=True"),
        ({"bias": "all"}, "bias='all' trains the base's biases"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' changes the base"),
        ({"layer_replication": [[0, 2]]}, "layer_replication="),
        ({"use_qalora": True}, "use_qalora=True"),
        ({"target_parameters": ["x"]}, "target_parameters="),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens="),
        ({"trainable_token_indices": [1]}, "trainable_token_indices="),
        ({"peft_type": "IA3"}, "peft_type='IA3'; of peft's adapters LORA"),
        ({"peft_type": None}, "peft_type=None"),
        ({"something_new": 3}, "something_new=3"),
        ({"r": 0}, "r=0 is out of range"),
        ({"lora_alpha": "x"}, "lora_alpha='x'"),
        ({"rank_pattern": {"(a+)+b": 3}}, "no plain pattern"),
        ({"rank_pattern": {".*.*.*.*x": 3}}, "no plain pattern"),
        ({"rank_pattern": {"[": 3}}, "no regular expression"),
        ({"rank_pattern": {"fc1": 9}}, "has rank 4 in its tensors, 9 in its config"),
    ],
)
def test_others_are_refused_by_name(settings, sentence, tmp_path):
    model = vit().eval()
    of_peft(model, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ZooError, match=sentence):
        zoo.load_adapter(model, tmp_path)
    assert model.adapter is None and all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_tensors_of_another_kind(tmp_path):
    model = vit(mlp_ratio=4.0).eval()  # as wide as the GPT's
    of_peft(model, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    name = "base_model.model.blocks.0.attn.projection.qkv.lora_magnitude_vector"
    save_file({**tensors, name: torch.ones(4)}, path)
    with pytest.raises(ZooError, match="lora_magnitude_vector belongs to no linear map"):
        zoo.load_adapter(model, tmp_path)
    with pytest.raises(ZooError, match="to no linear map of this GPT"):
        zoo.load_adapter(gpt(), tmp_path)


def test_what_peft_never_says():
    with pytest.raises(ZooError, match="no peft_type"):
        Settings.of([], "it")


def test_cut_and_stacked(monkeypatch, tmp_path):
    """Theirs has q, k and v apart, or together head by head, where ours has them in one matrix: the maps are the same."""
    model = vit().eval()  # heads of 8: rows of qkv are q q k k v v
    qkv, n = "blocks.0.attn.projection.qkv", 16

    def apart(_):
        names = enumerate(("their.query", "their.key", "their.value"))
        return [peft_files.Theirs(name, False, ((qkv, i * n, 0, n),)) for i, name in names]

    def by_head(_):
        pieces = [(qkv, part * n + head * 8, (head * 3 + part) * 8, 8) for head in range(2) for part in range(3)]
        return [peft_files.Theirs("their.qkv", False, tuple(pieces))]

    weight = {}
    for table in (apart, by_head):
        monkeypatch.setattr(peft_files, "their_maps", table)
        tensors = {}
        for theirs in table(None):
            a, b = torch.randn(2, 16), torch.randn(theirs.rows, 2)
            tensors |= {
                f"base_model.model.{theirs.name}.lora_A.weight": a,
                f"base_model.model.{theirs.name}.lora_B.weight": b,
            }
            weight[theirs.name] = b @ a
        folder = tmp_path / table.__name__
        folder.mkdir()
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
        plain = copy.deepcopy(model)
        ours = zoo.load_adapter(copy.deepcopy(model), folder)
        zoo.save_adapter(ours, folder / "ours")
        monkeypatch.undo()
        before = dict(plain.named_modules())[qkv].weight
        delta = dict(zoo.merge(ours).named_modules())[qkv].weight - before
        wanted = (
            torch.cat([weight["their.query"], weight["their.key"], weight["their.value"]])
            if table is apart
            else weight["their.qkv"].view(2, 3, 8, 16).transpose(0, 1).reshape(48, 16)
        )
        assert torch.allclose(delta, wanted, atol=1e-5)
        kept = load_file(folder / "ours" / "adapter_model.safetensors")
        for name, tensor in tensors.items():
            assert torch.equal(kept[name], tensor)
    assert isinstance(model.head, nn.Linear)
