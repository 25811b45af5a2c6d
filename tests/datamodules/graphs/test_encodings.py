"""Positions in graphs: what they are defined to be, always the same, and refused where they make no sense."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from datamodules.graphs import NPZ, DigitsGraphs, DigitsKNN
from datamodules.sampling import generator
from zoo.errors import ZooError
from zoo.graphs import add_positions, distance, laplacian, random_walk


def connected(nodes, extra, seed=0):
    """A ring with random chords, both ways."""
    ring = torch.stack([torch.arange(nodes), torch.arange(nodes).roll(1)])
    chords = torch.randint(nodes, (2, extra), generator=generator(seed))
    chords = chords[:, chords[0] != chords[1]]
    edges = torch.cat([ring, chords], 1)
    return torch.cat([edges, edges.flip(0)], 1).unique(dim=1)


@pytest.mark.parametrize("nodes", [20, 150])  # PyG solves small ones densely
def test_laplacian_eigenvectors(nodes):
    edges = connected(nodes, nodes)
    found = laplacian(edges, nodes, 4).double()
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    adjacency[tuple(edges)] = 1
    scale = adjacency.sum(1).rsqrt()
    matrix = torch.eye(nodes) - scale[:, None] * adjacency * scale
    values, vectors = torch.linalg.eigh(matrix)
    assert torch.allclose(matrix @ found, found * values[1:5], atol=1e-4)
    assert torch.allclose((found * vectors[:, 1:5]).sum(0).abs(), torch.ones(4, dtype=torch.float64), atol=1e-4)
    assert (found.gather(0, found.abs().argmax(0, keepdim=True)) > 0).all(), "of v and -v always the same one"


def test_laplacian_is_repeatable_and_leaves_the_random_numbers():
    edges = connected(150, 100)
    state = torch.random.get_rng_state()
    first = laplacian(edges, 150, 6)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(laplacian(edges, 150, 6), first)
    directed = edges[:, edges[0] < edges[1]]
    assert torch.equal(laplacian(directed, 150, 3), laplacian(directed, 150, 3))


@pytest.mark.parametrize("nodes", [30, 2100])  # PyG multiplies large ones as sparse
def test_return_probabilities(nodes):
    edges = connected(nodes, nodes // 2)
    adjacency = torch.zeros(nodes, nodes)
    adjacency[tuple(edges)] = 1
    step = adjacency / adjacency.sum(1, keepdim=True)
    found = random_walk(edges, nodes, 3)
    power = step
    for column in found.T:
        assert torch.allclose(column, power.diagonal(), atol=1e-5)
        power = power @ step


def test_distances():
    #        0 -> 1 -> 2 -> 3, 4 alone
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    found = distance(edges, 5, 2)
    assert found.dtype == torch.uint8
    assert found[0].tolist() == [0, 1, 2, 2, 3] and found[3].tolist() == [3, 3, 3, 0, 3]
    assert distance(edges, 5, 300).dtype == torch.int64
    with pytest.raises(ZooError, match=r"5001 nodes.*25,010,001 entries.*at most 5000 nodes"):
        distance(edges, 5001, 3)


def test_what_the_model_wants_comes_with_the_data():
    module = DigitsKNN(positions={"random_walk": 2})
    module.use_positions({"laplacian": 3})
    module.use_positions({"shortest_path": 4})
    module.setup()
    graph = module.example()
    assert graph.laplacian.shape == (1797, 3) and graph.random_walk.shape == (1797, 2)
    assert graph.shortest_path.shape == (1797, 1797) and graph.shortest_path.max() <= 5
    assert graph.laplacian.dtype == graph.random_walk.dtype == graph.x.dtype == torch.float32


def test_batches_of_graphs_have_positions():
    module = DigitsGraphs(positions={"laplacian": 2, "random_walk": 3})
    module.setup()
    batch = module.example()
    assert batch.laplacian.shape == (4096, 2) and batch.random_walk.shape == (4096, 3)
    edges = module.source.graphs[0].edge_index
    assert torch.equal(batch.laplacian[64:128], laplacian(edges, 64, 2))
    assert torch.equal(batch.random_walk[:64], random_walk(edges, 64, 3))


def test_sampled_nodes_keep_theirs():
    module = DigitsKNN(loader="neighbor", positions={"laplacian": 2})
    module.setup()
    batch = module.example()
    assert torch.equal(batch.laplacian, module.source.first.laplacian[batch.n_id])


def test_graphs_with_other_edges_have_other_positions():
    graphs = [Data(x=torch.zeros(9, 1), edge_index=connected(9, 3, seed)) for seed in (0, 1)]
    add_positions(graphs, {"random_walk": 3})
    assert not torch.equal(graphs[0].random_walk, graphs[1].random_walk)


@pytest.mark.parametrize(
    "wanted, loader, sentence",
    [
        ({"laplacin": 3}, "full", "laplacin is unknown: did you mean 'laplacian'"),
        ({"laplacian": 0}, "full", "laplacian=0 is not a number from 1 on"),
        ({"laplacian": 4}, "full", "the graph has 4 nodes, so 3 eigenvectors after the first, not 4"),
        ({"shortest_path": 3}, "neighbor", "of one full graph, not of batches"),
    ],
)
def test_positions_that_cannot_be(tmp_path, wanted, loader, sentence):
    edges = np.array([[0, 1, 2, 3], [1, 2, 3, 0]])
    masks = {f"{part}_mask": np.arange(4) == place for place, part in enumerate(("train", "val", "test"))}
    np.savez(tmp_path / "g.npz", x=np.ones((4, 1)), y=np.arange(4) % 2, edge_index=edges, **masks)
    with pytest.raises(ZooError, match=sentence):
        NPZ(path=str(tmp_path / "g.npz"), positions=wanted, loader=loader).setup()
