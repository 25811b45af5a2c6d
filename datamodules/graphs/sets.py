"""Graph data: `data=digits_knn`, `cora`, `npz` and the others of conf/data that name a class in here."""

from dataclasses import dataclass, field

from datamodules.base import one_of
from datamodules.graphs import heco, npz, pyg, synthetic
from datamodules.graphs.collection import GraphCollection
from datamodules.graphs.module import GraphData
from zoo.declared import declared


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class DigitsKNN(GraphData):
    """scikit-learn's 1,797 digits, each tied to its nearest; labels_per_class of each are known in training."""

    neighbours: int = 10
    labels_per_class: int = 20
    val_nodes: int = 500

    reference = "Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, within scikit-learn"
    licence = "CC BY 4.0"
    called = "digits_knn"

    def load(self) -> GraphCollection:
        return synthetic.digits_knn(self.neighbours, self.labels_per_class, self.val_nodes, self.split_seed)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class DigitsGraphs(GraphData):
    """scikit-learn's digits, each a graph of 8x8 pixels; graphs are classified."""

    split: list[float] = field(default_factory=lambda: [0.6, 0.2, 0.2])

    reference = "Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, within scikit-learn"
    licence = "CC BY 4.0"
    called = "digits_graphs"

    def load(self) -> GraphCollection:
        return synthetic.digits_graphs(self.split, self.split_seed)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class DictionaryLookup(GraphData):
    """Each query of a graph must find the value of its key; which values are whose differs from graph to graph."""

    keys: int = 10
    graphs: int = 32000
    train_fraction: float = 0.8
    val_fraction: float = 0.1

    reference = "Brody, Alon and Yahav 2022, made in code"
    licence = "none needed"
    called = "dictionary_lookup"

    def load(self) -> GraphCollection:
        return synthetic.dictionary_lookup(
            self.keys, self.graphs, self.train_fraction, self.val_fraction, self.split_seed
        )


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Planetoid(GraphData):
    """Citation graphs with the public split. name: Cora, CiteSeer or PubMed."""

    name: str = "Cora"

    reference = "Yang, Cohen and Salakhutdinov 2016, github.com/kimiyoung/planetoid"
    licence = "MIT"

    @property
    def title(self) -> str:
        return self.name.lower()

    def load(self) -> GraphCollection:
        one_of(self.name, "name", ["Cora", "CiteSeer", "PubMed"])
        return pyg.planetoid(self.name, self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class CitationFull(GraphData):
    """Citation graphs without a split of their own. name: cora_ml, cora, citeseer, dblp, pubmed."""

    name: str = "cora_ml"
    labels_per_class: int = 20
    val_nodes: int = 500

    reference = "Bojchevski and Günnemann 2018, github.com/abojchevski/graph2gauss"
    licence = "MIT"

    @property
    def title(self) -> str:
        return self.name

    def load(self) -> GraphCollection:
        one_of(self.name, "name", ["cora_ml", "cora", "citeseer", "dblp", "pubmed"])
        return pyg.citation_full(self.name, self.labels_per_class, self.val_nodes, self.split_seed, self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Amazon(GraphData):
    """Goods bought together. name: Photo or Computers."""

    name: str = "Photo"
    labels_per_class: int = 20
    val_nodes: int = 240

    reference = "Shchur et al. 2018, github.com/shchur/gnn-benchmark"
    licence = "MIT"

    @property
    def title(self) -> str:
        return f"amazon_{self.name.lower()}"

    def load(self) -> GraphCollection:
        one_of(self.name, "name", ["Photo", "Computers"])
        return pyg.amazon(self.name, self.labels_per_class, self.val_nodes, self.split_seed, self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Actor(GraphData):
    """Actors named on the same page; split_index: one of ten splits."""

    split_index: int = 0

    reference = "Pei et al. 2020, Geom-GCN, github.com/graphdml-uiuc-jlu/geom-gcn"

    def load(self) -> GraphCollection:
        return pyg.actor(self.split_index, self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class WebKB(GraphData):
    """Web pages of a university. name: Cornell, Texas or Wisconsin; split_index: one of ten splits."""

    name: str = "Cornell"
    split_index: int = 0

    reference = "Pei et al. 2020, Geom-GCN, github.com/graphdml-uiuc-jlu/geom-gcn"

    @property
    def title(self) -> str:
        return f"webkb_{self.name.lower()}"

    def load(self) -> GraphCollection:
        one_of(self.name, "name", ["Cornell", "Texas", "Wisconsin"])
        return pyg.webkb(self.name, self.split_index, self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class PPI(GraphData):
    """24 graphs of proteins, each with any of 121 functions."""

    batch_size: int = 2

    reference = "Hamilton, Ying and Leskovec 2017, GraphSAGE"

    def load(self) -> GraphCollection:
        return pyg.ppi(self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class AIFB(GraphData):
    """A relational graph whose nodes have no features, and no validation part."""

    modality = "relational_graph"

    @property
    def modalities(self) -> tuple[str, ...]:
        """A plain graph too, once its nodes have features."""
        return (self.modality, "graph") if self.features else (self.modality,)

    reference = "Ristoski et al. 2016; Schlichtkrull et al. 2018, github.com/tkipf/relational-gcn"
    licence = "MIT"

    def load(self) -> GraphCollection:
        return pyg.aifb(self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class ACM(GraphData):
    """Papers, authors and subjects (HeCo's files). labels_per_class: 20, 40 or 60, each with its own split."""

    labels_per_class: int = 20

    modality = "heterogeneous_graph"

    reference = "Wang et al. 2021, github.com/liun-online/HeCo"

    def load(self) -> GraphCollection:
        return heco.acm(self.labels_per_class, self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class OGBNArxiv(GraphData):
    """arXiv's computer science, split by year; read by ogb."""

    reference = "Hu et al. 2020, Open Graph Benchmark"
    licence = "ODC-BY"
    called = "ogbn_arxiv"

    def load(self) -> GraphCollection:
        return pyg.ogbn_arxiv(self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class NPZ(GraphData):
    """A graph of one's own. path: an .npz file with x, y, edge_index; split: used where it has no masks; numbers: y is what a
    regression learns, not classes."""

    path: str | None = None
    split: list[float] = field(default_factory=lambda: [0.6, 0.2, 0.2])
    numbers: bool = False
    places = ("path",)

    def load(self) -> GraphCollection:
        return npz.npz(self.path, self.split, self.split_seed, self.numbers)
