"""Data modules, a room a modality: images/, graphs/. base.py is what all share; a set says only how it is loaded.

They know no model. What lies in a room is exported by the room (`datamodules.images.Digits`), and that is its name in configs,
run folders and checkpoints.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Modules under their names before there were rooms, for code that imports them.
MOVED = {
    "datasets": "datamodules.images.dataset",
    "folders": "datamodules.images.folder",
    "module": "datamodules.images.module",
    "prepare": "datamodules.images.normalise",
    "sources": "datamodules.images.sources",
    "graph_checks": "datamodules.graphs.checks",
    "graph_files": "datamodules.graphs.npz",
    "graph_loaders": "datamodules.graphs.batches",
    "graph_module": "datamodules.graphs.module",
    "graph_pyg": "datamodules.graphs.pyg",
    "graph_rdf": "datamodules.graphs.rdf",
    "graph_positions": "zoo.graphs",
    "graph_sets": "datamodules.graphs.synthetic",
    "graph_splits": "datamodules.splits",
    "neighbors": "datamodules.graphs.neighbors",
    "node2vec": "datamodules.graphs.node2vec",
}


class _Moved(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        room, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if room == __name__ and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return import_module(MOVED[spec.name.rpartition(".")[2]])

    def exec_module(self, module: ModuleType) -> None:
        pass


sys.meta_path.insert(0, _Moved())
