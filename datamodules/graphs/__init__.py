"""Graphs: `data=digits_knn`, `cora`, `npz` and others. A batch is PyTorch Geometric's `Data`, with `labels` and `rows`."""

from datamodules.graphs.collection import GraphCollection
from datamodules.graphs.module import GraphData
from datamodules.graphs.sets import (
    ACM,
    AIFB,
    NPZ,
    PPI,
    Actor,
    Amazon,
    CitationFull,
    DictionaryLookup,
    DigitsGraphs,
    DigitsKNN,
    OGBNArxiv,
    Planetoid,
    WebKB,
)

__all__ = [
    "ACM", "AIFB", "NPZ", "PPI", "Actor", "Amazon", "CitationFull", "DictionaryLookup", "DigitsGraphs", "DigitsKNN",
    "GraphCollection", "GraphData", "OGBNArxiv", "Planetoid", "WebKB",
]  # fmt: skip
