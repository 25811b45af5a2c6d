"""Edges as a pattern and as a value: how they join others, travel, take loops, and say what is wrong with them."""

import copy
import pickle

import pytest
import torch

from tests.attention.examples import D
from zoo.attention import (
    AdditiveEdgeScore,
    AttentionCall,
    Edges,
    Full,
    GATScore,
    GATv2Score,
    GraphEdges,
    LinearFeatures,
    Padding,
    Prefix,
    Window,
    attend,
    attention_weights,
)
from zoo.errors import ZooError


def test_or_is_a_mask():
    """`Edges | other` is dense: SDPA takes it, double edges count once, and edges that do not count are not in it."""
    index = torch.tensor([[0, 0, 3, 4], [2, 2, 1, 0]])
    x = torch.randn(1, 2, 5, D)
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[2, 0] = expected[1, 3] = expected[0, 4] = True
    expected |= (torch.arange(5)[:, None] - torch.arange(5)).abs() < 2
    pattern = Edges(index, 5) | Window(2)
    want = attend(x, x, x, bias=torch.where(expected, 0.0, -torch.inf)).out
    for kernel in ("sdpa", "reference"):
        torch.testing.assert_close(attend(x, x, x, pattern=pattern, kernel=kernel).out, want)
    with pytest.raises(ZooError, match="no list of edges"):
        attend(x, x, x, pattern=pattern, kernel="edge_list")
    partly = Edges(index, 5, keep=torch.tensor([False, True, False, False])) | Prefix(0)
    assert partly.allowed(
        0, 0, *torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij")
    ).nonzero().tolist() == [[2, 0]]


def test_or_is_no_choice_of_keys_alone():
    """`Edges | Prefix` looks at the query, so no kernel may take it for padding (linear attention did)."""
    pattern = Edges(torch.tensor([[0, 3], [2, 1]]), 5) | Prefix(1)
    x = torch.rand(1, 1, 5, D)
    assert pattern.uses_query
    how = dict(pattern=pattern, score=LinearFeatures())
    torch.testing.assert_close(attend(x, x, x, **how).out, attend(x, x, x, **how, kernel="reference").out)
    with pytest.raises(ZooError, match="neither causal nor a choice of keys alone"):
        attend(x, x, x, **how, kernel="linear")


def test_joined_edges_are_refused():
    index = torch.tensor([[0, 1], [1, 0]])
    plain = Edges(index, 2)
    for odd in (Edges(index, 2, features=torch.ones(2, 1)), Edges(index, 2, group=torch.zeros(2).long())):
        for join in (lambda a: a | Window(1), lambda a: Window(1) | a):
            with pytest.raises(ZooError, match="features or groups cannot be joined by"):
                join(odd)
    for other in (plain, Window(2) & plain):
        with pytest.raises(ZooError, match="Two lists of edges cannot be joined by `&`"):
            plain & other
    assert (plain | plain).edges is None
    assert (Window(2) & plain & Padding(torch.tensor([2]))).edges is plain
    assert (plain & Full()) is plain and isinstance(plain.index_pattern, Full)


def test_graph_edges_stand_for_a_graph():
    edges = Edges(torch.tensor([[0, 1], [1, 0]]), 2)
    assert GraphEdges().bind(edges) is edges and Window(2).bind(edges) == Window(2)
    joined = (GraphEdges() & Window(2)).bind(edges)
    assert joined.edges is edges and joined.index_pattern == Window(2)
    assert (GraphEdges() | Window(2)).bind(edges).edges is None
    assert GraphEdges() == GraphEdges()  # a value, as it stands in configs
    x = torch.randn(1, 1, 2, D)
    for pattern in (GraphEdges(), GraphEdges() & Window(2), Window(2) | GraphEdges()):
        with pytest.raises(
            ZooError, match=r"GraphEdges\(\) stands for a graph that a model is given; in attend, write"
        ):
            attend(x, x, x, pattern=pattern)
    with pytest.raises(ZooError, match="Two lists"):
        (GraphEdges() & GraphEdges()).bind(edges)


def test_edges_are_a_value():
    """They pickle and copy, sorting included; `.to` the same device is the same object; features change, the plan stays."""
    edges = Edges(torch.randint(5, (2, 9)), 5, torch.randn(9, 2), torch.randint(2, (9,)), torch.rand(9) > 0.2)
    plan = edges.sorted
    assert edges.to("cpu") is edges and edges.sorted is plan
    for other in (pickle.loads(pickle.dumps(edges)), copy.deepcopy(edges), edges._map(torch.clone)):
        assert other is not edges and other.num_nodes == 5
        for name in ("edge_index", "features", "group", "keep"):
            assert torch.equal(getattr(other, name), getattr(edges, name))
        assert all(map(torch.equal, other._plan["sorted"], plan))
    assert edges.with_features(None).sorted is plan
    late = Edges(torch.randint(5, (2, 9)), 5)
    assert late.with_features(torch.ones(9, 1)).sorted is late.sorted  # whoever is asked first
    joined = edges & Padding(torch.tensor([3]))
    assert pickle.loads(pickle.dumps(joined)).edges.num_nodes == 5 and not joined.is_static


INDEX = torch.tensor([[0, 1, 2], [1, 1, 0]])
FEATURED = Edges(INDEX, 3, torch.ones(3, 2))


@pytest.mark.parametrize("make, message", [
    (lambda: Edges([[0], [1]], 2), r"edge_index is \[2, E\], row 0 the sources, row 1 the targets; got \[\[0\], \[1\]\]"),
    (lambda: Edges(INDEX.T, 3), r"edge_index is \[2, E\].*got \[3, 2\]"),
    (lambda: Edges(INDEX.float(), 3), r"edge_index holds integers; got torch.float32: use edge_index.long\(\)"),
    (lambda: Edges(INDEX.bool(), 3), r"edge_index holds integers; got torch.bool"),
    (lambda: Edges(INDEX, 2), r"Edge 2 is \(2, 0\), but there are 2 source nodes: 0 to 1"),
    (lambda: Edges(INDEX, (3, 1)), r"Edge 0 is \(0, 1\), but there are 1 target nodes: 0 to 0"),
    (lambda: Edges(INDEX - 1, 3), r"Edge 0 is \(-1, 0\), but there are 3 source nodes: 0 to 2"),
    *[(lambda n=n: Edges(INDEX, n), r"num_nodes is a number of nodes, or \(sources, targets\); got")
      for n in (None, 3.0, -1, (3, 3, 3), [3, 3])],
    (lambda: Edges(INDEX, 3, torch.ones(2, 4)), r"needs features for each of its 3 edges; got features of shape \[2, 4\]"),
    (lambda: Edges(INDEX, 3, group=torch.ones(3, 1).long()), r"Edges needs group for each of its 3 edges; got group of shape"),
    (lambda: Edges(INDEX, 3, keep=torch.ones(4).bool()), r"Edges needs keep for each of its 3 edges"),
    (lambda: Edges(INDEX, 3, torch.tensor([0, 1, torch.nan])), "The features of edge 2 hold NaN or infinity: repair them"),
    (lambda: Edges(INDEX, 3, torch.tensor([[0], [torch.inf], [0]])), "The features of edge 1 hold NaN or infinity"),
    (lambda: Edges(INDEX, 3).with_features(torch.full((3,), torch.nan)), "The features of edge 0 hold NaN or infinity"),
    (lambda: Edges(INDEX, 3).with_features(torch.ones(4)), "Edges needs features for each of its 3 edges"),
    (lambda: Edges(INDEX, (3, 3)).with_self_loops(), r"Self-loops need one set of nodes; .* 3 sources to 3 targets"),
    (lambda: Edges(INDEX, 3, group=torch.zeros(3).long()).with_self_loops(), "Grouped edges take no added loops"),
    (lambda: Edges(INDEX, 3).with_self_loops("median"), r"Loops are filled by one of mean, sum, min, max or a number; got 'm"),
    (lambda: Edges(INDEX, 3).with_self_loops(False), r"a number; got False. For none, self_loops=null"),
    (lambda: Edges(INDEX, 3).with_self_loops().with_self_loops(), "These edges have had their loops added"),
    (lambda: Edges(INDEX, 3).with_self_loops().subset(torch.ones(6).bool()), "Choose edges before loops are added"),
])  # fmt: skip
def test_wrong_edges_are_named(make, message):
    """An error says which edge, where, and what to do."""
    with pytest.raises(ZooError, match=message):
        make()


@pytest.mark.parametrize("how, message", [
    (dict(pattern=Edges(INDEX, 4)), r"Edges of \(4, 4\) \(sources, targets\) on 3 keys and 3 queries: give its num_nodes"),
    (dict(pattern=Edges(INDEX, 3), q_pos=torch.arange(3)), "Edges name nodes, not places in a sequence: they take no cache"),
    (dict(edge_values=torch.ones(3, 1, D)), "edge_values .* need a pattern with edges"),
    (dict(pattern=Edges(INDEX, 3), edge_values=torch.ones(3, 2, D)), r"need a pattern with \[E, H, D\] = \[3, 1, 8\]"),
    (dict(pattern=FEATURED), r"ScaledDot adds .* so they are \[E, 1, 8\]"),
    (dict(pattern=FEATURED, score=GATScore(1, D, edge_dim=4)), r"GATScore .* they are \[E, 4\]; got \[3, 2\]"),
    (dict(pattern=FEATURED, score=GATv2Score(1, D)), r"GATv2Score .* they are \[E, 0\]; got \[3, 2\]"),
    (dict(pattern=FEATURED, score=AdditiveEdgeScore()), r"AdditiveEdgeScore .* they are \[E, 1\]; got \[3, 2\]"),
])  # fmt: skip
def test_calls_that_do_not_fit_are_refused(how, message):
    x = torch.randn(1, 1, 3, D)
    with pytest.raises(ZooError, match=message):
        attend(x, x, x, **how)


# -------------------------------------------------------------------------------------------------------------- loops


@pytest.mark.parametrize("fill", ["mean", "sum", "min", "max", 0.5, 2])
def test_loops_are_those_of_pyg(fill):
    """D4: own loops are replaced; then one a node, filled from the edges into it. As PyTorch Geometric does."""
    from torch_geometric.utils import add_self_loops, remove_self_loops

    index = torch.randint(7, (2, 30))
    index[:, 4] = index[:, 9] = 3
    index[1, index[1] == 6] = 0  # nobody points at node 6
    features = torch.randn(30, 2)
    got = Edges(index, 7, features).with_self_loops(fill)
    want = add_self_loops(
        *remove_self_loops(index, features), fill_value=fill if isinstance(fill, str) else float(fill), num_nodes=7
    )
    assert torch.equal(got.edge_index, want[0])
    torch.testing.assert_close(got.features, want[1])
    assert got.num_loops == 7 and Edges(index, 7).with_self_loops(fill).features is None
    kept = index[:, index[0] != index[1]]
    assert torch.equal(got.edge_index, torch.cat([kept, torch.arange(7).expand(2, 7)], 1))  # in their order, then loops


def test_loops_of_edges_that_do_not_count():
    """Features of loops are made of the edges that count; a graph without edges has loops of 0."""
    index, features = torch.tensor([[0, 1, 2], [1, 1, 1]]), torch.tensor([[1.0], [5.0], [3.0]])
    looped = Edges(index, 3, features, keep=torch.tensor([True, True, False])).with_self_loops("mean")
    assert looped.edge_index.tolist() == [[0, 0, 1, 2], [1, 0, 1, 2]] and looped.keep is None
    assert looped.features.tolist() == [[1.0], [0.0], [1.0], [0.0]]
    assert Edges(index[:, :0], 3, features[:0]).with_self_loops("max").features.tolist() == [[0.0]] * 3


def test_recorded_edges_are_those_that_count():
    """D1: what does not count is not in a record, in eager mode (where it is taken out) or compiled (where it stays)."""
    index, x = torch.tensor([[0, 1, 2, 2], [1, 1, 2, 0]]), torch.randn(1, 2, 3, D)
    edges = Edges(index, 3, keep=torch.tensor([True, False, True, True]))
    got = attention_weights(AttentionCall(x, x, x, pattern=edges & Padding(torch.tensor([2]))))
    assert torch.equal(got.edge_index, index[:, [0, 2, 3]]) and not got.is_loop.any()
    assert got.alpha.tolist() == [[1, 1], [0, 0], [0, 0]]
    joined = Edges(torch.cat([index, torch.arange(3).expand(2, 3)], 1), 3, keep=torch.arange(7) != 1, num_loops=3)
    assert attention_weights(AttentionCall(x, x, x, pattern=joined)).is_loop.tolist() == [False] * 3 + [True] * 3
    batch = attention_weights(AttentionCall(*[x.expand(2, -1, -1, -1)] * 3, pattern=Edges(index, 3, names=index + 5)))
    assert batch.alpha.shape == (2, 4, 2) and torch.equal(batch.edge_index, index + 5)
