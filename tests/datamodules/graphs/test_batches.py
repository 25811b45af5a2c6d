"""Batches of graphs: one full graph that stays the same object, whole graphs, sparse features, moving."""

from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datamodules.graphs import NPZ, DictionaryLookup, DigitsGraphs, DigitsKNN


def ready(module, trainer=None):
    module.setup()
    if trainer:
        module.trainer = trainer
    return module


@pytest.fixture
def words(tmp_path):
    """A bag of words: 40 nodes, 100 words of which few are used."""
    random = np.random.default_rng(0)
    x = (random.random((40, 100)) < 0.05).astype(np.float32) * 3
    x[7] = 0
    edges = np.stack([np.arange(40), np.roll(np.arange(40), 1)])
    np.savez(tmp_path / "words.npz", x=x, y=np.arange(40) % 2, edge_index=edges)

    def make(**options):
        return ready(NPZ(path=str(tmp_path / "words.npz"), cache=str(tmp_path), **options))

    return make


def test_the_full_graph_is_one_object():
    """Its edges are sorted once, because they are the same tensor in each epoch and stage."""
    module = ready(DigitsKNN())
    loaders = [module.train_dataloader(), module.val_dataloader(), module.test_dataloader()]
    graphs = [graph for loader in loaders for _ in range(2) for graph in loader]
    assert [len(loader) for loader in loaders] == [1, 1, 1] and loaders[0].batch_size == 1
    assert len({id(graph) for graph in graphs}) == 1 == len({id(graph.edge_index) for graph in graphs})
    edges = graphs[0].edge_index
    assert module.example().to("cpu").edge_index is edges
    assert not isinstance(loaders[0], DataLoader), "nothing to collate, and no sampler for Lightning to replace"


def test_the_full_graph_is_sorted_once(monkeypatch):
    """Over all epochs and stages, because the batch says that it stays: its Edges are what the model reads."""
    import zoo.attention.ops.csr as csr
    from zoo.attention import Edges
    from zoo.models.graph.gat import GAT

    calls, real = [], csr.sort_edges
    monkeypatch.setattr(csr, "sort_edges", lambda *given: calls.append(given) or real(*given))
    module = ready(DigitsKNN())
    model = GAT(64, 10, head_dim=2)
    for loader in (module.train_dataloader(), module.val_dataloader(), module.train_dataloader()):
        for batch in loader:
            model(*model.inputs(batch)).sum().backward()
    assert len(calls) == 1
    batch.edge_index = batch.edge_index.clone()  # as when it is moved to another device, or changed by hand
    assert model.inputs(batch)[1] is batch.edge_index
    (again,) = module.train_dataloader()
    assert isinstance(model.inputs(again)[1], Edges) and again.edges.edge_index is again.edge_index


def test_rows_of_several_processes_are_each_scored_once(processes):
    """A12: of a full graph each process scores its share."""
    ranks = [ready(DigitsKNN(), processes(rank, 4)).example().rows for rank in range(4)]
    for part, size in (("train", 200), ("val", 500), ("test", 1097)):
        rows = torch.cat([rank[part] for rank in ranks])
        assert len(rows) == size == len(rows.unique())


def test_moving_takes_everything_along():
    graph = ready(DigitsKNN()).example().to("meta")
    tensors = [graph.x, graph.edge_index, graph.labels, *graph.rows.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_lightning_trains_on_the_full_graph():
    from lightning.pytorch import LightningModule, Trainer

    seen = []

    class Linear(LightningModule):
        def __init__(self):
            super().__init__()
            self.map = torch.nn.Linear(64, 10)

        def training_step(self, graph, index):
            seen.append(id(graph.edge_index))
            rows = graph.rows["train"]
            return torch.nn.functional.cross_entropy(self.map(graph.x[rows]), graph.labels[rows])

        def validation_step(self, graph, index):
            seen.append(id(graph.edge_index))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.1)

    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = Trainer(max_epochs=3, accelerator="cpu", log_every_n_steps=1, **quiet)
    trainer.fit(Linear(), datamodule=DigitsKNN())
    assert trainer.global_step == 3 and len(set(seen)) == 1 and len(seen) == 7  # 3 steps, 3 + 1 validations


def test_few_words_are_sparse(words):
    dense, sparse = words(sparse_features=False), words()
    x = sparse.example().x
    assert x.layout == torch.sparse_csr and torch.equal(x.to_dense(), dense.example().x)
    assert sparse.spec == dense.spec and sparse.example().num_nodes == 40
    assert DigitsKNN(sparse_features=True).sparse_features is True
    assert ready(DigitsKNN()).example().x.layout == torch.strided, "a third of the pixels is white, not nine tenths"
    assert ready(DigitsKNN(sparse_features=True)).example().x.layout == torch.sparse_csr
    assert words(loader="neighbor").example().x.layout == torch.strided


def test_rows_add_up_to_one(words):
    sums = words(row_normalise=True, sparse_features=False).example().x.sum(1)
    assert sums[7] == 0 and torch.allclose(sums[sums != 0], torch.ones(39))


def test_whole_graphs_are_each_tested_once(processes):
    """A12: over processes and batches of any size; no graph in two batches."""
    modules = [ready(DigitsGraphs(batch_size=14), processes(rank, 2)) for rank in range(2)]
    batches = [list(module.test_dataloader()) for module in modules]
    assert sum(batch.num_graphs for batch in chain(*batches)) == 360
    assert {batch.num_graphs for batch in chain(*batches)} == {7, 5}
    labels = torch.cat([batch.labels for batch in chain(*batches)])
    single = torch.cat([batch.labels for batch in ready(DigitsGraphs()).test_dataloader()])
    assert labels.bincount().tolist() == single.bincount().tolist()


def test_order_of_whole_graphs_depends_on_seed_and_epoch_only(processes):
    """A11, A1: the ranks' batches together are the single process's."""

    def epoch(module, number):
        loader = module.train_dataloader()
        loader.batch_sampler.sampler.set_epoch(number)
        return [batch.labels for batch in loader]

    single = ready(DigitsGraphs(batch_size=100, seed=1))
    first, second, again = epoch(single, 0), epoch(single, 1), epoch(single, 0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and len(first) == 10
    assert not torch.equal(first[0], second[0])
    ranks = [epoch(ready(DigitsGraphs(batch_size=100, seed=1), processes(rank, 2)), 0) for rank in range(2)]
    for whole, *parts in zip(first, *ranks, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part, whole[rank::2])


def test_only_queries_are_scored():
    module = ready(DictionaryLookup(keys=3, graphs=100, batch_size=2))
    batch = module.example("train")
    assert len(batch.labels) == 12 and batch.rows["train"].tolist() == [0, 1, 2, 6, 7, 8]


def test_describe():
    assert ready(DigitsKNN()).describe() == (
        "DigitsKNN: 200 training, 500 validation and 1097 test nodes of 1,797, 24,680 edges, 10 classes"
    )
    assert ready(DigitsGraphs()).describe() == (
        "DigitsGraphs: 1077 training, 360 validation and 360 test graphs of 64 nodes, 224 edges each, 10 classes"
    )


def test_the_library_refuses_unknown_stages():
    with pytest.raises(ValueError, match="tset is unknown: did you mean 'test'"):
        ready(DigitsKNN()).example("tset")
