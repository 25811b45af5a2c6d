"""MAD, MADGap and Dirichlet energy are what their papers say: against loops, and where the answer is known by hand."""

import math

import pytest
import torch

from zoo.errors import ZooError
from zoo.reports.smoothness import FAR, NEAR, cosine_distances, dirichlet_energy, mad, orders, smoothness


def path(n: int) -> torch.Tensor:
    """0 - 1 - ... - n-1, both directions."""
    one = torch.arange(n - 1)
    return torch.stack([torch.cat([one, one + 1]), torch.cat([one + 1, one])])


def random_graph(nodes: int, edges: int, seed: int = 0) -> torch.Tensor:
    """With loops, multi-edges, edges in one direction and nodes out of reach."""
    return torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(seed))


def naive_orders(edge_index, nodes):
    near = {i: set() for i in range(nodes)}
    for i, j in edge_index.T.tolist():
        near[i].add(j)
        near[j].add(i)
    found = torch.full((nodes, nodes), FAR)
    for start in range(nodes):
        ring, seen = {start}, set()
        for steps in range(FAR):
            found[start, list(ring)] = steps
            seen |= ring
            ring = {j for i in ring for j in near[i]} - seen
            if not ring:
                break
    return found


def naive_mad(x, pairs):
    """MAD of Chen et al. 2020, pair by pair."""
    means = []
    for i in range(len(x)):
        row = [
            1 - float(x[i] @ x[j] / (x[i].norm() * x[j].norm()))
            for j in range(len(x))
            if i != j and pairs[i, j] and x[i].any() and x[j].any()
        ]
        row = [d for d in row if d > 1e-12]
        if row:
            means.append(sum(row) / len(row))
    return sum(means) / len(means) if means else 0.0


def naive_energy(x, edge_index):
    pairs = {tuple(sorted(edge)) for edge in edge_index.T.tolist() if edge[0] != edge[1]}
    degree = [sum(i in pair for pair in pairs) for i in range(len(x))]
    parts = [(x[i] / math.sqrt(1 + degree[i]) - x[j] / math.sqrt(1 + degree[j])).square().sum() for i, j in pairs]
    return float(sum(parts)) / len(x)


@pytest.mark.parametrize("seed", range(3))
def test_all_measures_against_loops(seed):
    nodes = 40
    edges = random_graph(nodes, 45, seed)
    x = torch.randn(nodes, 5, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    x[3], x[7], x[9] = 0, 2 * x[8], x[8]
    order = naive_orders(edges, nodes)
    assert torch.equal(orders(edges, nodes).long(), order)
    found = smoothness(x, edges)
    assert found.dead == 1
    assert found.mad == pytest.approx(naive_mad(x, order >= 0), abs=1e-12)
    gap = naive_mad(x, order >= FAR) - naive_mad(x, order <= NEAR)
    assert found.mad_gap == pytest.approx(gap, abs=1e-12)
    assert found.energy == pytest.approx(naive_energy(x, edges), rel=1e-12)


def test_constant_features_have_no_distance_and_the_energy_of_their_degrees():
    x = torch.full((4, 3), 0.1)
    found = smoothness(x, path(4))
    assert found.mad == found.mad_gap == found.dead == 0
    # a path of 4 has degrees 1 2 2 1: two edges between degrees 1 and 2
    expected = 2 * 3 * 0.1**2 * (1 / math.sqrt(2) - 1 / math.sqrt(3)) ** 2 / 4
    assert found.energy == pytest.approx(expected, rel=1e-6)


def test_what_propagation_leaves_as_it_is_has_no_energy():
    edges = random_graph(30, 60)
    both = torch.cat([edges, edges.flip(0)], 1)
    degree = torch.stack(
        [both[1, (both[0] == i) & (both[1] != i)].unique().numel() * torch.ones(()) for i in range(30)]
    )
    x = (1 + degree).double().sqrt()[:, None] * torch.tensor([1.0, -2.0], dtype=torch.double)
    assert dirichlet_energy(x, edges) == pytest.approx(0, abs=1e-20)
    assert dirichlet_energy(torch.randn(30, 2), edges) > 0.01


def test_two_camps():
    """Nodes 0 to 3 point one way, 12 to 15 the opposite, a path between them at right angles to both."""
    x = torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 8 + [[-1.0, 0.0]] * 4)
    distances = cosine_distances(x)
    assert distances[0, 15] == 2 and distances[0, 5] == 1 and distances[0, 3] == 0 == distances[0, 0]
    # a node at an end: 8 at distance 1, 4 at 2; a node in the middle: 8 at distance 1
    assert mad(distances) == pytest.approx((8 * 16 / 12 + 8 * 1) / 16)
    assert smoothness(x, path(16)).mad_gap > 0  # neighbours are alike, remote nodes are not


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_mad_is_of_directions(scale):
    x = torch.randn(20, 4)
    assert mad(cosine_distances(scale * x)) == pytest.approx(mad(cosine_distances(x)), rel=1e-5)


def test_dead_nodes_give_no_nan():
    assert smoothness(torch.zeros(5, 3), path(5)) == (0, 0, 0, 5)
    one = torch.zeros(5, 3)
    one[2, 0] = 1
    found = smoothness(one, path(5))
    assert found.dead == 4 and found.mad == found.mad_gap == 0 and found.energy > 0
    assert smoothness(torch.full((5, 3), 1e-300, dtype=torch.double), path(5))[:2] == (0, 0)


def test_order_is_of_either_direction_and_out_of_reach_is_remote():
    order = orders(torch.tensor([[0, 1], [1, 2]]), 4)
    assert order.tolist() == [[0, 1, 2, FAR], [1, 0, 1, FAR], [2, 1, 0, FAR], [FAR, FAR, FAR, 0]]
    assert orders(path(12), 12)[0].tolist() == [*range(FAR), *[FAR] * (12 - FAR)]


def test_too_many_pairs_are_refused():
    with pytest.raises(ZooError, match="5,001 are more than 5,000"):
        cosine_distances(torch.ones(5001, 1))
    with pytest.raises(ZooError, match="5,001 nodes are more"):
        orders(path(3), 5001)
