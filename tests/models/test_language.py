"""Language models: sizes as published, causal to the last bit, every part exchangeable."""

from functools import partial

import pytest
import torch
from torch._dynamo.testing import CompileCounter

import zoo
from zoo.attention import Additive, ALiBi, Attention, Causal, Prefix, RoPE, Sinusoidal, Window
from zoo.errors import ZooError
from zoo.models.language.bert import BERT
from zoo.models.language.decoder import Decoder
from zoo.models.language.gpt import GPT
from zoo.models.language.llama import Llama

#: counted in the released weights (transformers' gpt2*, llama2.c's stories*), tied matrices once
PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2_medium": 354_823_168,
    "gpt2_large": 774_030_080,
    "gpt2_xl": 1_557_611_200,
    "llama_15m": 15_191_712,
    "llama_42m": 41_689_600,
    "llama_110m": 109_529_856,
    "bert_base": 109_514_298,  # with the head over the vocabulary and without the pooler: BertForMaskedLM
    "bert_large": 335_174_458,
}
SIZES = dict(vocab_size=11, context=12, dim=16, depth=2, num_heads=4)
FAMILIES = [partial(Decoder, **SIZES), partial(GPT, **SIZES), partial(Llama, **SIZES, num_kv_heads=2)]
NAMES = ["decoder", "gpt", "llama"]
BERT_TOO = pytest.mark.parametrize("family", [*FAMILIES, partial(BERT, **SIZES)], ids=[*NAMES, "bert"])


def ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, 11, shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_as_published(name):
    with torch.device("meta"):
        model = zoo.create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name, count", [("bert_base", 109_482_240), ("bert_large", 335_141_888)])
def test_parameters_of_bert_with_its_pooler(name, count):
    """BertModel: hidden states and the pooler."""
    with torch.device("meta"):
        model = zoo.create_model(name, token_head=False, pooler=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_the_future_has_no_say(family):
    """Causality by gradient, exactly 0; and what comes later changes no logit."""
    model = family().double().eval()
    hidden = {}
    model.drop = torch.nn.Identity()
    model.drop.register_forward_hook(lambda _, __, x: hidden.update(x=x.requires_grad_()) or x.retain_grad())
    model(ids(2, 9))[:, 4].sum().backward()
    gradient = hidden["x"].grad
    assert gradient[:, :5].abs().amin() > 0 and not gradient[:, 5:].any()


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
@pytest.mark.parametrize(
    "parts",
    [
        dict(attention=partial(Attention, score=Additive)),
        dict(attention=partial(Attention, kernel="reference")),
        dict(position=RoPE),
        dict(position=ALiBi),
        dict(position=Sinusoidal),
        dict(tied=False, head_bias=True),
        dict(qk_norm=torch.nn.RMSNorm, embed_scale=4.0, dropout=0.1, attn_dropout=0.1, drop_path=0.1),
    ],
    ids=["additive", "reference", "rope", "alibi", "sinusoidal", "untied", "norms and rates"],
)
def test_parts_are_exchanged(family, parts):
    model = family(**parts)
    assert model(ids(2, 7)).shape == (2, 7, 11)
    model(ids(2, 7)).logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_a_pattern_is_joined_to_causal(family):
    """Of the layer's own and of the call's alike: one layer, so that what a token sees is what its attention sees."""
    torch.manual_seed(0)
    own, plain = (family(depth=1, pattern=pattern).double().eval() for pattern in (Window(2), None))
    own.load_state_dict(plain.state_dict())
    x = ids(2, 9)
    assert torch.equal(own(x), plain(x, pattern=Window(2)))
    assert torch.equal(
        family(pattern=Causal()).eval().blocks[0].attn.pattern.allowed(*[torch.tensor(0)] * 4), torch.tensor(True)
    )
    changed = x.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 11
    moved = (own(x) - own(changed)).abs().amax((0, 2)) > 0
    assert moved.tolist() == [False] * 4 + [True] * 2 + [False] * 3
    several = family(patterns=[Window(2), None])
    assert [str(block.attn.pattern) for block in several.blocks] == ["Window(size=2)", "Full()"]


def test_what_a_token_sees_can_be_a_prefix_too():
    model = GPT(**SIZES).double().eval()
    x = ids(2, 9)
    changed = x.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 11
    sees = Causal() | Prefix(torch.tensor([3, 0]))
    moved = (model(x, sees=sees) - model(changed, sees=sees)).abs().amax(-1) > 0
    assert moved[0].tolist() == [True] * 9, "the prefix is seen by all"
    assert moved[1].tolist() == [False] * 2 + [True] * 7


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_a_classifier_reads_the_last_token(family):
    model = family(num_classes=3).eval()
    assert model(ids(2, 5)).shape == (2, 3) and model.linear_head is model.head
    assert family().linear_head is None, "the head over the vocabulary is the embedding"
    model.reset_classifier(5)
    assert model(ids(2, 5)).shape == (2, 5)
    states = family(token_head=False).eval()
    assert states(ids(2, 5)).shape == (2, 5, 16)


def test_bad_input_is_a_sentence():
    model = GPT(**SIZES)
    with pytest.raises(ZooError, match="13 tokens, but GPT has 12 learned positions: give fewer"):
        model(ids(1, 13))
    for wrong in (-1, 11):
        with pytest.raises(ZooError, match=f"The id {wrong} is outside the vocabulary of this model, 0 to 10"):
            model(torch.tensor([[wrong, 2]]))
    with pytest.raises(ZooError, match=r"integers \[B, N\]; got torch.float32 \[2, 3\]"):
        model(torch.zeros(2, 3))
    with pytest.warns(UserWarning, match="More tokens than the 12 that this Llama was made for"):
        Llama(**SIZES)(ids(1, 13))
    with pytest.raises(ZooError, match="3 patterns for 2 layers"):
        GPT(**SIZES, patterns=[None] * 3)
    with pytest.raises(ZooError, match="positive; got depth=0"):
        GPT(**{**SIZES, "depth": 0})


def test_saved_and_loaded(tmp_path):
    """A tied matrix is written once, and tied again."""
    model = zoo.create_model("llama_mini", vocab_size=11, dim=16, depth=1).eval()
    zoo.save(model, tmp_path / "model")
    again = zoo.load(tmp_path / "model")
    assert torch.equal(model(ids(1, 5)), again(ids(1, 5))) and again.head.weight is again.embed.weight


def test_bert_sees_all_and_reads_the_first_token():
    model = BERT(**SIZES).double().eval()
    x = ids(2, 9)
    changed = x.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 11
    assert ((model(x) - model(changed)).abs().amax((0, 2)) > 0).all()
    left = model(x, sees=Causal()) - model(changed, sees=Causal())
    assert (left.abs().amax((0, 2)) > 0).tolist() == [False] * 4 + [True] * 5
    classifier = BERT(**SIZES, num_classes=3).eval()
    assert classifier.token_head is None and classifier(ids(2, 5)).shape == (2, 3)
    model.reset_classifier(4)
    assert model(x).shape == (2, 4) and model(x).dtype == torch.float64


@BERT_TOO
def test_logits_of_some_tokens_alone(family):
    model = family().eval()
    at = torch.tensor([0, 4, 9])
    torch.testing.assert_close(model(ids(2, 5), at=at), model(ids(2, 5)).flatten(0, 1)[at])


@BERT_TOO
def test_a_mask_with_holes_is_refused(family):
    for row in ([1, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1]):
        with pytest.raises(ZooError, match="The mask has holes"):
            family()(ids(2, len(row)), torch.tensor([[1] * len(row), row]).bool())
    with pytest.raises(ZooError, match=r"mask is boolean, .* \[2, 3\]; got torch.int64"):
        family()(ids(2, 3), torch.ones(2, 3).long())


def padded(rows, side):
    """Rows of tokens as one batch: ids and mask, with ids in the padding that would tell if they were seen."""
    n = max(map(len, rows))
    ids, mask = torch.full((len(rows), n), 7), torch.zeros(len(rows), n, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(n - len(row), n) if side == "left" else slice(0, len(row))
        ids[i, where], mask[i, where] = row, True
    return ids, mask


@BERT_TOO
@pytest.mark.parametrize("parts", [{}, {"position": ALiBi}, {"position": Sinusoidal}, {"pattern": Window(3)}], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_c5_padded_rows_are_as_if_alone(family, parts, side):
    model = family(**parts).double().eval()
    rows = [ids(1, n)[0] for n in (7, 4, 1, 9)]
    x, mask = padded(rows, side)
    out = model(x, mask)
    for i, row in enumerate(rows):
        assert (out[i][mask[i]] - model(row[None])[0]).abs().max() < 1e-12
    out[mask].sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
    pool = {"pool": "mean"} if isinstance(model, BERT) and side == "left" else {}
    classifier = family(**parts, **pool, num_classes=3).double().eval()
    alone = torch.cat([classifier(row[None]) for row in rows])
    assert (classifier(x, mask) - alone).abs().max() < 1e-12


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
@pytest.mark.parametrize("parts", [{}, {"position": ALiBi}, {"pattern": Window(3)}, {"position": Sinusoidal}], ids=str)
@pytest.mark.parametrize("side", [None, "left"])
@torch.no_grad()
def test_a_cache_goes_on_where_it_stood(family, parts, side):
    """Prefill, steps and chunks: the logits of the whole sequence, padded rows among them."""
    model = family(**parts).double().eval()
    rows = [ids(1, 9)[0], ids(1, 9)[0].flip(0)] if side is None else [ids(1, 9)[0], ids(1, 6)[0]]
    x, mask = padded(rows, side or "right")
    whole = model(x, None if side is None else mask)
    cache = model.new_cache(2, 12)
    first = model(x[:, :5], None if side is None else mask[:, :5], cache=cache)
    steps = [model(x[:, t : t + 1], cache=cache) for t in (5, 6)] + [model(x[:, 7:], cache=cache)]
    found = torch.cat([first, *steps], 1)
    assert (found - whole)[mask].abs().max() < 1e-12
    cache.reset()
    assert (model(x[:, :5], None if side is None else mask[:, :5], cache=cache) - first)[
        mask[:, :5]
    ].abs().max() < 1e-12


@torch.no_grad()
def test_a_cache_has_no_more_places_than_were_learned():
    model = GPT(**SIZES).eval()
    cache = model.new_cache(1, 16)
    model(ids(1, 12), cache=cache)
    with pytest.raises(ZooError, match="13 tokens, but GPT has 12 learned positions"):
        model(ids(1, 1), cache=cache)
    assert model.new_cache(1, 16, "none") is None
    with pytest.raises(ZooError, match="cache='all' is none of none, full"):
        model.new_cache(1, 16, "all")


@BERT_TOO
@pytest.mark.parametrize("masked", [False, True])
def test_compiled_in_one_graph(family, masked):
    """Contract 6: whatever the ids and the padding, without recompilation."""
    model = family().eval()
    torch.compiler.reset()
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for shift in range(3):
        x = (ids(2, 9) + shift) % 11
        mask = torch.arange(9) >= torch.tensor([[0], [shift]]) if masked else None
        torch.testing.assert_close(compiled(x, mask), model(x, mask))
    assert counter.frame_count == 1


def test_a_classifier_of_each_token():
    """`per_token`: the head on each hidden state alone, no pooler; kept by another number of classes."""
    model = BERT(**SIZES, num_classes=3, per_token=True, head_dropout=0.5).eval()
    assert model.pooler is None and model.token_head is None
    x = ids(2, 7)
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    logits = model(x, mask)
    assert logits.shape == (2, 7, 3)
    assert torch.equal(logits, model.head(model.forward_features(x, mask)))
    assert torch.allclose(logits[1, :4], model(x[1:, :4])[0], atol=1e-6)  # C5
    assert torch.equal(model(x, mask, at=torch.tensor([2, 8])), logits.flatten(0, 1)[[2, 8]])
    model.reset_classifier(5)
    assert model(x, mask).shape == (2, 7, 5) and model.pooler is None
