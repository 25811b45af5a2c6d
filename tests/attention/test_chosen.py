"""What choices by content and chance promise of draws, neighbours, padding and the future."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.attention.examples import B, D, H, tensors
from zoo.attention import (
    LSH,
    Attention,
    Causal,
    Documents,
    Full,
    Global,
    Padding,
    ProbSparse,
    Window,
    attend,
    record_attention,
)  # fmt: skip
from zoo.errors import ZooError

RANDOM = [ProbSparse(1), LSH(2, 3)]


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_in_evaluation_the_draw_is_a_function_of_the_seed(pattern):
    """Bug 5: twice the same, whatever the global generator, which is not touched; another seed, another choice."""
    q, k, v = (x.detach() for x in tensors(60, 60))
    outs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        outs.append(attend(q, k, v, pattern=pattern).out)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*outs)
    assert not torch.equal(outs[0], attend(q, k, v, pattern=type(pattern)(1, 3, seed=7) if isinstance(pattern, LSH)
                                           else ProbSparse(1, seed=7)).out)  # fmt: skip


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_in_training_the_draw_is_fresh_and_follows_the_generator(pattern):
    q, k, v = (x.detach() for x in tensors(60, 60))
    run = partial(attend, q, k, v, pattern=pattern, training=True)
    torch.manual_seed(3)
    first, second = run().out, run().out
    torch.manual_seed(3)
    assert torch.equal(first, run().out) and not torch.equal(first, second)


@pytest.mark.parametrize("rest", [Full(), Causal(), Padding(torch.tensor([30, 60]))], ids=str)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_batch_independence(pattern, training, rest):
    """E2: the draw is the same for all samples; a sample's rows do not move with its neighbour, nor alone."""
    q, k, v = (x.detach() for x in tensors(60, 60))
    if isinstance(rest, Padding):
        alone = [x[1:] for x in (q, k, v)]
        rest_alone = Padding(rest.lengths[1:])
    else:
        alone, rest_alone = [x[1:] for x in (q, k, v)], rest
    torch.manual_seed(0)
    out = attend(q, k, v, pattern=pattern & rest, training=training).out
    torch.manual_seed(0)
    moved = attend(
        *(torch.cat([x[:1] * 3 + 1, x[1:]]) for x in (q, k, v)), pattern=pattern & rest, training=training
    ).out
    torch.manual_seed(0)
    single = attend(*alone, pattern=pattern & rest_alone, training=training).out
    torch.testing.assert_close(out[1], moved[1])
    torch.testing.assert_close(out[1:], single)


def test_padding_invariance_of_probsparse():
    """C5: of a padded sample the rows are those of the sample alone, at whatever side it is padded, NaN in the padding."""
    q, k, v = (x.detach() for x in tensors(20, 20, kv=H, batch=1))
    alone = attend(q, k, v, pattern=ProbSparse(1)).out
    junk = torch.full_like(q[:, :, :7], 9.0)
    for left in (True, False):
        parts = [torch.cat([junk, x] if left else [x, junk], 2) for x in (q, k, v)]
        mask = torch.cat([torch.zeros(7), torch.ones(20)] if left else [torch.ones(20), torch.zeros(7)]).bool()[None]
        out = attend(*parts, pattern=ProbSparse(1) & Padding(mask)).out[:, :, mask[0]]
        torch.testing.assert_close(out, alone)


def test_packed_documents_do_not_compete():
    """Two documents in a row are answered as each alone: u(n) of each."""
    q, k, v = (x.detach() for x in tensors(24, 24, kv=H, batch=1))
    ids = torch.tensor([0] * 10 + [1] * 14)
    for rest in (Full(), Causal()):
        out = attend(q, k, v, pattern=ProbSparse(1) & Documents(ids) & rest).out
        for part in (slice(0, 10), slice(10, 24)):
            alone = attend(*(x[:, :, part] for x in (q, k, v)), pattern=ProbSparse(1) & rest).out
            torch.testing.assert_close(out[:, :, part], alone)


@pytest.mark.parametrize("rest", [Causal(), Causal() & Window(9)], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_the_future_decides_nothing(pattern, rest):
    """Bug 9, E5: tokens from t on are replaced by others, large and small; what stands before t stays, of the oracle to the
    last bit (how a kernel's products are cut into blocks may go by how many rows they have)."""
    q, k, v = (x.detach() for x in tensors(50, 50))
    out, oracle = (attend(q, k, v, pattern=pattern & rest, kernel=kernel).out for kernel in (None, "reference"))
    for t in (1, 20, 49):
        for size in (0.0, 30.0):
            moved = [torch.cat([x[:, :, :t], torch.randn_like(x[:, :, t:]) * size], 2) for x in (q, k, v)]
            got = attend(*moved, pattern=pattern & rest, kernel="reference").out
            assert torch.equal(got[:, :, :t], oracle[:, :, :t])
            got = attend(*moved, pattern=pattern & rest).out
            torch.testing.assert_close(got[:, :, :t], out[:, :, :t], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 1, 9), (1, H, 9), (3, 1, 9), (3, H, 1), (2, 1, 2)])
@pytest.mark.parametrize("rest", [Full(), Causal()], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_axes_of_length_one(pattern, rest, sizes):
    """Bug 11, E12: batch, heads, length of 1."""
    batch, heads, n = sizes
    q, k, v = tensors(n, n, heads, 1, batch)
    out = attend(q, k, v, pattern=pattern & rest).out
    assert out.shape == (batch, heads, n, D)
    out.sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("kernel", [None, "reference"])
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_dropout_is_applied(pattern, kernel):
    """Bug 7: two passes of one draw differ by the dropout alone; their mean is the output without."""
    q, k, v = (x.detach().float() for x in tensors(20, 20, 2, 1, 1))
    run = partial(attend, q, k, v, pattern=pattern, kernel=kernel)
    outs = torch.stack([run(dropout=0.3).out for _ in range(600)])
    assert (outs != outs[0]).any(0).all(), "of full and of lazy queries"
    torch.testing.assert_close(outs.mean(0), run().out, rtol=0, atol=0.2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_half_precision(pattern, dtype):
    q, k, v = (x.detach().to(dtype) for x in tensors(50, 50))
    for rest in (Full(), Causal()):
        out = attend(q * 20, k * 20, v, pattern=pattern & rest).out
        assert out.dtype == dtype and out.isfinite().all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rest", [None, Causal()], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_recorded_weights_are_those_of_the_output(pattern, rest, training):
    """The draw belongs to the call: what is recorded is what was computed, in training and where a module runs twice."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = Attention(16, 2, pattern=pattern, output=nn.Identity())

        def forward(self, x):
            return [self.attn(x, pattern=rest) for _ in range(2)]

    model, x = Twice().train(training), torch.randn(3, 40, 16)
    torch.manual_seed(0)
    plain = model(x)
    torch.manual_seed(0)
    with record_attention(model) as maps:
        outs = model(x)
    v = model.attn.projection(x)[2]
    assert len(maps["attn"]) == 2
    for weights, out, before in zip(maps["attn"], outs, plain, strict=True):
        torch.testing.assert_close(weights @ v, out, rtol=1e-4, atol=1e-5)
        assert torch.equal(out, before), "recording draws nothing"
    assert torch.equal(*outs) is not training


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_no_global_tokens_change_nothing(pattern):
    assert (pattern | Global(0)) is pattern and (pattern & Full()) is pattern


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_joined_to_global_tokens(pattern):
    """The first token sees all in full and is seen by all, with its own logit; rows sum to 1."""
    q, k, v = (x.detach() for x in tensors(30, 30))
    both = attend(q, k, v, pattern=pattern | Global(1), need_weights=True, need_logits=True, kernel="reference")
    plain = attend(q, k, v, need_weights=True, need_logits=True, kernel="reference")
    torch.testing.assert_close(both.weights[:, :, 0], plain.weights[:, :, 0])
    torch.testing.assert_close(both.logits[..., 0], plain.logits[..., 0])
    torch.testing.assert_close(both.weights.sum(-1), torch.ones(B, H, 30).double())


@pytest.mark.parametrize("make, words", [
    (lambda: ProbSparse(0), r"ProbSparse\(factor\) is a whole number, at least 1; got 0"),
    (lambda: ProbSparse(1.5), r"ProbSparse\(factor\) is a whole number"),
    (lambda: ProbSparse(lazy="median"), r'"mean" or "sum"; got \'median\''),
    (lambda: LSH(0), r"LSH\(rounds\)"),
    (lambda: LSH(bucket=0), r"LSH\(bucket\)"),
    (lambda: LSH(seed="a"), r"LSH\(seed\)"),
])  # fmt: skip
def test_errors_are_sentences(make, words):
    with pytest.raises(ZooError, match=words):
        make()


@pytest.mark.parametrize("rest", [None, Causal(), Padding(torch.tensor([600, 90]))], ids=str)
@pytest.mark.parametrize("pattern", [ProbSparse(1), LSH(1, 16)], ids=str)
def test_under_autocast(pattern, rest):
    """bfloat16 where autocast takes it, gradients in the weights' own type, dropout on; on both kernels."""
    for n in (90, 600):
        layer, x = Attention(16, 2, pattern=pattern, dropout=0.1), torch.randn(2, n, 16)
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x, pattern=rest)
        out.float().sum().backward()
        assert out.isfinite().all() and all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rest", [None, Causal()], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_compiled_whole(pattern, rest, training):
    """One graph, a draw a call within it; what a kernel knows by values alone, the reference computes there."""
    layer, x = Attention(16, 2, pattern=pattern).train(training), torch.randn(2, 40, 16)
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    outs = []
    for run in (layer, compiled):
        torch.manual_seed(0)
        outs.append([run(x, pattern=rest) for _ in range(2)])
    for plain, other in zip(*outs, strict=True):
        torch.testing.assert_close(plain, other)
    assert torch.equal(*outs[1]) is not training


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_what_backward_recomputes_is_the_same_choice(pattern):
    """Gradient checkpointing draws again what it drew."""
    layer, x = Attention(16, 2, pattern=pattern), torch.randn(2, 40, 16, requires_grad=True)
    grads = []
    for run in (layer, partial(checkpoint, layer, use_reentrant=False)):
        torch.manual_seed(0)
        grads.append(torch.autograd.grad(run(x).square().sum(), [x, *layer.parameters()]))
    for plain, again in zip(*grads, strict=True):
        torch.testing.assert_close(plain, again)
