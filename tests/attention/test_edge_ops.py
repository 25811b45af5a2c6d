"""The operations along edge lists against naive loops in float64, on every shape of graph (D3, D5, D6, D8)."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.library import opcheck

from zoo.attention.ops import edge_chunks
from zoo.attention.ops.csr import sort_edges
from zoo.attention.ops.edge_ops import added_logits, dot_logits, segment_softmax, weighted_sum
from zoo.errors import ZooError

G, W, D = 2, 3, 5
ACTS = {
    "leaky_relu:0.2": lambda z: F.leaky_relu(z, 0.2),
    "leaky_relu:0": F.relu,
    "leaky_relu:1.5": lambda z: F.leaky_relu(z, 1.5),
    "tanh": torch.tanh,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
}


def graph(S, T, E, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(n, (E,), generator=made) for n in (S, T)]) if E else torch.zeros(2, 0).long()


# (edges, sources, targets): few nodes for many edges makes multi-edges, the reverse isolated nodes
GRAPHS = {
    "multi-edges": (graph(4, 4, 60), 4, 4),
    "isolated": (graph(30, 30, 12), 30, 30),
    "more targets": (graph(3, 11, 20), 3, 11),
    "more sources": (graph(11, 3, 20), 11, 3),
    "star": (torch.stack([torch.arange(40), torch.zeros(40).long()]), 40, 3),
    "no edges": (graph(3, 4, 0), 3, 4),
    "no targets": (graph(3, 0, 0), 3, 0),
    "no sources": (graph(0, 3, 0), 0, 3),
    "nothing": (graph(0, 0, 0), 0, 0),
}
every_graph = pytest.mark.parametrize("edges", GRAPHS.values(), ids=list(GRAPHS))


@pytest.fixture(params=[None, 16], ids=["one chunk", "many chunks"])
def chunked(request, monkeypatch):
    if request.param:
        monkeypatch.setitem(edge_chunks.BUFFER, "cpu", request.param)
        monkeypatch.setattr(edge_chunks, "NODES", 2)


def numbers(S, T, E, dtype=torch.float64, seed=0, grad=True):
    made = torch.Generator().manual_seed(seed)
    shapes = dict(q=(T, G, W), k=(S, G, W), u=(G, W), edge=(E, G, W), v=(S, G, D), weights=(G, E), logits=(G, E))
    return {
        name: torch.randn(shape, generator=made, dtype=torch.float64).to(dtype).requires_grad_(grad)
        for name, shape in shapes.items()
    }


def naive_softmax(logits, row):
    out = torch.zeros_like(logits)
    for t in row.unique():
        run = row == t
        if (logits[:, run] > -torch.inf).any():
            out[:, run] = logits[:, run].softmax(1)
    return out


def naive_sum(weights, v, row, col, T):
    out = [
        sum((weights[:, e, None] * v[col[e]] for e in (row == t).nonzero()[:, 0]), v.new_zeros(G, D)) for t in range(T)
    ]
    return torch.stack(out) if out else v.new_zeros(0, G, D)


def layer(x, csr, act, edge=True):
    """All four operations at once: GATv2 and the dot score, added."""
    logits = added_logits(x["q"], x["k"], x["u"], x["edge"] if edge else None, csr, act) + dot_logits(
        x["q"], x["k"], csr
    )
    return weighted_sum(segment_softmax(logits, csr.rowptr, csr.row), x["v"], csr)


def naive_layer(x, csr, act, edge=True):
    q, k = x["q"][csr.row], x["k"][csr.col]
    z = q + k + x["edge"] if edge else q + k
    logits = ((x["u"] * ACTS[act](z)).sum(-1) + (q * k).sum(-1)).T
    return naive_sum(naive_softmax(logits, csr.row), x["v"], csr.row, csr.col, len(csr.rowptr) - 1)


def same(out, other, inputs, **tolerance):
    """The same values and the same gradients."""
    torch.testing.assert_close(out, other, **tolerance)
    cotangent = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)
    mine, theirs = (  # on an empty graph the loop reaches no input
        torch.autograd.grad((o * cotangent).sum() + sum(0 * x.sum() for x in inputs), inputs) for o in (out, other)
    )
    torch.testing.assert_close(mine, theirs, **tolerance)


# ----------------------------------------------------------------------------------------------------------- the plan


@every_graph
def test_plan(edges):
    edge_index, S, T = edges
    csr = sort_edges(edge_index, S, T)
    assert all(x.dtype == torch.int64 for x in csr)
    source, target = edge_index
    assert csr.order.tolist() == sorted(range(len(target)), key=target.tolist().__getitem__)  # Python's sort is stable
    assert torch.equal(csr.row, target[csr.order]) and torch.equal(csr.col, source[csr.order])
    assert csr.t_order.tolist() == sorted(range(len(target)), key=csr.col.tolist().__getitem__)
    assert torch.equal(csr.t_row, csr.col[csr.t_order]) and torch.equal(csr.t_col, csr.row[csr.t_order])
    for ptr, keys, n in ((csr.rowptr, csr.row, T), (csr.t_rowptr, csr.t_row, S)):
        assert ptr.tolist() == [0, *torch.bincount(keys, minlength=n).cumsum(0).tolist()]


# ---------------------------------------------------------------------------- against loops, and by finite differences


@every_graph
@pytest.mark.parametrize("edge", [True, False], ids=["edge", "no edge"])
def test_layer_is_the_loop(edges, edge, chunked, act="leaky_relu:0.2"):
    edge_index, S, T = edges
    csr, x = sort_edges(edge_index, S, T), numbers(S, T, edge_index.shape[1])
    same(layer(x, csr, act, edge), naive_layer(x, csr, act, edge), [x[n] for n in ("q", "k", "u", "v", "edge")])


@pytest.mark.parametrize("act", ACTS)
def test_every_activation_is_the_loop(act):
    test_layer_is_the_loop(GRAPHS["more targets"], True, None, act)


def test_inputs_need_not_be_contiguous():
    """Heads first in memory, as a core of [B, H, N, D] may hand them over; cotangents expanded from one number."""
    edge_index, S, T = GRAPHS["more targets"]
    csr, x = sort_edges(edge_index, S, T), numbers(S, T, edge_index.shape[1])
    y = {n: t.transpose(0, 1).contiguous().transpose(0, 1).detach().requires_grad_() for n, t in x.items()}
    for a in (x, y):
        layer(a, csr, "tanh").sum().backward()
    for n in ("q", "k", "u", "v", "edge"):
        torch.testing.assert_close(x[n].grad, y[n].grad)


@every_graph
@pytest.mark.parametrize("edge", [True, False], ids=["edge", "no edge"])
@pytest.mark.parametrize("act", ["leaky_relu:0.2", "tanh"])
def test_heads_one_number_wide_are_the_loop(edges, edge, act, chunked):
    """GAT's scores are numbers on edges: computed another way, the same."""
    edge_index, S, T = edges
    csr, x = sort_edges(edge_index, S, T), numbers(S, T, edge_index.shape[1])
    x = {n: t.detach()[..., :1].requires_grad_() if n in ("q", "k", "u", "edge") else t for n, t in x.items()}
    same(layer(x, csr, act, edge), naive_layer(x, csr, act, edge), [x[n] for n in ("q", "k", "u", "v", "edge")])


@pytest.mark.parametrize("width", [1, W])
def test_nan_where_no_edge_reads_stays_there(width):
    """q of a target without edges is in no logit, nor in the gradient of the vector u that all share."""
    csr, x = sort_edges(torch.tensor([[0, 1], [0, 0]]), 2, 3), numbers(2, 3, 2, grad=False)
    q, k, u = (x[n][..., :width].clone() for n in "qku")
    q[2] = torch.nan
    added_logits(q, k, u.requires_grad_(), None, csr, "leaky_relu:0.2").sum().backward()
    assert u.grad.isfinite().all()


@pytest.mark.parametrize("half", ["weights", "v"])
def test_one_gradient_of_the_sum_is_that_of_both(half, chunked):
    """Asked for one of two gradients, the sum reads less and gives the same."""
    csr, x = sort_edges(*GRAPHS["more sources"]), numbers(11, 3, 20)
    both = dict(
        zip(
            ("weights", "v"),
            torch.autograd.grad(weighted_sum(x["weights"], x["v"], csr).square().sum(), (x["weights"], x["v"])),
            strict=True,
        )
    )
    other = {"weights": "v", "v": "weights"}[half]
    x[other] = x[other].detach()
    (one,) = torch.autograd.grad(weighted_sum(x["weights"], x["v"], csr).square().sum(), x[half])
    torch.testing.assert_close(one, both[half])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [G * D, G * D + D, G * D + 1], ids=["side by side", "more heads between", "neither"])
def test_inputs_may_be_columns_of_one_map(width, dtype, chunked):
    """Keys and values as one linear map makes them, side by side: read where they lie, not copied."""
    edge_index, S, T = GRAPHS["more targets"]
    csr, x = sort_edges(edge_index, S, T), numbers(S, T, edge_index.shape[1], dtype)
    table = torch.cat([x["v"].detach().flatten(1), torch.full((S, width), 9.0, dtype=dtype)], 1)
    columns = [table[:, : G * D], torch.cat([table[:, G * D :], table[:, : G * D]], 1)[:, width:]]
    for made in (each.view(S, G, D).requires_grad_() for each in columns):
        out, other = (
            (
                weighted_sum(x["weights"], v, csr)
                + weighted_sum(dot_logits(torch.ones(T, G, D, dtype=dtype), v, csr), v, csr)
            )
            for v in (made, x["v"])
        )
        torch.testing.assert_close(out, other)
        torch.testing.assert_close(
            *(torch.autograd.grad(o.square().sum(), (x["weights"], v)) for o, v in ((out, made), (other, x["v"])))
        )


def test_layer_is_dense_attention():
    """On a graph without multi-edges, the softmax of the dense matrix with -inf off the edges."""
    edge_index = (torch.rand(6, 9, generator=torch.Generator().manual_seed(0)) < 0.4).nonzero().T
    csr, x = sort_edges(edge_index, 6, 9), numbers(6, 9, 0)
    z = x["q"][:, None] + x["k"][None]  # [T, S, G, W]
    logits = (x["u"] * ACTS["tanh"](z)).sum(-1) + torch.einsum("tgw,sgw->tsg", x["q"], x["k"])
    seen = torch.zeros(9, 6, dtype=torch.bool)
    seen[edge_index[1], edge_index[0]] = True
    weights = logits.masked_fill(~seen[..., None], -torch.inf).softmax(1).nan_to_num()
    same(layer(x, csr, "tanh", edge=False), torch.einsum("tsg,sgd->tgd", weights, x["v"]), [x["v"]])


@pytest.fixture(params=[(2, 2), (3, 6), (6, 3)], ids=["multi-edges", "more targets", "more sources"])
def small(request):
    S, T = request.param
    return sort_edges(graph(S, T, 8), S, T), numbers(S, T, 8)


@pytest.mark.parametrize("act", ACTS)
def test_gradients_of_added_logits(small, act):
    csr, x = small
    assert gradcheck(lambda *a: added_logits(*a, csr, act), [x[n] for n in ("q", "k", "u", "edge")])
    assert gradcheck(lambda *a: added_logits(*a, None, csr, act), [x[n] for n in ("q", "k", "u")])


def test_gradients_of_the_others(small, chunked):
    csr, x = small
    assert gradcheck(lambda *a: dot_logits(*a, csr), [x["q"], x["k"]])
    assert gradcheck(lambda *a: weighted_sum(*a, csr), [x["weights"], x["v"]])
    assert gradcheck(lambda x: segment_softmax(x, csr.rowptr, csr.row), [x["logits"]])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_multigraph(data):
    S, T = (data.draw(st.integers(1, 8)) for _ in range(2))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, S - 1), st.integers(0, T - 1)), max_size=40))
    act, edge = data.draw(st.sampled_from(list(ACTS))), data.draw(st.booleans())
    edge_index = torch.tensor(pairs).view(-1, 2).T.long()
    csr, x = sort_edges(edge_index, S, T), numbers(S, T, len(pairs), seed=data.draw(st.integers(0, 99)))
    same(layer(x, csr, act, edge), naive_layer(x, csr, act, edge), [x[n] for n in ("q", "k", "u", "v", "edge")])


@pytest.mark.parametrize("wanted", [c for c in product([True, False], repeat=4) if any(c)], ids=str)
def test_a_gradient_is_made_where_it_is_wanted(wanted):
    csr = sort_edges(*GRAPHS["multi-edges"])
    x = numbers(4, 4, 60, grad=False)
    names = [n for n, w in zip(("q", "k", "u", "edge"), wanted, strict=True) if w]
    for name in names:
        x[name].requires_grad_()
    added_logits(x["q"], x["k"], x["u"], x["edge"], csr, "tanh").sum().backward()
    assert [n for n, value in x.items() if value.grad is not None] == names


# --------------------------------------------------------------------------------------------------- softmax and its edges


def runs(*lengths):
    ptr = torch.tensor([0, *lengths]).cumsum(0)
    return ptr, torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))


def test_softmax_of_forbidden_edges_is_zero():
    """A run of nothing but -inf gives 0 with finite gradients (D3); others leave the forbidden out."""
    ptr, seg = runs(2, 0, 3, 1)
    logits = torch.tensor([[-torch.inf, -torch.inf, 1.0, -torch.inf, 1.0, -torch.inf]], requires_grad=True)
    weights = segment_softmax(logits, ptr, seg)
    assert weights.tolist() == [[0, 0, 0.5, 0, 0.5, 0]]
    (weights * torch.arange(6)).sum().backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[0, 0, -0.5, 0, 0.5, 0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_softmax_of_huge_scores(dtype):
    """Scores at the end of the type's range neither overflow nor vanish (D5)."""
    ptr, seg = runs(3, 2)
    top = torch.finfo(dtype).max
    logits = torch.tensor([[top, top, -top, -top, -top]], dtype=dtype, requires_grad=True)
    weights = segment_softmax(logits, ptr, seg)
    assert weights.dtype == torch.float32 and weights.tolist() == [[0.5, 0.5, 0, 0.5, 0.5]]
    weights[0, 0].backward()
    assert logits.grad.dtype == dtype and logits.grad.tolist() == [[0.25, -0.25, 0, 0, 0]]


def test_logits_of_float16_do_not_overflow():
    """q . k beyond float16's 65504 stays finite, as logits are float32 (D5)."""
    csr = sort_edges(torch.tensor([[0], [0]]), 1, 1)
    big = torch.full((1, 1, 64), 60.0, dtype=torch.float16)
    assert dot_logits(big, big, csr).item() == 64 * 3600


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_types(dtype):
    """Inside it is float32: the result is that of the same inputs in float64, rounded to the input's type."""
    edge_index, S, T = GRAPHS["multi-edges"]
    csr, x = sort_edges(edge_index, S, T), numbers(S, T, 60, dtype)
    y = {name: value.detach().double().requires_grad_() for name, value in x.items()}
    out, exact = layer(x, csr, "leaky_relu:0.2"), layer(y, csr, "leaky_relu:0.2")
    assert out.dtype == dtype
    tolerance = dict(rtol=4 * torch.finfo(dtype).eps, atol=16 * torch.finfo(dtype).eps)
    torch.testing.assert_close(out.double(), exact, **tolerance)
    out.float().square().sum().backward()
    exact.square().sum().backward()
    for name in ("q", "k", "u", "v", "edge"):
        assert x[name].grad.dtype == dtype
        torch.testing.assert_close(x[name].grad.double(), y[name].grad, rtol=0.02, atol=2 * tolerance["atol"] * 4)


# ---------------------------------------------------------------------------------------------- as operations of torch


def calls():
    csr, x = sort_edges(*GRAPHS["more targets"]), numbers(3, 11, 20)
    plan = list(csr)
    ops = torch.ops.zoo
    yield ops.added_logits, (x["q"], x["k"], x["u"], x["edge"], "leaky_relu:0.2", plan)
    yield ops.added_logits, (x["q"], x["k"], x["u"], None, "tanh", plan)
    yield ops.added_logits, (*(x[n].detach()[..., :1].requires_grad_() for n in ("q", "k", "u")), None, "relu", plan)
    yield ops.dot_logits, (x["q"], x["k"], plan)
    yield ops.weighted_sum, (x["weights"], x["v"], plan)
    yield ops.segment_softmax, (x["logits"], csr.rowptr, csr.row)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # opcheck's own
@pytest.mark.parametrize(("op", "args"), list(calls()), ids=lambda x: getattr(x, "__name__", ""))
def test_opcheck(op, args):
    opcheck(op, args)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_whole(backend):
    """Sort and operations are one graph, forward and backward, and change nothing (D8)."""
    torch.compiler.reset()
    edge_index, S, T = GRAPHS["isolated"]
    x = numbers(S, T, edge_index.shape[1])

    def run(x, edge_index):
        return layer(x, sort_edges(edge_index, S, T), "leaky_relu:0.2")

    compiled = torch.compile(run, fullgraph=True, backend=backend)
    inputs = [x[n] for n in ("q", "k", "u", "v", "edge")]
    same(compiled(x, edge_index), run(x, edge_index), inputs, rtol=0, atol=0)


def test_repeats_bit_for_bit(chunked):
    """No atomic adds: the same inputs give the same bits, gradients too (D6)."""
    S = T = 50
    csr, x = sort_edges(graph(S, T, 3000), S, T), numbers(S, T, 3000, torch.float32)
    inputs = [x[n] for n in ("q", "k", "u", "v", "edge")]

    def run():
        out = layer(x, csr, "leaky_relu:0.2")
        return [out, *torch.autograd.grad(out.square().sum(), inputs)]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.parametrize("act", ["leaky_relu", "leaky_relu:x", "leaky_relu:-1", "tahn"])
def test_unknown_activation(act):
    csr, x = sort_edges(*GRAPHS["multi-edges"]), numbers(4, 4, 60)
    with pytest.raises(ZooError, match="act="):
        added_logits(x["q"], x["k"], x["u"], None, csr, act)
