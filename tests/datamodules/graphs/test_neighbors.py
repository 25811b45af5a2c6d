"""Sampled neighbours (D7): a true part of the graph, reproducible, uniform, seeds once over all processes."""

from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import k_hop_subgraph

from datamodules.graphs import NPZ, DigitsKNN, neighbors
from datamodules.graphs.neighbors import Neighbors
from datamodules.sampling import generator
from zoo.errors import ZooError


def random_graph(nodes=30, edges=120, seed=0):
    numbers = generator(seed)
    return Data(
        x=torch.arange(nodes)[:, None].float(),
        edge_index=torch.randint(nodes, (2, edges), generator=numbers),
        edge_attr=torch.arange(edges)[:, None].float(),
        edge_type=torch.randint(3, (edges,), generator=numbers),
        labels=torch.arange(nodes) % 5,
        laplacian=torch.rand(nodes, 2, generator=numbers),
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 150), st.integers(0, 5), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_sample_is_a_part_of_the_graph(nodes, edges, seed, fanout):
    graph = random_graph(nodes, edges, seed)
    seeds = torch.randperm(nodes, generator=generator(seed))[: max(1, nodes // 3)]
    batch = Neighbors(graph, fanout)(seeds, generator(seed))
    assert torch.equal(batch.n_id[: len(seeds)], seeds) and batch.batch_size == len(seeds)
    assert len(batch.n_id.unique()) == len(batch.n_id) == batch.num_nodes
    assert torch.equal(batch.n_id[batch.edge_index], graph.edge_index[:, batch.e_id]), "edges are the graph's"
    assert len(batch.e_id.unique()) == len(batch.e_id), "without replacement"
    for key in ("x", "labels", "laplacian"):
        assert torch.equal(batch[key], graph[key][batch.n_id])
    for key in ("edge_attr", "edge_type"):
        assert torch.equal(batch[key], graph[key][batch.e_id])
    degree = graph.edge_index[1].bincount(minlength=nodes)
    taken = graph.edge_index[1, batch.e_id].bincount(minlength=nodes)
    assert torch.equal(taken[seeds], degree[seeds].clamp(max=fanout[0]))
    assert (taken <= degree.clamp(max=max(fanout))).all()


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_all_neighbours_are_the_surroundings(hops):
    """Without a limit: PyG's k_hop_subgraph."""
    graph, seeds = random_graph(60, 100), torch.tensor([3, 17, 8])
    batch = Neighbors(graph, [-1] * hops)(seeds, generator(0))
    nodes, _, _, _ = k_hop_subgraph(seeds, hops, graph.edge_index, num_nodes=60)
    assert torch.equal(batch.n_id.sort().values, nodes)
    inner, _, _, _ = k_hop_subgraph(seeds, hops - 1, graph.edge_index, num_nodes=60)
    expected = torch.isin(graph.edge_index[1], inner).nonzero()[:, 0]
    assert torch.equal(batch.e_id.sort().values, expected)


def test_draws_depend_on_their_numbers_only():
    graph, seeds = random_graph(), torch.tensor([1, 2, 3])
    sample = Neighbors(graph, [2, 2])
    first = sample(seeds, generator(0, 1))
    torch.rand(7)
    sample(torch.tensor([9]), generator(5))
    again = sample(seeds, generator(0, 1))
    assert torch.equal(first.n_id, again.n_id) and torch.equal(first.edge_index, again.edge_index)
    assert any(not torch.equal(first.e_id, sample(seeds, generator(0, n)).e_id) for n in range(2, 6))


def test_neighbours_are_drawn_evenly():
    """10 neighbours, 3 drawn: each in 3/10 of the draws, each pair in 1/15 (5 standard deviations)."""
    star = Data(
        x=torch.zeros(11, 1),
        edge_index=torch.stack([torch.arange(1, 11), torch.zeros(10).long()]),
        labels=torch.zeros(11),
    )
    sample, drawn = Neighbors(star, [3]), torch.zeros(3000, 10)
    for number, row in enumerate(drawn):
        row[sample(torch.tensor([0]), generator(number)).e_id] = 1
    together = (drawn.T @ drawn) / len(drawn)
    pairs = together[~torch.eye(10, dtype=torch.bool)]
    assert (together.diagonal() - 0.3).abs().max() < 5 * (0.3 * 0.7 / 3000) ** 0.5
    assert (pairs - 1 / 15).abs().max() < 5 * (1 / 15 * 14 / 15 / 3000) ** 0.5


def library():
    """Papers (5) by authors (4), and papers that cite papers."""
    graph = HeteroData()
    graph["paper"].x, graph["author"].x = torch.arange(5)[:, None].float(), torch.arange(4)
    graph["author", "to", "paper"].edge_index = torch.tensor([[0, 1, 2, 3, 0], [0, 0, 1, 2, 4]])
    graph["paper", "cites", "paper"].edge_index = torch.tensor([[1, 2, 3, 4], [0, 0, 1, 1]])
    graph["paper", "cites", "paper"].edge_attr = torch.arange(4)[:, None].float()
    graph.labels = torch.tensor([0, 1, 0, 1, 0])
    return graph


def test_several_types_of_nodes():
    """D7: heterographs too. From paper 0: its authors and what cites it, then theirs."""
    graph, seeds = library(), torch.tensor([0])
    batch = Neighbors(graph, [-1, -1], "paper")(seeds, generator(0))
    assert batch["paper"].n_id.tolist() == [0, 1, 2, 3, 4] and batch["author"].n_id.tolist() == [0, 1, 2, 3]
    assert batch["paper"].batch_size == 1 and torch.equal(batch.labels, graph.labels)
    one = Neighbors(graph, [-1], "paper")(seeds, generator(0))
    assert one["paper"].n_id.tolist() == [0, 1, 2] and one["author"].n_id.tolist() == [0, 1]
    assert one["author", "to", "paper"].edge_index.tolist() == [[0, 1], [0, 0]]
    assert one["paper", "cites", "paper"].edge_index.tolist() == [[1, 2], [0, 0]]
    assert one["paper", "cites", "paper"].edge_attr.flatten().tolist() == [0, 1]
    assert one["author"].x.tolist() == [0, 1] and one.labels.tolist() == [0, 1, 0]
    drawn = Neighbors(graph, [1], "paper")(seeds, generator(0))
    assert drawn["author", "to", "paper"].num_edges == drawn["paper", "cites", "paper"].num_edges == 1


@pytest.fixture
def module(tmp_path):
    """101 nodes, of which 61 for training, with a trainer's stand-in for one of several processes."""
    random = np.random.default_rng(0)
    part = np.arange(101) % 5
    np.savez(
        tmp_path / "g.npz",
        x=np.arange(101, dtype=np.float32)[:, None],
        y=np.arange(101) % 4,
        edge_index=random.integers(0, 101, (2, 600)),
        train_mask=part < 3,
        val_mask=part == 3,
        test_mask=part == 4,
    )

    def make(rank=0, world=1, **options):
        options = {"batch_size": 12, "num_neighbors": [3, 2], **options}
        made = NPZ(path=str(tmp_path / "g.npz"), loader="neighbor", **options)
        made.setup()
        made.trainer = SimpleNamespace(global_rank=rank, world_size=world, overfit_batches=0)
        return made

    return make


def seeds_of(batches):
    return [batch.n_id[: batch.batch_size].tolist() for batch in batches]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_each_test_seed_is_scored_once(module, world):
    """A12, D7."""
    ranks = [list(module(rank, world).test_dataloader()) for rank in range(world)]
    seeds = list(chain.from_iterable(seeds_of(chain.from_iterable(ranks))))
    assert sorted(seeds) == list(range(4, 101, 5))
    for batch in chain.from_iterable(ranks):
        assert batch.rows["test"].tolist() == list(range(batch.batch_size))
        assert torch.equal(batch.labels, batch.n_id % 4), "labels of all its nodes, the seeds first"


def test_processes_share_the_single_process_batches(module):
    """Global batch b is the same set of seeds for any number of processes; rank r takes r::world of it."""

    def epoch(number, rank=0, world=1):
        loader = module(rank, world).train_dataloader()
        loader.batch_sampler.sampler.set_epoch(number)
        return list(loader)

    single = seeds_of(epoch(0))
    assert [len(seeds) for seeds in single] == [12] * 5 and len(set(chain(*single))) == 60
    for whole, *parts in zip(single, *(seeds_of(epoch(0, rank, 3)) for rank in range(3)), strict=True):
        assert parts == [whole[rank::3] for rank in range(3)]
    assert seeds_of(epoch(1)) != single
    one, two = epoch(0, 1, 2), epoch(0, 1, 2)
    assert all(torch.equal(a.e_id, b.e_id) for a, b in zip(one, two, strict=True)), "by seed, epoch, rank and batch"
    assert module().batch_size == 12


def test_workers_change_nothing(module):
    here, there = (list(module(num_workers=workers).train_dataloader()) for workers in (0, 2))
    assert len(here) == len(there) == 5
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.e_id, other.e_id) and torch.equal(one.x, other.x)


@pytest.mark.parametrize("fanout", [[], [0], [5, -2]])
def test_impossible_numbers_are_refused(fanout):
    module = DigitsKNN(loader="neighbor", num_neighbors=fanout)
    module.setup()
    with pytest.raises(ZooError, match=r"data.num_neighbors=\[.*\] are not numbers of neighbours"):
        module.train_dataloader()


@pytest.mark.parametrize("target", [None, "paper"])
def test_pyg_serves_where_it_can(monkeypatch, target):
    """With pyg-lib PyG's NeighborLoader does the drawing; here a stand-in for pyg-lib that takes the whole graph."""
    import torch_geometric.loader
    import torch_geometric.typing
    from torch_geometric.sampler import BaseSampler, HeteroSamplerOutput, SamplerOutput

    graph = random_graph(5, 9) if target is None else library()
    drawn = []

    class Everything(BaseSampler):
        def sample_from_edges(self, index, **_):
            raise NotImplementedError

        def sample_from_nodes(self, index, **_):
            drawn.append(torch.rand(1).item())
            rest = torch.arange(5)[~torch.isin(torch.arange(5), index.node)]
            node = torch.cat([index.node, rest])
            place = torch.empty(5, dtype=torch.int64)
            place[node] = torch.arange(5)
            if target is None:
                row, col = place[graph.edge_index]
                return SamplerOutput(node, row, col, torch.arange(9), metadata=(index.input_id, None))
            kind = ("paper", "cites", "paper")
            row, col = place[graph[kind].edge_index]
            nodes = {"paper": node, "author": torch.arange(4)}
            edge = {kind: torch.arange(4)}
            return HeteroSamplerOutput(nodes, {kind: row}, {kind: col}, edge, metadata=(index.input_id, None))

    def loader(data, num_neighbors, input_nodes):
        return torch_geometric.loader.NodeLoader(data, Everything(), input_nodes)

    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", True)
    monkeypatch.setattr(torch_geometric.loader, "NeighborLoader", loader)
    sample = neighbors.sampler(graph, [2], target)
    state = torch.random.get_rng_state()
    first, second = (sample(torch.tensor([3, 1]), generator(8)) for _ in range(2))
    assert drawn[0] == drawn[1] and torch.equal(torch.random.get_rng_state(), state)
    store = first if target is None else first["paper"]
    assert store.n_id.tolist() == [3, 1, 0, 2, 4] and store.batch_size == 2
    assert torch.equal(first.labels, graph.labels[store.n_id]) and torch.equal(second.labels, first.labels)
