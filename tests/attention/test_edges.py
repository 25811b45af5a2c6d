"""Contract 5: attention along a list of edges. Edge list == loops == dense attention, with everything an edge may carry."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo.attention.edges as edges_module
from tests.attention.examples import SCORES, D, facts
from zoo.attention import (
    AdditiveEdgeScore,
    AttentionCall,
    Documents,
    Edges,
    Full,
    GATScore,
    GATv2Score,
    LinearFeatures,
    MultiplicativeEdgeScore,
    Padding,
    ScaledDot,
    Window,
    attend,
    build,
    explain,
)
from zoo.errors import ZooError

ALL = [*(kind for kind in SCORES if not kind.uses_places), AdditiveEdgeScore, MultiplicativeEdgeScore]
KERNELS = ["edge_list", "reference"]
#: those that say how a target's edges become weights; the others are for the reference alone
LISTED = [kind for kind in ALL if build(kind, **facts(), edge_dim=0).normalizes_edges]
EACH = [(kind, kernel) for kind in ALL for kernel in KERNELS if kernel == "reference" or kind in LISTED]
A, DV = 3, 5  # widths of raw edge features, and of values


def case(
    kind, S=6, T=6, E=25, heads=4, kv=2, batch=2, seed=0, extras=(), dtype=torch.float64, index=None, device="cpu"
):
    """(arguments of attend, tensors to differentiate) on a random multigraph; `extras`: what edges and logits carry."""
    made = torch.Generator().manual_seed(seed)

    def number(*size):
        return torch.randn(size, generator=made, dtype=torch.float64).to(device, dtype).requires_grad_()

    if index is None:
        index = torch.stack([torch.randint(max(n, 1), (E,), generator=made) for n in (S, T)])
    E = index.shape[1]
    width = 1 if kind in (AdditiveEdgeScore, MultiplicativeEdgeScore) else D
    score = build(kind, **facts(heads=heads), edge_dim=A if "features" in extras else 0).to(device, dtype)
    features = number(E, *score.edge_shape(heads, width)) if "features" in extras else None
    group = torch.randint(-1, 2, (E,), generator=made) if "group" in extras else None
    keep = torch.rand(E, generator=made) > 0.3 if "keep" in extras else None
    bias = None
    if "bias" in extras or "-inf" in extras:
        bias = number(heads, T, S) if "-inf" in extras else number(batch, 1, T, S)
    tensors = [number(batch, heads, T, width), number(batch, kv, S, width), number(batch, kv, S, DV)]
    values = number(E, heads, DV) if "edge_values" in extras else None
    carried = [x for x in (features, bias, values) if x is not None]
    if "-inf" in extras:
        bias = bias.masked_fill((torch.rand(bias.shape, generator=made) < 0.4).to(device), -torch.inf)
    pattern = Edges(index, S if S == T else (S, T), features, group, keep)
    joined = {
        "padding": lambda: Padding(torch.arange(1, batch + 1) * S // (batch + 1)),
        "window": lambda: Window(3),
        "documents": lambda: Documents(torch.randint(2, (batch, S), generator=made)),
    }
    for name, other in joined.items():
        pattern = pattern & other() if name in extras else pattern
    pattern = pattern.to(device)
    how = dict(score=score, pattern=pattern, bias=bias, edge_values=values, need_weights=True, need_logits=True)
    return (tensors, how), [*tensors, *carried, *score.parameters()]


def grads(got, inputs):
    """Gradients of everything that is finite: outputs, weights and, where allowed, logits."""
    total = sum((x * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)).sum() for x in (got.out, got.weights))
    total = total + got.logits.masked_fill(got.logits == -torch.inf, 0).square().sum()
    if not total.requires_grad:  # the loop over no edges has no graph
        return tuple(map(torch.zeros_like, inputs))
    return torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)


def same(got, want, inputs):
    torch.testing.assert_close(tuple(got), tuple(want), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(grads(got, inputs), grads(want, inputs), rtol=1e-8, atol=1e-8)


def by_hand(q, k, v, score, pattern, bias, edge_values):
    """An independent implementation: one edge after another, for each sample and head."""
    edges, place, call = pattern.edges, torch.tensor, AttentionCall(q, k, v, score, pattern)
    (B, H, T, _), S, per = q.shape, k.shape[2], q.shape[1] // k.shape[1]
    k, v = (x[:, torch.arange(H) // per] for x in (k, v))
    out = [[[torch.zeros(DV, dtype=q.dtype)] * T for _ in range(H)] for _ in range(B)]
    weights = torch.zeros(B, H, edges.edge_index.shape[1], dtype=q.dtype)
    for b in range(B):
        for h in range(H):
            runs = {}
            for e, (s, t) in enumerate(edges.edge_index.T.tolist()):
                seen = edges.keep is None or bool(edges.keep[e])
                seen &= bool(pattern.index_pattern.allowed(place(b), place(h), place(t + S - T), place(s)))
                added = 0 if bias is None else bias.expand(B, H, T, S)[b, h, t, s]
                if not seen or (bias is not None and added == -torch.inf):
                    continue
                feature = None if edges.features is None else edges.features[e : e + 1]
                logit = score.pairs(q[b : b + 1, :, t : t + 1], k[b : b + 1, :, s : s + 1], feature)[0, h, 0] + added
                value = v[b, h, s] if edge_values is None else v[b, h, s] + edge_values[e, h]
                runs.setdefault((t, 0 if edges.group is None else int(edges.group[e])), []).append((e, logit, value))
            for (t, _), run in runs.items():
                weight = torch.stack([logit for _, logit, _ in run])
                weight = (
                    weight.softmax(0) if score.is_softmax else score.normalize(weight.view(1, 1, 1, -1), call)[0, 0, 0]
                )
                weights[b, h, [e for e, _, _ in run]] = weight
                out[b][h][t] = out[b][h][t] + weight @ torch.stack([value for _, _, value in run])
    return torch.stack([torch.stack([torch.stack(rows) for rows in heads]) for heads in out]), weights


VARIANTS = {
    "plain": {},
    "features": dict(extras=["features"]),
    "groups": dict(extras=["group"], E=40),
    "bias": dict(extras=["bias"]),
    "-inf": dict(extras=["-inf"]),
    "keep": dict(extras=["keep"]),
    "edge values": dict(extras=["edge_values"]),
    "& Padding": dict(extras=["padding"]),
    "& Window": dict(extras=["window"]),
    "& Documents": dict(extras=["documents"]),
    "more sources": dict(S=9, T=4, extras=["features", "padding", "documents"]),
    "more targets": dict(S=4, T=9, extras=["features", "padding", "-inf"]),
    "a kv head each": dict(kv=4, extras=["padding"]),
    "multi-query": dict(kv=1, batch=1, extras=["features"]),
    "one head": dict(heads=1, kv=1, extras=["group"]),
    "everything": dict(E=40, extras=["features", "group", "keep", "edge_values", "-inf", "padding", "window", "documents"]),
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", LISTED)
def test_edge_list_equals_reference(kind, variant):
    """Contracts 1 and 5: outputs, weights, logits and all gradients, with multi-edges, for every score."""
    (qkv, how), inputs = case(kind, **VARIANTS[variant])
    got, want = (attend(*qkv, **how, kernel=name) for name in KERNELS)
    same(got, want, inputs)
    assert explain(*qkv, **how).chosen == "edge_list"


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in LISTED])
def test_a_normalisation_that_says_nothing_of_edges_is_for_the_reference(kind):
    """The list refuses it with the reason, and it is not passed over in silence."""
    (qkv, how), _ = case(kind)
    said = explain(*qkv, **how)
    assert said.chosen == "reference" and f"{kind.__name__} says nothing of edges" in dict(said.lines)["edge_list"]


@pytest.mark.gpu
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", LISTED)
def test_kernels_agree_on_cuda(kind, variant):
    """Contract 1: what the fused kernel does not refuse it computes as the list does."""
    (qkv, how), inputs = case(kind, **VARIANTS[variant], device="cuda")
    how |= dict(need_weights=False, need_logits=False)
    if explain(*qkv, **how).chosen != "edge_fused":
        with pytest.raises(ZooError, match="edge_fused"):
            attend(*qkv, **how, kernel="edge_fused")
        return
    got, want = (attend(*qkv, **how, kernel=name).out for name in ("edge_fused", "edge_list"))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    mine, theirs = (
        torch.autograd.grad(x.square().sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
        for x in (got, want)
    )
    torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("variant", ["everything", "groups", "more sources", "more targets"])
@pytest.mark.parametrize(
    "kind",
    [
        ScaledDot,
        GATScore,
        GATv2Score,
        LinearFeatures,
        MultiplicativeEdgeScore,
        *(kind for kind in ALL if kind not in LISTED),
    ],
)
def test_reference_equals_single_edges(kind, variant):
    """Contract 5: the oracle itself against one edge after another."""
    (qkv, how), _ = case(kind, **{**VARIANTS[variant], "E": 15, "heads": 2, "kv": 1})
    got = attend(*qkv, **how, kernel="reference")
    out, weights = by_hand(*qkv, how["score"], how["pattern"], how["bias"], how["edge_values"])
    torch.testing.assert_close((got.out, got.weights), (out, weights), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [(6, 6), (9, 4), (4, 9)])
@pytest.mark.parametrize("kind", ALL)
def test_edge_list_equals_dense(kind, sizes):
    """Contract 5: on a graph without double edges, dense attention with the graph as a mask; SDPA where there is a dot."""
    S, T = sizes
    index = (torch.rand(S, T, generator=torch.Generator().manual_seed(1)) < 0.4).nonzero().T
    (qkv, how), inputs = case(kind, S, T, index=index, extras=["bias"])
    how |= dict(need_weights=False, need_logits=False)
    got = attend(*qkv, **how, kernel="edge_list" if kind in LISTED else "reference").out
    hidden = torch.ones(T, S, dtype=torch.bool).index_put((index[1], index[0]), torch.tensor(False))
    dense = "sdpa" if "dot" in how["score"].forms and how["score"].is_softmax else "reference"
    others = [how | dict(pattern=Full(), bias=how["bias"].masked_fill(hidden, -torch.inf))]
    if S >= T:
        others.append(how | dict(pattern=how["pattern"] | how["pattern"]))
    for other in others:
        want = attend(*qkv, **other, kernel=dense).out
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
        mine, theirs = (
            torch.autograd.grad(x.square().sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
            for x in (got, want)
        )
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 30), st.integers(0, 10**6), st.sampled_from(LISTED),
       st.sets(st.sampled_from(["features", "group", "bias", "-inf", "keep", "edge_values", "padding"])))  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_multigraph(S, T, E, seed, kind, extras):
    """Contract 5 over graphs of any shape, nodes and edges none included."""
    (qkv, how), inputs = case(kind, S, T, E if S and T else 0, 2, 1, 1, seed, extras)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges_module, "_told_of_isolated", True)
        same(*(attend(*qkv, **how, kernel=name) for name in KERNELS), inputs)


@pytest.mark.parametrize("kind, kernel", EACH)
def test_names_and_order_mean_nothing(kind, kernel):
    """Contract 5: equivariant to renaming nodes, invariant to the order of edges; weights come in the order of the input."""
    ((q, k, v), how), _ = case(kind, extras=["features", "group"])
    edges, nodes, order = how["pattern"], torch.randperm(6), torch.randperm(25)
    want = attend(q, k, v, **how, kernel=kernel)
    other = Edges(nodes.argsort()[edges.edge_index], 6, edges.features, edges.group)  # node i of it is nodes[i]
    got = attend(*(x[:, :, nodes] for x in (q, k, v)), **how | dict(pattern=other), kernel=kernel)
    torch.testing.assert_close((got.out, got.weights), (want.out[:, :, nodes], want.weights))
    other = Edges(edges.edge_index[:, order], 6, edges.features[order], edges.group[order])
    got = attend(q, k, v, **how | dict(pattern=other), kernel=kernel)
    torch.testing.assert_close(
        tuple(got), (want.out, want.weights[..., order], want.logits[..., order]), rtol=1e-12, atol=1e-12
    )


def test_a_double_edge_counts_twice():
    q, k, v = (torch.randn(1, 1, 2, D) for _ in range(3))
    twice = Edges(torch.tensor([[0, 0, 1], [0, 0, 0]]), 2)
    for kernel in KERNELS:
        got = attend(q, k, v, pattern=twice, score=build(ScaledDot), kernel=kernel, need_weights=True)
        a, b = (q[0, 0, 0] @ k[0, 0].T / D**0.5).exp()
        torch.testing.assert_close(got.weights[0, 0], torch.stack([a, a, b]) / (2 * a + b))
        assert (got.out[0, 0, 1] == 0).all()


# ------------------------------------------------------------------------------------------------- edges of the domain


@pytest.mark.parametrize("kernel", KERNELS)
def test_isolated_target_is_zero_and_told_once(kernel, monkeypatch):
    """D3: a node without incoming edges gives 0 with finite gradients, and one warning a process says so."""
    monkeypatch.setattr(edges_module, "_told_of_isolated", False)
    index = torch.tensor([[0, 1, 2], [1, 1, 0]])
    (qkv, how), inputs = case(GATv2Score, 4, 4, index=index)
    with pytest.warns(UserWarning, match=r"2 of 4 nodes have no incoming edge \(the first is node 2\)"):
        assert how["pattern"].sorted is how["pattern"].sorted
    (qkv, how), inputs = case(GATv2Score, 4, 4, index=index)  # a second warning would be an error here
    got = attend(*qkv, **how, kernel=kernel)
    assert (got.out[:, :, 2:] == 0).all() and (got.out[:, :, :2] != 0).all()
    assert all(grad.isfinite().all() for grad in grads(got, inputs))


HIDING = {
    "no edge": lambda n: dict(pattern=Edges(torch.tensor([[0, 1, 2, 2, 4], [1, 1, 0, 4, 3]]), n)),
    "padding": lambda n: dict(pattern=HIDING["read"](n)["pattern"] & Padding(torch.tensor([3, 3]))),
    "padding of one": lambda n: dict(pattern=HIDING["read"](n)["pattern"] & Padding(torch.tensor([3, n]))),
    "bias": lambda n: dict(bias=torch.tensor([0.0, 0, 0, -torch.inf, 0]), **HIDING["read"](n)),
    "keep": lambda n: dict(
        pattern=Edges(HIDING["read"](n)["pattern"].edge_index, n, keep=torch.tensor([1, 1, 1, 0, 1, 0]).bool())
    ),
    "read": lambda n: dict(pattern=Edges(torch.tensor([[0, 1, 2, 3, 4, 3], [1, 1, 0, 1, 3, 2]]), n)),
}


@pytest.mark.parametrize("hidden", [name for name in HIDING if name != "read"])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize("kind, kernel", EACH)
def test_poison_at_an_unread_source_goes_nowhere(kind, kernel, poison, hidden):
    """Contract 3: NaN or inf at a source that no edge of its sample reads reaches no output and no other gradient."""
    ((q, k, v), how), inputs = case(kind, 5, 5, E=6)
    how = dict(score=how["score"], need_weights=True, need_logits=True, **HIDING[hidden](5))
    want = attend(q, k, v, **how, kernel=kernel)
    dirty = [x.detach().clone() for x in (k, v)]
    for x in dirty:
        x[0, :, 3] = poison
    dirty = [q, *(x.requires_grad_() for x in dirty)]
    got = attend(*dirty, **how, kernel=kernel)
    torch.testing.assert_close(tuple(got), tuple(want))
    rest = inputs[3:]
    torch.testing.assert_close(grads(got, [*dirty, *rest]), grads(want, [q, k, v, *rest]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", LISTED)
def test_large_scores_and_half_precision(kind, dtype):
    """D5: the softmax is stable for scores far outside exp's range, and 16-bit inputs are summed in float32."""
    (qkv, how), _ = case(kind, dtype=dtype, extras=["features"])
    want = attend(*(x.double() for x in qkv), **how | dict(
        score=copy.deepcopy(how["score"]).double(), pattern=how["pattern"].with_features(how["pattern"].features.double())
    ), kernel="reference").out  # fmt: skip
    got = attend(*qkv, **how, kernel="edge_list")
    assert got.out.dtype == got.weights.dtype == dtype
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float16: 0.01}[dtype]
    torch.testing.assert_close(got.out.double(), want, rtol=tolerance, atol=tolerance)
    large = attend(qkv[0] * 60, qkv[1] * 60, qkv[2], **how, kernel="edge_list")
    for x in (large.out, large.weights, *torch.autograd.grad(large.out.sum(), qkv)):
        assert x.isfinite().all()


@pytest.mark.parametrize("sizes", [(4, 4), (0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("kind, kernel", EACH)
def test_no_edges(kind, kernel, sizes):
    """D3: an empty graph gives zeros, and gradients of zero."""
    (qkv, how), inputs = case(kind, *sizes, E=0, extras=["features", "edge_values"])
    got = attend(*qkv, **how, kernel=kernel)
    assert got.out.shape == (2, 4, sizes[1], DV) and (got.out == 0).all() and got.weights.shape == (2, 4, 0)
    if got.out.requires_grad:  # the loop over no edges has no graph
        zeros = torch.autograd.grad(got.out.sum(), inputs, allow_unused=True, materialize_grads=True)
        assert all((grad == 0).all() for grad in zeros)


def test_dropout_is_on_edges():
    """The mean over many draws is the output without; the weights returned are those before (bug 23)."""
    ((q, k, v), how), _ = case(GATScore, batch=1, dtype=torch.float32)
    want = attend(q, k, v, **how)
    draws = attend(*(x.expand(1000, -1, -1, -1) for x in (q, k, v)), **how, dropout=0.4)
    torch.testing.assert_close(draws.weights, want.weights.expand(1000, -1, -1))
    assert not torch.allclose(draws.out[0], draws.out[1])
    torch.testing.assert_close(draws.out.mean(0), want.out[0], rtol=0, atol=0.2)


def test_what_is_sorted_under_inference_mode_serves_training():
    """E11: nothing that inference leaves behind breaks a later backward pass."""
    (qkv, how), inputs = case(ScaledDot)
    with torch.inference_mode():
        attend(*qkv, **how)
    attend(*qkv, **how).out.sum().backward()
    assert inputs[0].grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_narrow_integers(dtype):
    """Any integers name nodes: a small graph may come in uint8, which indexing would read as a mask."""
    (qkv, how), inputs = case(GATScore, extras=["bias", "window"])
    edges = how["pattern"].edges
    narrow = Edges(edges.edge_index.to(dtype), 6)
    assert torch.equal(narrow.with_self_loops().edge_index, Edges(edges.edge_index, 6).with_self_loops().edge_index)
    same(attend(*qkv, **how | dict(pattern=narrow & Window(3))), attend(*qkv, **how), inputs)
