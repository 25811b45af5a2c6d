"""zoo.convert: transformers' language models give the same logits and greedy tokens (C14), on random weights, or are refused.

max |difference| <= 1e-4 max(1, largest |logit|) in float32.
"""

import re

import pytest
import torch
from torch import nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2ForSequenceClassification,
    GPT2Model,
    LlamaModel,
    MixtralConfig,
    MixtralForCausalLM,
)

import zoo
from tests.pretrained.transformers_models import BY_NAME, KINDS, V, greedy, ids, make, ours_of, outputs
from zoo.pretrained.transformers_names import linear_names
from zoo.pretrained.transformers_options import HARMLESS

CAUSAL = [name for name in BY_NAME if not name.startswith("Bert")]
GPT2, LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA, NEOX, PHI = CAUSAL
BARE, MASKED, CLASSES = "BertModel", "BertForMaskedLM", "BertForSequenceClassification"


def rope(kind, theta=10000.0, **numbers):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **numbers}}


LLAMA3 = rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16)
SAME = {
    "gpt2": (GPT2, {}),
    "gpt2, untied": (GPT2, {"tie_word_embeddings": False}),
    "gpt2, narrow inside": (GPT2, {"n_inner": 40}),
    "gpt2, relu": (GPT2, {"activation_function": "relu"}),
    "gpt2, plain gelu, other eps": (GPT2, {"activation_function": "gelu", "layer_norm_epsilon": 0.1}),
    "gpt2, scores as they are": (GPT2, {"scale_attn_weights": False}),
    "gpt2, rates": (GPT2, {"resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.2}),
    "llama": (LLAMA, {}),
    "llama, a key and value for each head": (LLAMA, {"num_key_value_heads": 4}),
    "llama, one key and value": (LLAMA, {"num_key_value_heads": 1}),
    "llama, null key and value heads": (LLAMA, {"num_key_value_heads": None}),
    "llama, biases": (LLAMA, {"attention_bias": True, "mlp_bias": True}),
    "llama, head_dim": (LLAMA, {"head_dim": 20}),
    "llama, tied": (LLAMA, {"tie_word_embeddings": True}),
    "llama, other base and eps": (LLAMA, {**rope("default", 500.0), "rms_norm_eps": 0.1}),
    "llama, gelu": (LLAMA, {"hidden_act": "gelu_pytorch_tanh"}),
    "llama, linear": (LLAMA, rope("linear", factor=3.0)),
    "llama, llama3": (LLAMA, LLAMA3),
    "llama, yarn": (LLAMA, YARN),
    "llama, yarn, all its numbers": (
        LLAMA,
        rope("yarn", 300.0, factor=2.0, original_max_position_embeddings=32, beta_fast=4.0, beta_slow=0.5, truncate=False),
    ),
    "llama, yarn, attention_factor": (LLAMA, rope("yarn", factor=2.0, attention_factor=1.3)),
    "llama, yarn, mscale": (LLAMA, rope("yarn", factor=4.0, mscale=0.7, mscale_all_dim=1.2)),
    "mistral": (MISTRAL, {}),
    "mistral, a window": (MISTRAL, {"sliding_window": 7}),
    "mistral, a window of one": (MISTRAL, {"sliding_window": 1}),
    "mistral, no window": (MISTRAL, {"sliding_window": None}),
    "qwen2": (QWEN2, {}),
    "qwen2, windows from a layer on": (
        QWEN2, {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1, "num_hidden_layers": 3},
    ),
    "qwen2, a window that is off": (QWEN2, {"use_sliding_window": False, "sliding_window": 5, "max_window_layers": 0}),
    "qwen2, tied": (QWEN2, {"tie_word_embeddings": True}),
    "qwen2, yarn": (QWEN2, YARN),
    "qwen3": (QWEN3, {}),
    "qwen3, biases": (QWEN3, {"attention_bias": True, "rms_norm_eps": 0.1}),
    "qwen3, windows by layer": (
        QWEN3,
        {
            "use_sliding_window": True, "sliding_window": 6, "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "gemma": (GEMMA, {}),
    "gemma, biases, eps": (GEMMA, {"attention_bias": True, "rms_norm_eps": 0.1, "num_key_value_heads": 1}),
    "gemma, what gelu meant": (GEMMA, {"hidden_act": "gelu"}),
    "gemma, untied": (GEMMA, {"tie_word_embeddings": False}),
    "neox": (NEOX, {}),
    "neox, one after the other": (NEOX, {"use_parallel_residual": False}),
    "neox, no biases": (NEOX, {"attention_bias": False}),
    "neox, all turned": (NEOX, rope("default", partial_rotary_factor=1.0)),
    "neox, half turned, linear": (NEOX, rope("linear", 900.0, factor=2.0, partial_rotary_factor=0.5)),
    "neox, tied": (NEOX, {"tie_word_embeddings": True, "hidden_act": "gelu_new"}),
    "phi": (PHI, {}),
    "phi, grouped, norms on q and k": (PHI, {"num_key_value_heads": 1, "qk_layernorm": True, "layer_norm_eps": 0.1}),
    "phi, a key and value for each head, llama3": (PHI, {"num_key_value_heads": 4, **LLAMA3}),
    "phi, all turned": (PHI, rope("default", partial_rotary_factor=1.0)),
    "bert": (BARE, {}),
    "bert, no pooler": (BARE, {"add_pooling_layer": False}),
    "bert, relu, eps, three segments": (BARE, {"hidden_act": "relu", "layer_norm_eps": 0.1, "type_vocab_size": 3}),
    "bert, masks": (MASKED, {}),
    "bert, masks, gelu_new": (MASKED, {"hidden_act": "gelu_new", "layer_norm_eps": 0.1}),
    "bert, masks, untied": (MASKED, {"tie_word_embeddings": False}),
    "bert, classes": (CLASSES, {"num_labels": 5}),
    "bert, numbers": (CLASSES, {"num_labels": 1, "classifier_dropout": 0.3}),
}  # fmt: skip


def compare(theirs, ours, tokens, **how):
    """Refuse more than the promised difference; gives their output."""
    want = outputs(theirs, tokens, **how)
    got = ours_of(ours, tokens, pooled=getattr(theirs, "pooler", None) is not None)
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 1e-4 * max(1.0, want.abs().max().item())
    return want


@pytest.mark.parametrize(("kind", "options"), SAME.values(), ids=SAME)
def test_same_logits(kind, options, tmp_path):
    """C14; windows hold exactly as many keys, the query's own included (C7)."""
    theirs = make(kind, **options)
    ours = zoo.convert(theirs)
    compare(theirs, ours, ids())
    unused = (
        {"cls.predictions.bias"} if options.get("tie_word_embeddings") is False else set()
    )  # of a decoder with its own
    count = sum(p.numel() for name, p in theirs.named_parameters() if name not in unused)
    assert sum(p.numel() for p in ours.parameters()) == count
    again = zoo.load(zoo.save(ours, tmp_path / "model"))
    assert torch.equal(ours_of(again, ids()), ours_of(ours, ids()))
    assert again.end_tokens == ours.end_tokens and again.classes == ours.classes


@pytest.mark.parametrize("kind", CAUSAL)
def test_same_greedy_tokens(kind):
    theirs = make(kind)
    ours, prompt = zoo.convert(theirs), ids((2, 5))
    assert greedy(ours, prompt, 12) == greedy(theirs, prompt, 12)


GENERATED = [*CAUSAL, "mistral, a window", "qwen3, windows by layer", "llama, yarn", "neox, one after the other"]


@pytest.mark.parametrize("name", GENERATED)
def test_same_greedy_tokens_with_a_cache(name):
    """C6: theirs by their `generate`, ours by ours, of a prompt that is shorter than the other, padded on the left."""
    kind, options = SAME.get(name, (name, {}))
    theirs = make(kind, **options)
    ours, prompts, mask = zoo.convert(theirs), ids((2, 9)), torch.ones(2, 9, dtype=torch.bool)
    mask[1, :4] = False
    theirs.generation_config.eos_token_id = None
    how = {"attention_mask": mask.long(), "do_sample": False, "max_new_tokens": 16, "pad_token_id": 0}
    want = theirs.generate(prompts, **how)[:, 9:]
    assert torch.equal(ours.generate(prompts, 16, mask=mask, temperature=0.0, stop=[]).ids, want)


@pytest.mark.parametrize("window", [1, 2, 7, 40])
def test_a_window_is_that_many_keys(window):
    """C7: the first token that leaves the window leaves the output, and the one before does not."""
    theirs = make(MISTRAL, sliding_window=window, num_hidden_layers=1)
    ours, tokens = zoo.convert(theirs), ids((1, 40))
    for back, seen in ((window - 1, True), (window, False)):
        if back < 40:
            other = tokens.clone()
            other[0, 39 - back] = (other[0, 39 - back] - 3 + 1) % (V - 3) + 3
            changed = [not torch.equal(f(other)[0, -1], f(tokens)[0, -1]) for f in (ours, lambda x: outputs(theirs, x))]
            assert changed == [seen, seen]


@pytest.mark.parametrize("kind", [GPT2, LLAMA, PHI, MASKED, CLASSES])
def test_padding(kind):
    """C5: rows of unequal length, as theirs with an attention mask."""
    theirs = make(kind)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, 7:] = False
    want, got = outputs(theirs, ids((2, 12)), attention_mask=mask), zoo.convert(theirs)(ids((2, 12)), mask)
    if kind != CLASSES:
        want, got = want[mask], got[mask]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept_and_nothing_is_shared(dtype):
    theirs = make(QWEN3).to(dtype)
    ours = zoo.convert(theirs)
    assert {p.dtype for p in ours.parameters()} == {dtype}
    assert not {p.data_ptr() for p in ours.parameters()} & {p.data_ptr() for p in theirs.parameters()}


def test_what_comes_with_the_model():
    ours = zoo.convert(make(GPT2, resid_pdrop=0.3, embd_pdrop=0.1, attn_pdrop=0.2).train())
    assert ours.training and (ours.drop.p, ours.blocks[0].attn.dropout, ours.blocks[0].mlp.drop.p) == (0.1, 0.2, 0.3)
    assert zoo.convert(make(PHI, resid_pdrop=0.3)).drop is None  # as phi-2 is
    assert ours.end_tokens == (2,) and ours.context == 64 and ours.vocab_size == V and ours.converted_from == GPT2
    theirs = make(LLAMA, eos_token_id=[2, 5])
    theirs.generation_config.eos_token_id = [7, 9]  # goes before the config's
    assert zoo.convert(theirs).end_tokens == (7, 9)
    names = {0: "no", 1: "yes", 2: "perhaps"}
    ours = zoo.convert(make(CLASSES, id2label=names, problem_type="multi_label_classification"))
    assert ours.classes == ("no", "yes", "perhaps") and ours.targets == "labels"
    assert zoo.convert(make(CLASSES, num_labels=1)).targets == "numbers"
    assert zoo.convert(make(CLASSES, num_labels=2)).classes is None


# ---- refusals ---------------------------------------------------------------------------------------------------------

REFUSED = {
    "rope_type='dynamic'": (LLAMA, rope("dynamic", factor=2.0)),
    "rope_type='longrope'": (
        LLAMA, rope("longrope", factor=2.0, short_factor=[1.0] * 4, long_factor=[2.0] * 4, original_max_position_embeddings=32),
    ),
    "partial_rotary_factor=0.5": (LLAMA, rope("default", partial_rotary_factor=0.5)),
    "sliding_window=9": (LLAMA, {"sliding_window": 9}),
    "layer_types=": (MISTRAL, {"sliding_window": 7, "layer_types": ["full_attention"] * 2}),
    "scale_attn_by_inverse_layer_idx=True": (GPT2, {"scale_attn_by_inverse_layer_idx": True}),
    "add_cross_attention=True": (GPT2, {"add_cross_attention": True}),
    "use_mrope=True": (QWEN2, {"use_mrope": True}),
    "hidden_dropout_prob=0.1": (NEOX, {"hidden_dropout_prob": 0.1}),
    "activation_function='gelu_10'": (GPT2, {"activation_function": "gelu_10"}),
    "hidden_act='xielu'": (LLAMA, {"hidden_act": "xielu"}),
    "use_bidirectional_attention=True": (GEMMA, {"use_bidirectional_attention": True}),
    "hidden_activation='silu'": (GEMMA, {"hidden_activation": "silu"}),
    "is_decoder=True": (BARE, {"is_decoder": True}),
    "position_embedding_type='relative_key'": (BARE, {"position_embedding_type": "relative_key"}),
    "my_own_option=3": (QWEN2, {"my_own_option": 3}),
    "head_dim=16": (NEOX, {"head_dim": 16}),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), REFUSED.values(), ids=REFUSED)
def test_what_ours_has_not_is_refused_by_class_option_and_value(kind, options, request):
    said = next(key for key, value in REFUSED.items() if value == (kind, options))
    try:
        theirs = make(kind, **options)
    except Exception:  # transformers cannot build it, but can write such a config: see test_hugging_face
        theirs = make(kind)
        for key, value in options.items():
            setattr(theirs.config, key, value)
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(theirs)
    assert said in str(refusal.value) and kind in str(refusal.value)


TINY = {"vocab_size": V, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize(
    "make_other",
    [
        lambda: Gemma2ForCausalLM(Gemma2Config(**TINY, num_key_value_heads=2, head_dim=8)),
        lambda: MixtralForCausalLM(MixtralConfig(**TINY, num_key_value_heads=2, num_local_experts=2)),
        lambda: GPT2Model(make(GPT2).config),
        lambda: LlamaModel(make(LLAMA).config),
        lambda: GPT2ForSequenceClassification(make(GPT2).config),
        lambda: type("LlamaForCausalLM", (BY_NAME[LLAMA],), {})(make(LLAMA).config),
    ],
)
def test_other_classes_are_refused_by_name(make_other):
    theirs = make_other()
    with pytest.raises(zoo.ZooError, match=type(theirs).__name__):
        zoo.convert(theirs)


def _other_norm(model):
    model.model.norm = nn.LayerNorm(32)


def _other_forward(model):
    forward = model.model.forward

    def twice(*args, **kwargs):
        out = forward(*args, **kwargs)
        out.last_hidden_state = 2 * out.last_hidden_state
        return out

    model.model.forward = twice


def _other_eps(model):
    model.model.layers[1].input_layernorm.variance_epsilon = 0.5


def _more(model):
    model.model.layers[0].mlp.adapter = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("change", "word"),
    [(_other_norm, "norm.bias"), (_other_forward, "other outputs"), (_other_eps, "other outputs"), (_more, "adapter")],
)
def test_a_model_that_somebody_changed_is_not_converted_silently(change, word):
    theirs = make(LLAMA)
    change(theirs)
    with pytest.raises(zoo.ZooError, match=word):
        zoo.convert(theirs)


@pytest.mark.parametrize("kind", [GPT2, LLAMA, MASKED])
def test_harmless_keys_change_nothing(kind):
    """Each key that is passed over, set to something odd: the same config of ours, and the same logits of theirs."""
    plain, odd = make(kind), make(kind)
    ways = ("dtype", "torch_dtype", "use_cache", "return_dict", "output_attentions", "output_hidden_states")
    for key in [key for keys in HARMLESS.values() for key in keys if key not in ways and "implementation" not in key]:
        value = getattr(odd.config, key, None)
        setattr(odd.config, key, not value if isinstance(value, bool) else 3 if isinstance(value, int) else value or 2)
    assert zoo.convert(odd).config == zoo.convert(plain).config
    assert torch.equal(outputs(odd, ids()), outputs(plain, ids()))


# ---- names, for adapters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BY_NAME)
def test_linear_names_are_where_the_rows_are(kind):
    """Each map of theirs, put together from rows of ours, is theirs."""
    theirs = make(kind)
    ours, maps = zoo.convert(theirs), dict(theirs.named_modules())
    found = linear_names(ours)
    kinds = (nn.Linear, *(type(module) for module in maps.values() if type(module).__name__ == "Conv1D"))
    assert {name for name, *_ in found} == {name for name, module in maps.items() if isinstance(module, kinds)}
    for name, is_conv, pieces in found:
        weight = maps[name].weight.T if is_conv else maps[name].weight
        assert [start for _, _, start, _ in pieces] == [sum(p[3] for p in pieces[:i]) for i in range(len(pieces))]
        rows = [ours.get_submodule(own).weight[first : first + count] for own, first, _, count in pieces]
        assert torch.equal(torch.cat(rows), weight)
    assert linear_names(zoo.create_model("gpt_mini", vocab_size=50)) is None


def test_every_class_is_named_where_it_is_refused():
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(nn.Linear(1, 1))
    assert all(re.search(rf"{kind.__module__}\.{kind.__name__}\b", str(refusal.value)) for kind in KINDS)
