"""Contract 6: one graph, two with a cache, no recompilation over fresh paddings."""

import pytest
import torch

from tests.attention.examples import PATTERNS, POSITIONS, SCORES, B, D, H, N, make, needs
from zoo.attention import Attention, Causal, Documents, KVCache, Padding, RoPE, SeparateQKV
from zoo.errors import ZooError

DIM = H * D
INSIDE = [kind for kind in POSITIONS if make(kind).acts_inside]


class Graphs:
    """A backend that counts the graphs it is given."""

    def __init__(self):
        self.count = 0

    def __call__(self, graph, inputs):
        self.count += 1
        return graph.forward


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()


def compiled(module):
    graphs = Graphs()
    return torch.compile(module, fullgraph=True, backend=graphs), graphs


@pytest.mark.parametrize("how", [
    *[dict(score=kind) for kind in SCORES], *[dict(position=kind) for kind in INSIDE if "grid" not in needs(kind)],
    *[dict(pattern=name) for name in PATTERNS], dict(num_kv_heads=2),
], ids=str)  # fmt: skip
def test_one_graph(how):
    how = {k: PATTERNS[v]() if isinstance(v, str) else v for k, v in how.items()}
    layer = Attention(DIM, H, **how).eval()
    run, graphs = compiled(layer)
    for _ in range(3):
        x = torch.randn(B, N, DIM)
        torch.testing.assert_close(run(x), layer(x))
    assert graphs.count == 1


@pytest.mark.parametrize("fresh_pattern", [
    lambda: Padding(torch.randint(1, N, (B,))), lambda: Padding(torch.rand(B, N) > 0.3),
    lambda: Documents(torch.randint(3, (B, N))), lambda: Causal() & Padding(torch.randint(1, N, (B,))),
])  # fmt: skip
def test_fresh_paddings_do_not_recompile(fresh_pattern):
    layer = Attention(DIM, H, position=RoPE).eval()
    run, graphs = compiled(layer)
    for _ in range(4):
        x, pattern = torch.randn(B, N, DIM), fresh_pattern()
        torch.testing.assert_close(run(x, pattern=pattern), layer(x, pattern=pattern))
    assert graphs.count == 1


def test_two_graphs_with_a_cache():
    """One for the prefill, one for all steps."""
    layer = Attention(DIM, H, pattern=Causal(), position=RoPE).eval()
    x = torch.randn(B, N, DIM)
    cache = KVCache(B, H, N, D)
    run, graphs = compiled(layer)
    with torch.no_grad():
        pieces = [run(piece, cache=cache) for piece in x.split([3, 1, 1, 1, 1], dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), layer(x))
    assert graphs.count == 2


def test_gradients_through_a_compiled_layer():
    layer = Attention(DIM, H, pattern=Causal(), position=RoPE)
    x = torch.randn(B, N, DIM, requires_grad=True)
    run, _ = compiled(layer)
    (got,) = torch.autograd.grad(run(x).square().sum(), x)
    (want,) = torch.autograd.grad(layer(x).square().sum(), x)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("context", [False, True])
def test_gradients_through_a_compiled_cache_are_refused(context):
    """The steps run; the backward pass says why not."""
    layer = Attention(DIM, H, pattern=None if context else Causal(), projection=SeparateQKV)
    read, x, cache = torch.randn(B, 5, DIM) if context else None, torch.randn(B, 4, DIM), KVCache(B, H, 5, D)
    run = torch.compile(layer, fullgraph=True, backend="aot_eager")
    steps = torch.cat([run(piece, read, cache=cache) for piece in x.split([2, 1, 1], dim=1)], 1)
    torch.testing.assert_close(steps, layer(x, read))
    with pytest.raises(ZooError, match="without their gradients"):
        steps.sum().backward()


def test_lengths_are_not_compiled_in():
    """The first length has its graph, all others share one; also where the call is small enough for the reference, whose
    reason names no length for that."""
    backend = Graphs()
    module = torch.compile(Attention(DIM, H, position=RoPE(D)), backend=backend, fullgraph=True)
    for length in (7, 12, 5, 11):
        module(torch.randn(B, length, DIM))
    assert backend.count == 2
