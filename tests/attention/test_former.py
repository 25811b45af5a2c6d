"""Names that the core had before mean the same, in code that uses them and in classes that define them."""

from dataclasses import dataclass

import pytest
import torch

import zoo.attention as core
from tests.attention.examples import N, tensors
from zoo.attention import (
    AttentionCall,
    Edges,
    Full,
    GATScore,
    GraphEdges,
    Pattern,
    ScaledDot,
    Score,
    Window,
    attend,
    explain,
)


@pytest.mark.parametrize("old, new", [
    ("Sum", "AdditiveForm"), ("EdgeSum", "AdditiveEdgeScore"), ("EdgeProduct", "MultiplicativeEdgeScore"),
    ("ConcatHeads", "OutputProjection"),
])  # fmt: skip
def test_classes(old, new):
    assert getattr(core, old) is getattr(core, new) and {old, new} <= set(core.__all__)


def test_methods_and_properties():
    edges = Edges(torch.randint(N, (2, 12)), N)
    q, k, v = tensors(kv=2)
    call = AttentionCall(q, k, v, pattern=edges & Window(3))
    assert torch.equal(call.seen_edges(), call.edge_mask()) and call.groups == call.queries_per_kv == 2
    assert call.sees_all is call.is_unmasked is False and torch.equal(call.spread(k), call.repeat_kv(k))
    assert all(torch.equal(a, b) for a, b in zip(call.places(), call.index_grid(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(call.visible(None), call.zero_hidden(None), strict=True))
    assert GraphEdges().on(edges) is edges and call.pattern.besides_edges == call.pattern.index_pattern == Window(3)
    assert torch.equal(edges.with_loops(fill=0.0).edge_index, edges.with_self_loops(fill_value=0.0).edge_index)
    score = GATScore(4, 8).double()
    assert (
        torch.equal(score.as_sum(q, q).q, score.as_additive(q, q).q) and score.has("as_sum") and not score.has("as_dot")
    )


class Old(Score):
    """Written before: under the former names."""

    def pairs(self, q, k, edge=None):
        return torch.tanh(q + k).sum(-1)

    def as_sum(self, q, k, edge=None):
        return core.Sum(q, k, q.new_ones(q.shape[1], q.shape[-1]), "tanh")


class OldSigmoid(ScaledDot):
    is_distribution = False

    def normalize(self, logits, call):
        return logits.sigmoid()

    def normalize_runs(self, logits, ptr, run):
        return logits.sigmoid()


@dataclass(frozen=True)
class OldGraph(Pattern):
    def on(self, edges):
        return edges


@pytest.mark.parametrize("score", [Old(), OldSigmoid()])
def test_classes_that_define_a_former_name(score):
    edges, q_k_v = Edges(torch.randint(N, (2, 20)), N), tensors()
    assert explain(*q_k_v, score=score, pattern=edges).chosen == "edge_list"
    got, want = (attend(*q_k_v, score=score, pattern=edges, kernel=kernel).out for kernel in ("edge_list", "reference"))
    torch.testing.assert_close(got, want)
    assert ("additive" in score.forms) == isinstance(score, Old) and score.is_softmax == isinstance(score, Old)
    assert OldGraph().bind(edges) is edges and (OldGraph() & Full()).bind(edges) is edges
