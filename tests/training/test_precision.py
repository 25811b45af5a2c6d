"""Every model of conf/model trains and tests in every precision of the trainer, or is refused in a sentence."""

import copy
import math
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch

from datamodules.graphs.collection import GraphCollection
from datamodules.graphs.module import GraphData
from datamodules.graphs.synthetic import digits_knn
from datamodules.text import TextFile
from tests.training.compose import compose
from zoo.config import instantiate, plain
from zoo.training.run import train

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
PRECISIONS = {
    "64-true": torch.float64, "32-true": torch.float32, "bf16-true": torch.bfloat16, "16-true": torch.float16,
    "bf16-mixed": torch.float32, "16-mixed": torch.float32,
}  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class Relations(GraphData):
    """Digits without pixels, tied to their nearest and to those after them."""

    modality = "relational_graph"

    def load(self) -> GraphCollection:
        found = digits_knn(4, 20, 100, 0)
        graph = found.first
        graph.edge_type = (graph.edge_index[0] < graph.edge_index[1]).long()
        graph.x = torch.arange(len(graph.x))
        found.featureless = True
        return found


@dataclass(kw_only=True, eq=False, repr=False)
class Types(GraphData):
    """The same digits, along two paths, beside another type of node."""

    modality = "heterogeneous_graph"

    def load(self) -> GraphCollection:
        from torch_geometric.data import HeteroData

        found = digits_knn(4, 20, 100, 0)
        plain, graph = found.first, HeteroData()
        graph["digit"].x, graph["other"].x = plain.x, torch.arange(7)
        paths = [("digit", name, "digit") for name in ("one", "two")]
        graph[paths[0]].edge_index, graph[paths[1]].edge_index = plain.edge_index, plain.edge_index.flip(0)
        graph.labels = plain.labels
        return GraphCollection([graph], found.classes, found.splits, target="digit", metapaths=tuple(paths))


LANGUAGE = ("gpt", "llama", "bert")


@cache
def data_for(model: str):
    """A small set of the kind that the model reads; one for all precisions, as a batch is cast and the set is not."""
    if model in LANGUAGE:
        folder = tempfile.mkdtemp()
        found = TextFile(path=CONF.parent / "README.md", context=16, batch_size=4, folder=folder, cache=folder)
        found.setup()
        shutil.rmtree(folder)
        return found
    config = plain(compose(f"model={model}"))
    if config["data"]["_target_"].startswith("datamodules.pairs."):
        config["data"] |= {"sizes": [300, 300, 300], "longest": 6}
    found = Relations() if model == "rgat" else Types() if model == "han" else instantiate(config["data"])
    found.setup()
    return found


@cache
def config_for(model: str):
    """A small model's config, of all precisions but one word the same."""
    sizes = {"vit": ["model.dim=16", "model.depth=1"], "cnn": ["model.widths=[8,8]"]}.get(model, [])
    sizes = ["model.dim=16", "model.depth=1"] if model in LANGUAGE else sizes
    few = [f"+trainer.limit_{part}_batches=2" for part in ("train", "val", "test")]
    quiet = ["callbacks=none", "~logger", "+trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
    return compose(f"model={model}", "trainer.precision=32-true", "trainer.max_epochs=1", *sizes, *few, *quiet)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", MODELS)
def test_every_family_trains_in_every_precision(model, precision):
    config = copy.deepcopy(config_for(model))
    config.trainer.precision = precision
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*16-mixed.*not supported on CPU")  # Lightning takes bf16-mixed there
        record = train(config, None, data=data_for(model))
    assert next(record.task.model.parameters()).dtype == PRECISIONS[precision]
    found = {name: float(value) for name, value in record.metrics.items()}
    metric = "val/mse" if "series" in record.task.model.reads else "val/accuracy"
    assert {"train/loss", metric, "test/loss"} <= found.keys() and all(map(math.isfinite, found.values())), found
