"""node2vec: walks with the right probabilities, PyG's loss, embeddings that know the graph, made once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.nn import Node2Vec

from datamodules.graphs import NPZ, node2vec
from datamodules.graphs.node2vec import Settings, embedding, learn, neighbours, walks, window_loss

SMALL = dict(embedding_dim=8, walk_length=6, context_size=3, walks_per_node=4, epochs=2, batch_size=16)


def two_rings(size=15):
    """Two rings joined by one edge, both ways: 2 * size nodes."""
    ring = torch.stack([torch.arange(size), (torch.arange(size) + 1) % size])
    edges = torch.cat([ring, ring + size, torch.tensor([[0], [size]])], 1)
    return torch.cat([edges, edges.flip(0)], 1)


def test_walks_follow_edges_and_stay_where_none_lead_out():
    edges = torch.tensor([[0, 1, 1, 3], [1, 0, 2, 1]])  # 2 is an end, 4 alone
    ptr, col = neighbours(edges, 5)
    path = walks(ptr, col, torch.arange(5).repeat(50), 6, p=0.5, q=2.0)
    assert path.shape == (250, 7) and path[:, 0].tolist() == list(range(5)) * 50
    allowed = set(map(tuple, edges.T.tolist())) | {(2, 2), (4, 4)}
    steps = {(a, b) for row in path.tolist() for a, b in pairwise(row)}
    assert steps == allowed


@pytest.mark.parametrize("p, q", [(1.0, 1.0), (0.25, 4.0), (4.0, 0.5)])
def test_second_steps_have_the_papers_probabilities(p, q):
    """From t = 0 over v = 1: back to 0 with 1/p, on to 2, a neighbour of 0, with 1, to 3 and 4 with 1/q each."""
    edges = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 2, 0, 2, 3, 4]])
    ptr, col = neighbours(edges, 5)
    path = walks(ptr, col, torch.zeros(40000, dtype=torch.int64), 2, p, q)
    after = path[path[:, 1] == 1, 2]
    found = after.bincount(minlength=5).double()[[0, 2, 3, 4]] / len(after)
    weights = torch.tensor([1 / p, 1, 1 / q, 1 / q], dtype=torch.float64)
    expected = weights / weights.sum()
    assert ((found - expected).abs() < 5 * (expected * (1 - expected) / len(after)).sqrt()).all()


@pytest.mark.parametrize("length, context", [(6, 3), (5, 5), (4, 2)])
def test_loss_is_pygs(length, context):
    """PyG cuts walks into windows and reads each; here a walk is read once. Gradients too."""
    model = embedding(two_rings(), 30, Settings(**{**SMALL, "walk_length": length, "context_size": context}))
    model.embedding = model.embedding.double()
    positive, negative = model.sample(torch.arange(30))
    assert positive.shape == negative.shape == (120, length)

    def windows(walk):
        return torch.cat([walk[:, start : start + context] for start in range(length + 1 - context)])

    ours = model.loss(positive, negative)
    theirs = Node2Vec.loss(model, windows(positive), windows(negative))
    assert torch.allclose(ours, theirs, rtol=1e-12)
    (weight,) = model.parameters()
    gradients = [torch.autograd.grad(loss, weight)[0].to_dense() for loss in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-12)


def test_loss_gradient():
    numbers = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: window_loss(z[0], z[1], 3), numbers)


def test_embeddings_know_which_ring():
    found = learn(two_rings(), 30, Settings(**{**SMALL, "epochs": 60, "lr": 0.05}), seed=0)
    found = torch.nn.functional.normalize(found, dim=1)
    alike = found @ found.T
    ring = torch.arange(30) // 15
    same = ring[:, None] == ring
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_the_same_for_the_same_seed():
    state = torch.random.get_rng_state()
    first = learn(two_rings(), 30, Settings(**SMALL), 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    assert torch.equal(learn(two_rings(), 30, Settings(**SMALL), 0), first)
    assert not torch.equal(learn(two_rings(), 30, Settings(**SMALL), 1), first)


@pytest.fixture
def module(tmp_path):
    np.savez(
        tmp_path / "g.npz", x=np.array([[2.0, 0.0, 2.0]] * 30), y=np.arange(30) // 15, edge_index=two_rings().numpy()
    )

    def make(**options):
        options = {"node2vec": SMALL, **options}
        made = NPZ(path=str(tmp_path / "g.npz"), cache=str(tmp_path / "cache"), **options)
        made.setup()
        return made

    return make


def test_features_replace_or_join(module):
    replaced, joined = module(features="node2vec"), module(features="both", row_normalise=True)
    assert replaced.spec.in_dim == 8 and joined.spec.in_dim == 11
    assert torch.equal(joined.example().x[:, 3:], replaced.example().x)
    assert torch.allclose(joined.example().x[:, :3], torch.tensor([[0.5, 0.0, 0.5]] * 30)), "not the learned ones"
    assert replaced.example().x.layout == torch.strided


def test_features_are_learned_once(module, monkeypatch, tmp_path):
    first = module(features="node2vec").example().x
    monkeypatch.setattr(node2vec, "learn", None)
    assert torch.equal(module(features="node2vec", seed=5).example().x, first)
    (file,) = Path(tmp_path, "cache", "graphs").iterdir()
    assert file.name.startswith("node2vec-") and file.suffix == ".npy"
    for options in ({"node2vec": {**SMALL, "q": 2.0}}, {"split_seed": 1}):
        with pytest.raises(TypeError):  # it would be learned anew
            module(features="node2vec", **options)
