"""LoRA of converted models under transformers' names: peft puts ours on theirs, and its own comes onto ours.

max |difference| <= 1e-4 max(1, largest |logit|) in float32, as for conversions (C14).
"""

import copy
import json

import pytest
import torch

import zoo
from tests.adapters.models import stirred
from tests.pretrained.transformers_models import BY_NAME, ids, make, outputs
from zoo.adapters import named_places
from zoo.attention.maps import NAMES

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:peft"
)
KINDS = list(BY_NAME)
#: What peft is asked to adapt: separate and fused maps, Conv1D, interleaved heads.
THEIRS = {
    "GPT2LMHeadModel": ["c_attn", "c_proj"],
    "GPTNeoXForCausalLM": ["query_key_value", "dense_h_to_4h"],
    "PhiForCausalLM": ["q_proj", "v_proj", "dense"],
    **{kind: ["query", "value", "dense"] for kind in KINDS if kind.startswith("Bert")},
}


def close(a, b):
    assert (a - b).abs().max() <= 1e-4 * max(1, b.abs().max())


def wide(model):
    """Hidden states or logits."""
    return outputs(model, ids((2, 20)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [("q", "v"), NAMES], ids=["qv", "all"])
def test_peft_puts_ours_on_theirs(kind, targets, tmp_path):
    theirs = make(kind)
    model = zoo.convert(theirs).eval()
    there = [target for target in targets if target in named_places(model)]
    train = [] if kind != "BertForSequenceClassification" else None
    stirred(zoo.adapt(model, "lora", rank=3, alpha=5, targets=there, train=train))
    zoo.save_adapter(model, tmp_path / "adapter")
    with torch.no_grad():
        joined = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
        ours, other = model(ids((2, 20))), joined(ids((2, 20)))
    close(ours, other.logits if hasattr(other, "logits") else other.last_hidden_state)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert not any("blocks." in name for name in config["target_modules"])


@pytest.mark.parametrize("kind", KINDS)
def test_theirs_come_onto_ours(kind, tmp_path):
    theirs = make(kind)
    model = zoo.convert(copy.deepcopy(theirs)).eval()
    settings = dict(
        r=4, lora_alpha=6, use_rslora=True, init_lora_weights=False, fan_in_fan_out=kind == "GPT2LMHeadModel"
    )
    config = peft.LoraConfig(target_modules=THEIRS.get(kind, ["q_proj", "k_proj", "o_proj", "down_proj"]), **settings)
    adapted = peft.get_peft_model(theirs, config).eval()
    adapted.save_pretrained(tmp_path)
    zoo.load_adapter(model, tmp_path)
    with torch.no_grad():
        ours, other = model(ids((2, 20))), adapted(ids((2, 20)))
        other = other.logits if hasattr(other, "logits") else other.last_hidden_state
        close(ours, other)
        close(zoo.merge(model)(ids((2, 20))), other)


def test_a_folder_of_the_hub_is_a_base(tmp_path):
    """zoo.load(their folder), an adapter on it: the adapter's folder joins with it, and the saved base keeps their names."""
    theirs = make("LlamaForCausalLM")
    theirs.save_pretrained(tmp_path / "hub")
    model = stirred(zoo.adapt(zoo.load(tmp_path / "hub"), "lora", targets=["q", "k", "v", "gate"]))
    zoo.save_adapter(model, tmp_path / "adapter")
    tokens = ids((1, 9))
    with torch.no_grad():
        assert torch.equal(zoo.load(tmp_path / "adapter")(tokens), model(tokens))
        close(model(tokens), peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter")(tokens).logits)
    zoo.save(zoo.load(tmp_path / "hub"), tmp_path / "saved")
    again = zoo.load_adapter(zoo.load(tmp_path / "saved"), tmp_path / "adapter")
    with torch.no_grad():
        assert torch.equal(again(tokens), model(tokens))
