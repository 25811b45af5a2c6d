"""The history line: each system against its paper's equations in loops, steps against the whole, alone against padded."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from zoo.attention import Additive, Attention, Causal, Dot, LocalP, RoPE, ScaledDot, Window, record_attention
from zoo.errors import ZooError
from zoo.layers import post_norm, pre_norm
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.captioner import Captioner
from zoo.models.pairs.luong import Luong
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.pairs.transformer import Transformer2017

V, W, D, B, S, T = 11, 13, 8, 3, 6, 5
LENGTHS = torch.tensor([6, 2, 4])
looks = partial(partial, Attention)
SYSTEMS = {
    "seq2seq": lambda: Seq2Seq(V, W, D),
    "seq2seq lstm, initial": lambda: Seq2Seq(V, W, D, depth=2, cell="lstm", context="initial"),
    "bahdanau": lambda: Bahdanau(V, W, D),
    "bahdanau lstm": lambda: Bahdanau(V, W, D, depth=2, cell="lstm", attention=looks(score=ScaledDot)),
    "luong": lambda: Luong(V, W, D),
    "luong lstm": lambda: Luong(V, W, D, depth=2, cell="lstm"),
    "luong dot, no feeding": lambda: Luong(V, W, D, input_feeding=False, attention=looks(score=Dot)),
    "luong concat": lambda: Luong(V, W, D, attention=looks(score=Additive)),
    "luong local-m": lambda: Luong(V, W, D, attention=looks(pattern=Window(2))),
    "luong local-p": lambda: Luong(V, W, D, attention=looks(score=partial(LocalP, window=1.5)), input_feeding=False),
    "transformer": lambda: Transformer2017(V, W, D, depth=2, num_heads=2),
    "transformer joint": lambda: Transformer2017(V, V, D, depth=1, decoder_depth=2, num_heads=2),
    "transformer pre-norm": lambda: Transformer2017(V, W, D, depth=1, num_heads=2, order=pre_norm, position=RoPE),
    "transformer additive": lambda: Transformer2017(V, W, D, depth=1, num_heads=2, attention=looks(score=Additive)),
    "captioner": lambda: Captioner(8, W, 4, dim=D, depth=1, decoder_depth=2, num_heads=2, class_token=True),
    "captioner post-norm": lambda: Captioner(
        8, W, 4, dim=D, depth=2, num_heads=2, position=RoPE, text_position=RoPE, order="post_norm",
        attention=looks(score=Additive, pattern=Window(2)),
    ),
}  # fmt: skip


@pytest.fixture(params=SYSTEMS, ids=lambda name: name.replace(" ", "-"))
def model(request):
    torch.manual_seed(0)
    made = SYSTEMS[request.param]().double().eval()
    for p in made.parameters():
        p.data += 0.2 * torch.randn_like(p)
    return made


def pairs(model):
    """(source, target, lengths): sentences, or images, which have no lengths."""
    g = torch.Generator().manual_seed(1)
    target = torch.randint(model.target_vocab, (B, T), generator=g)
    if "captions" in model.reads:
        return torch.randn(B, 1, 8, 8, generator=g).double(), target, None
    return torch.randint(model.source_vocab, (B, S), generator=g), target, LENGTHS


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1), (3, 1, 1), (2, 3)])
def test_steps_are_the_whole(model, cuts, grad):
    """A prefill of any length, then steps, with gradients and without."""
    source, target, lengths = pairs(model)
    with torch.set_grad_enabled(grad):
        whole = model(source, target, lengths)
        memory, state, found = model.encode(source, lengths), None, []
        for part in target.split(cuts, 1):
            logits, state = model.decode(part, memory, state)
            found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_a_sentence_alone_is_the_sentence_in_a_batch(model):
    """Padding moves nothing, and neither do the other rows; the future is not seen."""
    source, target, lengths = pairs(model)
    whole = model(source, target, lengths)
    if lengths is not None:
        other = source.masked_fill(torch.arange(S) >= lengths[:, None], 3)
        torch.testing.assert_close(model(other, target, lengths), whole, rtol=1e-12, atol=1e-12)
    for b, n in enumerate([None] * B if lengths is None else lengths.tolist()):
        alone = model(source[b : b + 1, :n], target[b : b + 1])
        torch.testing.assert_close(alone, whole[b : b + 1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model(source, target[:, :2], lengths), whole[:, :2], rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_rows_go_on_from_others(model):
    """What beams need: memory and state in another order, also more rows than before."""
    source, target, lengths = pairs(model)
    memory = model.encode(source, lengths)
    for index in ([2, 0, 1], [1, 1, 0, 2, 2]):
        index = torch.tensor(index)
        _, again = model.decode(target[:, :2], memory)
        logits, _ = model.decode(target[index, 2:], memory.select(index), again.reorder(index))
        want = model(source, target, lengths)[index, 2:]
        torch.testing.assert_close(logits, want, rtol=1e-10, atol=1e-10)


def test_every_parameter_learns(model):
    source, target, lengths = pairs(model)
    model.train()
    nn.functional.cross_entropy(model(source, target, lengths).flatten(0, 1), target.flatten()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


@torch.no_grad()
def test_alignments_are_of_the_whole_target():
    source, _, _ = pairs(Seq2Seq(V, W, D))
    target = torch.randint(W, (B, T))
    looking = [("bahdanau", "decoder.attn", 1), ("luong dot, no feeding", "decoder.attn", 1)]
    for make, path, heads in (*looking, ("transformer", "decoder.blocks.0.cross", 2)):
        model = SYSTEMS[make]().double().eval()
        with record_attention(model) as maps:
            model(source, target, LENGTHS)
        assert maps[path].shape == (B, heads, T, S)
        assert not maps[path][1, :, :, 2:].any() and torch.allclose(maps[path].sum(-1), torch.ones(()).double())


def cell(cells, x, h):
    return cells(x[None, None], h[None, None])[1][0, 0]


def encoded(model, source):
    """h_j of a sentence, one direction at a time, a word at a time."""
    cells, x = model.encoder.cells, model.encoder.embed(source)
    out = torch.zeros(len(source), D, dtype=x.dtype)
    for reverse, half in (("", slice(0, D // 2)), ("_reverse", slice(D // 2, D))):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_x, w_h, b_x, b_h = (getattr(cells, f"{name}_l0{reverse}") for name in names)
        h = torch.zeros(D // 2, dtype=x.dtype)
        for j in reversed(range(len(x))) if reverse else range(len(x)):
            (xr, xz, xn), (hr, hz, hn) = (w_x @ x[j] + b_x).chunk(3), (w_h @ h + b_h).chunk(3)
            z = torch.sigmoid(xz + hz)
            h = (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * h
            out[j, half] = h
    return out


@torch.no_grad()
def test_bahdanau_is_the_papers():
    model = SYSTEMS["bahdanau"]().double().eval()
    source, target, _ = pairs(model)
    n, d, a = 4, model.decoder, model.decoder.attn.score
    h = encoded(model, source[2, :n])
    s, found = torch.tanh(d.start.weight @ h[0, D // 2 :]), []
    for y in model.embed(target[2]):
        e = torch.stack([a.out.weight[0] @ torch.tanh(a.query.weight @ s + a.key.weight @ h[j]) for j in range(n)])
        c = sum(weight * h[j] for j, weight in enumerate(e.exp() / e.exp().sum()))
        s = cell(d.cells, torch.cat([y, c]), s)
        t = d.readout.weight @ torch.cat([s, c, y]) + d.readout.bias
        found.append(model.head(torch.maximum(t[0::2], t[1::2])))
    torch.testing.assert_close(torch.stack(found), model(source, target, LENGTHS)[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("feeding", [True, False])
@torch.no_grad()
def test_luong_is_the_papers(feeding):
    model = Luong(V, W, D, input_feeding=feeding).double().eval()
    source, target, _ = pairs(model)
    n, d = 4, model.decoder
    states = encoded(model, source[2, :n])
    h, said, found = torch.cat([states[-1, : D // 2], states[0, D // 2 :]]), torch.zeros(D).double(), []
    for y in model.embed(target[2]):
        h = cell(d.cells, torch.cat([y, said]) if feeding else y, h)
        e = torch.stack([h @ d.attn.score.map @ state / len(h) ** 0.5 for state in states])
        c = sum(weight * state for state, weight in zip(states, e.exp() / e.exp().sum(), strict=True))
        said = torch.tanh(d.join.weight @ torch.cat([c, h]))
        found.append(model.head(said))
    torch.testing.assert_close(torch.stack(found), model(source, target, LENGTHS)[2], rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_cho_is_the_papers():
    model = SYSTEMS["seq2seq"]().double().eval()
    source, target, _ = pairs(model)
    states, d, found = encoded(model, source[2, :4]), model.decoder, []
    c = torch.cat([states[-1, : D // 2], states[0, D // 2 :]])
    s = torch.tanh(d.start.weight @ c)
    for y in model.embed(target[2]):
        s = cell(d.cells, torch.cat([y, c]), s)
        found.append(model.head(torch.tanh(d.readout(torch.cat([s, c, y])))))
    torch.testing.assert_close(torch.stack(found), model(source, target, LENGTHS)[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("first", [False, True])
@torch.no_grad()
def test_the_transformer_is_torchs(first):
    """nn.Transformer on the same weights, pre-norm and post-norm, padded source."""
    torch.manual_seed(0)
    ours = (
        Transformer2017(V, W, D, depth=2, num_heads=2, hidden=20, order=pre_norm if first else post_norm)
        .double()
        .eval()
    )
    how = dict(nhead=2, dim_feedforward=20, dropout=0.0, batch_first=True, norm_first=first, dtype=torch.float64)
    end = partial(nn.LayerNorm, D, dtype=torch.float64) if first else lambda: None
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, **how), 2, end(), enable_nested_tensor=False).eval()
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(D, **how), 2, end()).eval()

    def attention(mine, other):
        if hasattr(mine.projection, "qkv"):
            mine.projection.qkv.load_state_dict({"weight": other.in_proj_weight, "bias": other.in_proj_bias})
        else:
            for part, rows in ((mine.projection.q, slice(0, D)), (mine.projection.kv, slice(D, None))):
                part.load_state_dict({"weight": other.in_proj_weight[rows], "bias": other.in_proj_bias[rows]})
        mine.output.proj.load_state_dict(other.out_proj.state_dict())

    for p in (*encoder.parameters(), *decoder.parameters()):
        p.data += 0.1 * torch.randn_like(p)
    for side, others in ((ours.encoder, encoder), (ours.decoder, decoder)):
        if side.norm is not None:
            side.norm.load_state_dict(others.norm.state_dict())
        for block, other in zip(side.blocks, others.layers, strict=True):
            attention(block.attn, other.self_attn)
            if hasattr(block, "cross"):
                attention(block.cross, other.multihead_attn)
            block.mlp.fc1.load_state_dict(other.linear1.state_dict())
            block.mlp.fc2.load_state_dict(other.linear2.state_dict())
            for i in range(1, len(block.names) + 1):
                getattr(block, f"norm{i}").load_state_dict(getattr(other, f"norm{i}").state_dict())
    source, target, _ = pairs(ours)

    def at(embed, ids):
        return ours.position.embed(embed(ids) * math.sqrt(D), torch.arange(ids.shape[1]))

    hidden = torch.arange(S) >= LENGTHS[:, None]
    seen = encoder(at(ours.source_embed, source), src_key_padding_mask=hidden)
    ahead = torch.ones(T, T, dtype=torch.bool).triu(1)
    out = decoder(at(ours.embed, target), seen, tgt_mask=ahead, memory_key_padding_mask=hidden)
    torch.testing.assert_close(ours(source, target, LENGTHS), out @ ours.embed.weight.T, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Bahdanau(V, W, 7), "model.dim=7 is odd"),
        (lambda: Luong(V, W, D, cell="gruu"), r"model.cell=gruu is unknown.*gru"),
        (lambda: Seq2Seq(V, W, D, context="initail"), r"model.context=initail is unknown.*initial"),
        (lambda: Bahdanau(V, W, D, attention=looks(pattern=Causal())), r"Causal\(\) on a source hides"),
        (lambda: Luong(V, W, D, attention=looks(pattern=Causal() & Window(8))), "take pattern=local_m"),
        (lambda: Luong(V, W, D).generate(["abc"]), r"ids \[B, S\] in a tensor.*got"),
        (
            lambda: Captioner(8, W)(torch.ones(2, 3).long(), torch.ones(2, 2).long()),
            r"takes images \[B, C, H, W\] of floats",
        ),
        (lambda: Captioner(8, W).generate(torch.ones(2, 1, 8, 8), torch.tensor([3, 3])), "An image has no length"),
        (lambda: Captioner(9, W), "not divisible by patch_size=4"),
        (lambda: Captioner(8, W)(torch.ones(2, 3, 8, 8), torch.ones(2, 2).long()), r"takes images \[B, 1, 8, 8\]; got"),
        (lambda: Captioner(8, 0), "Vocabularies have 1 token or more"),
        (lambda: Seq2Seq(0, W, D), "Vocabularies have 1 token or more"),
        (
            lambda: Transformer2017(V, W, D, num_heads=2, joint=True),
            "one matrix for both vocabularies, which have 11 and 13",
        ),
        (
            lambda: Seq2Seq(V, W, D)(torch.ones(2, 3).long(), torch.ones(2, 2).long(), torch.tensor([0, 3])),
            "go from 0 to 3",
        ),
        (lambda: Seq2Seq(V, W, D)(torch.ones(2, 0).long(), torch.ones(2, 2).long()), "1 token or more; got none"),
        (
            lambda: Luong(V, W, D)(torch.ones(2, 3).long(), torch.ones(2, 2).long(), torch.tensor([3])),
            r"\[2\]; got \[1\]",
        ),
    ],
)
def test_bad_input_is_a_sentence(make, match):
    with pytest.raises(ZooError, match=match):
        make()
