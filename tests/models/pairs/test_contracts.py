"""What each system of the history line promises: Luong's alignments in loops, NaN in padding (C2, C5), accumulated gradients
(C9), tokens one by one (C6), work done once a sentence."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.models.pairs.test_pairs import LENGTHS, SYSTEMS, B, D, S, V, W, cell, encoded, looks, pairs
from zoo.attention import Additive, Dot, LocalP, Window
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.luong import Luong
from zoo.models.pairs.recurrent import Walk, make_cells, run_cells
from zoo.models.pairs.seq2seq import Seq2Seq

N = 4  # tokens of the sentence that is looked at


FAMILIES = "seq2seq lstm, initial", "bahdanau", "luong", "luong local-m", "luong local-p", "transformer"


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name in FAMILIES else pytest.mark.slow)
        for name in SYSTEMS
        if "captioner" not in name
    ],
    ids=lambda name: name.replace(" ", "-"),
)
def model(request):
    torch.manual_seed(0)
    return SYSTEMS[request.param]().double().eval()


@torch.no_grad()
def test_nan_in_padding_goes_nowhere(model):
    """C1, C2, C5: the embedding of what stands in padding is NaN; no sentence hears of it, a step neither."""
    source, target, _ = pairs(model)
    source[source == 3], target[target == 3] = 4, 4
    padded = source.masked_fill(torch.arange(S) >= LENGTHS[:, None], 3)
    whole = model(padded, target, LENGTHS)
    table = model.encoder.embed if hasattr(model.encoder, "embed") else model.source_embed
    apart = nn.Embedding.from_pretrained(table.weight.clone())  # the joint one is read by the target too
    apart.weight[3] = torch.nan
    if hasattr(model.encoder, "embed"):
        model.encoder.embed = apart
    else:
        model.source_embed = apart
    assert torch.equal(model(padded, target, LENGTHS), whole)
    memory = model.encode(padded, LENGTHS)
    assert torch.equal(model.decode(target[:, :1], memory)[0].isfinite(), torch.ones_like(whole[:, :1]).bool())


def test_micro_batches_add_up(model):
    """C9: gradients of sums over tokens, sentence by sentence, are those of the whole batch."""
    source, target, _ = pairs(model)

    def gradients(parts):
        model.zero_grad()
        for rows in parts:
            logits = model(source[rows], target[rows, :-1], LENGTHS[rows])
            (
                nn.functional.cross_entropy(logits.flatten(0, 1), target[rows, 1:].flatten(), reduction="sum") / 12
            ).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    whole, apart = gradients([slice(0, B)]), gradients([slice(b, b + 1) for b in range(B)])
    for name, grad in whole.items():
        torch.testing.assert_close(apart[name], grad, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_greedy_tokens_are_those_of_the_whole_forward(model):
    """C6: with the state that `generate` carries on, whatever the batch."""
    source, _, _ = pairs(model)
    made = model.generate(source, LENGTHS, begin=1, stop=[], max_new_tokens=5)
    target = torch.cat([torch.ones(B, 1, dtype=torch.long), made.ids], 1)
    assert torch.equal(model(source, target[:, :-1], LENGTHS).argmax(-1), made.ids)
    alone = model.generate(source[1:2, :2], begin=1, stop=[], max_new_tokens=5, num_beams=1)
    assert torch.equal(alone.ids, made.ids[1:2])
    best = model.generate(source, LENGTHS, begin=1, stop=[], max_new_tokens=5, num_beams=3)
    assert (best.logprobs.sum(1) >= made.logprobs.sum(1) - 1e-5).sum() >= 2  # a beam may lose the greedy text, not all


def softmax(e):
    return [x / sum(each.exp() for each in e) for x in (each.exp() for each in e)]


def dot(attn, h, states, t):
    return softmax([h @ s for s in states])


def concat(attn, h, states, t):
    u = attn.score
    return softmax([u.out.weight[0] @ torch.tanh(u.query.weight @ h + u.key.weight @ s) for s in states])


def local_m(attn, h, states, t, reach=1):
    """The places t - D ... t + D of the sentence; none past its end."""
    seen = [j for j in range(N) if abs(j - t) <= reach]
    found = dict(
        zip(seen, softmax([h @ attn.score.map @ states[j] / len(h) ** 0.5 for j in seen]) if seen else [], strict=True)
    )
    return [found.get(j, torch.zeros(()).double()) for j in range(N)]


def local_p(attn, h, states, t, reach=1.5):
    local = attn.score
    p = N * torch.sigmoid(local.out.weight[0] @ torch.tanh(local.place.weight @ h))
    near = [j for j in range(N) if abs(j - p) <= reach]
    found = dict(zip(near, softmax([h @ local.score.map @ states[j] / len(h) ** 0.5 for j in near]), strict=True))
    bell = [torch.exp(-((j - p) ** 2) / (2 * (reach / 2) ** 2)) for j in range(N)]
    return [found.get(j, torch.zeros(()).double()) * bell[j] for j in range(N)]


@pytest.mark.parametrize(
    ("how", "align"),
    [
        (dict(score=Dot), dot),
        (dict(score=Additive), concat),
        (dict(pattern=Window(2)), local_m),
        (dict(score=partial(LocalP, window=1.5)), local_p),
    ],
    ids=["dot", "concat", "local-m", "local-p"],
)
@pytest.mark.parametrize("feeding", [True, pytest.param(False, marks=pytest.mark.slow)])
@torch.no_grad()
def test_luongs_alignments_are_the_papers(how, align, feeding):
    torch.manual_seed(3)
    model = Luong(V, W, D, input_feeding=feeding, attention=looks(**how)).double().eval()
    source, d = torch.randint(V, (1, N)), model.decoder
    target = torch.randint(W, (1, N + 2))  # the last steps of local-m stand past the sentence
    states = encoded(model, source[0])
    h, said, found = torch.cat([states[-1, : D // 2], states[0, D // 2 :]]), torch.zeros(D).double(), []
    for t, y in enumerate(model.embed(target[0])):
        h = cell(d.cells, torch.cat([y, said]) if feeding else y, h)
        c = sum(weight * s for weight, s in zip(align(d.attn, h, states, t), states, strict=True))
        said = torch.tanh(d.join.weight @ torch.cat([c, h]))
        found.append(model.head(said))
    torch.testing.assert_close(torch.stack(found), model(source, target)[0], rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_sutskever_is_the_papers():
    """Two LSTM layers, each from the state of the encoder's same layer; nothing else is known of the source."""
    model = SYSTEMS["seq2seq lstm, initial"]().double().eval()
    source, target, _ = pairs(model)
    last = model.encoder(source[2:, :N])[1]
    hs, cs, found = list(last[0][:, 0]), list(last[1][:, 0]), []
    cells = model.decoder.cells
    for y in model.embed(target[2]):
        x = y
        for i in range(2):
            w_x, w_h, b_x, b_h = (
                getattr(cells, f"{name}_l{i}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            a, f, g, o = (w_x @ x + b_x + w_h @ hs[i] + b_h).chunk(4)
            cs[i] = torch.sigmoid(f) * cs[i] + torch.sigmoid(a) * torch.tanh(g)
            x = hs[i] = torch.sigmoid(o) * torch.tanh(cs[i])
        found.append(model.head(x))
    torch.testing.assert_close(torch.stack(found), model(source, target, LENGTHS)[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_walk_is_torchs_cells(kind, depth):
    """Step by step, the product with the tokens made before: torch.nn.GRU and LSTM on the two side by side."""
    torch.manual_seed(0)
    cells = make_cells(kind, D + 3, D, depth).double()
    x, fed = torch.randn(B, 4, 3).double(), torch.randn(B, 4, D).double()
    hidden = tuple(torch.randn(depth, B, D).double() for _ in range(1 + (kind == "lstm")))
    want, after = run_cells(cells, torch.cat([x, fed], -1), hidden)
    walk = Walk(cells, x, hidden)
    found = torch.stack([walk.step(each) for each in fed.unbind(1)], 1)
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(walk.hidden, after, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [Bahdanau, partial(Luong, attention=looks(score=Additive))])
@torch.no_grad()
def test_what_depends_on_the_keys_is_made_once_a_sentence(make):
    """U_a h_j is one call of `score.key`, however many steps and beams look at it."""
    model, calls = make(V, W, D), []
    model.decoder.attn.score.key.register_forward_hook(lambda *given: calls.append(1))
    source = torch.randint(V, (B, S))
    model(source, torch.randint(W, (B, 5)), LENGTHS)
    assert len(calls) == 1
    model.generate(source, LENGTHS, begin=1, stop=[], max_new_tokens=6, num_beams=2)
    assert len(calls) == 2


def test_a_seed_is_the_same_weights():
    """Two embeddings of separate vocabularies begin in one order."""
    for make in (lambda: Seq2Seq(V, W, D), SYSTEMS["transformer"]):
        first, second = (torch.manual_seed(7) and make() for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
