"""What data is: a frozen record for each modality. Data modules say it, models and tasks are fitted to it.

A modality is a word that data and models share: "image", "graph", "relational_graph", "heterogeneous_graph", "text", "series",
"pairs", "captions". What is known of data before anything is loaded is the word alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from zoo.graphs import GraphPreprocess
from zoo.preprocess import Preprocess

#: What a row's target can be.
TARGETS = {
    "class": "one class",
    "labels": "several classes at once",
    "numbers": "numbers",
    "tokens": "its own tokens",
    "tags": "a tag a word",
    "span": "a span of its own text",
    "values": "the values that follow",
}

#: Those of which a model says something of each token.
PER_TOKEN = ("tags", "span")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all data says of itself.

    Args:
        classes: names of the classes, in order; empty where targets are numbers.
        targets: "class" (long [rows]), "labels" (float [rows, C] of 0 and 1), "numbers" (float [rows, num_targets]), "tokens"
            (of a text: there is nothing else to learn from it), "tags" (of a text: one of the classes a word), "span" (of a
            text: where an answer begins and ends) or "values" (of a series: those that follow).
        num_targets: numbers that a row's target holds.
    """

    modality: ClassVar[str]
    preprocess: ClassVar[Any] = None  # a Preprocess (of images), GraphPreprocess or SeriesPreprocess
    tokenizer: ClassVar[Any] = None
    source_tokenizer: ClassVar[Any] = None

    classes: tuple[str, ...] = ()
    targets: str = "class"
    num_targets: int = 0

    def sizes(self) -> dict[str, Any]:
        """Settings of a model that must be as the data is, by their names; what a model has no setting for is left out."""
        return {}

    def usual(self) -> dict[str, Any]:
        """Settings of a model that the data decides where a config leaves them open, and a user may set otherwise."""
        return {}


@dataclass(frozen=True, kw_only=True)
class ImageSpec(Spec):
    """Images [B, in_chans, img_size, img_size]; preprocess: how they are made of pictures."""

    modality: ClassVar[str] = "image"

    img_size: int
    in_chans: int
    preprocess: Preprocess | None = None  # type: ignore[misc]  # of each data set, where the base has none

    def sizes(self) -> dict[str, Any]:
        return {"img_size": self.img_size, "in_chans": self.in_chans}


@dataclass(frozen=True, kw_only=True)
class GraphSpec(Spec):
    """One graph, or many.

    Args:
        in_dim: width of a node's features; of nodes without any, their number (as wide as their one-hot form).
        num_nodes: of nodes without features, whose x are their numbers; else None.
        edge_dim: width of an edge's features, 0: none.
        graph_level: graphs are classified, not their nodes.
        preprocess: what was done to the graphs beyond loading them.
    """

    modality: ClassVar[str] = "graph"

    in_dim: int
    num_nodes: int | None = None
    edge_dim: int = 0
    graph_level: bool = False
    preprocess: GraphPreprocess | None = field(default=None, compare=False)  # type: ignore[misc]  # as above

    def sizes(self) -> dict[str, Any]:
        return {"in_dim": self.in_dim, "num_nodes": self.num_nodes, "edge_dim": self.edge_dim}

    def usual(self) -> dict[str, Any]:
        return {"readout": "mean" if self.graph_level else None}


@dataclass(frozen=True, kw_only=True)
class RelationalGraphSpec(GraphSpec):
    """A graph with edges of `num_relations` kinds."""

    modality: ClassVar[str] = "relational_graph"

    num_relations: int

    def sizes(self) -> dict[str, Any]:
        return {**super().sizes(), "num_relations": self.num_relations}


@dataclass(frozen=True, kw_only=True)
class HeterogeneousGraphSpec(GraphSpec):
    """A graph with several types of node.

    Args:
        in_dim: of the type that is classified.
        metadata: plain: "target", the type that is classified; "metapaths", edge types that stand for paths from it to
            itself; "node_types", "edge_types"; "in_dims" and "num_nodes" by type; "ids", the types without features.
    """

    modality: ClassVar[str] = "heterogeneous_graph"

    metadata: Mapping[str, Any]

    def sizes(self) -> dict[str, Any]:
        return {"in_dim": self.in_dim, "metadata": self.metadata}


@dataclass(frozen=True, kw_only=True)
class TextSpec(Spec):
    """Tokens of texts.

    Args:
        vocab_size: ids are 0 to vocab_size - 1.
        context: the most tokens that a row of a batch holds.
        tokenizer: the `zoo.text.Tokenizer` that made them.
    """

    modality: ClassVar[str] = "text"

    vocab_size: int
    context: int
    tokenizer: Any = None  # type: ignore[misc]  # of each data set, where the base has none
    targets: str = "tokens"

    def sizes(self) -> dict[str, Any]:
        return {"vocab_size": self.vocab_size}

    def usual(self) -> dict[str, Any]:
        return {"context": self.context, "per_token": self.targets in PER_TOKEN}


@dataclass(frozen=True, kw_only=True)
class SeriesSpec(Spec):
    """Series of numbers, as windows of a lookback and the horizon that follows it.

    Args:
        channels: columns that are forecast.
        lookback: rows that a model reads.
        horizon: rows that it forecasts.
        time_features: numbers that the calendar tells of a row; 0 without stamps.
        past_covariates: columns known up to the moment of a forecast.
        future_covariates: columns known beforehand.
        static_categories: of each static column of text, how many texts.
        static_reals: static columns of numbers.
        season: rows after which a series is usually as before.
        freq: of the rows; None: there are no stamps.
        names: of the channels.
        preprocess: the `zoo.series.SeriesPreprocess` that made the windows.
    """

    modality: ClassVar[str] = "series"

    channels: int
    lookback: int
    horizon: int
    time_features: int = 0
    past_covariates: int = 0
    future_covariates: int = 0
    static_categories: tuple[int, ...] = ()
    static_reals: int = 0
    season: int = 1
    freq: str | None = None
    names: tuple[str, ...] = ()
    preprocess: Any = None  # type: ignore[misc]  # of each data set, where the base has none
    targets: str = "values"

    def sizes(self) -> dict[str, Any]:
        return {
            "channels": self.channels,
            "lookback": self.lookback,
            "horizon": self.horizon,
            "time_features": self.time_features,
            "past_covariates": self.past_covariates,
            "future_covariates": self.future_covariates,
            "static_categories": self.static_categories,
            "static_reals": self.static_reals,
        }

    def usual(self) -> dict[str, Any]:
        return {"season": self.season}


@dataclass(frozen=True, kw_only=True)
class PairSpec(Spec):
    """Pairs of sequences of tokens: one is read, the other said.

    Args:
        source_vocab, target_vocab: ids are below them.
        tokenizer: the `zoo.text.Tokenizer` of what is said.
        source_tokenizer: the one of what is read; None: the same one.
    """

    modality: ClassVar[str] = "pairs"

    source_vocab: int
    target_vocab: int
    tokenizer: Any = None  # type: ignore[misc]  # of each data set, where the base has none
    source_tokenizer: Any = None  # type: ignore[misc]  # as above
    targets: str = "tokens"

    def sizes(self) -> dict[str, Any]:
        return {"source_vocab": self.source_vocab, "target_vocab": self.target_vocab}

    def usual(self) -> dict[str, Any]:
        # Two vocabularies of one size by chance are two all the same.
        return {"joint": self.source_tokenizer is None and self.source_vocab == self.target_vocab}


@dataclass(frozen=True, kw_only=True)
class CaptionSpec(PairSpec):
    """Images, and texts that are said of them: pairs whose source is [B, in_chans, img_size, img_size].

    Args:
        preprocess: how the images are made of pictures.
    """

    modality: ClassVar[str] = "captions"

    source_vocab: int = 0  # an image has no tokens
    img_size: int
    in_chans: int
    preprocess: Preprocess | None = None  # type: ignore[misc]  # of each data set, where the base has none

    def sizes(self) -> dict[str, Any]:
        return {"target_vocab": self.target_vocab, "img_size": self.img_size, "in_chans": self.in_chans}


#: How a sentence calls data of a modality.
WORDS = {
    "image": "images",
    "graph": "graphs",
    "relational_graph": "graphs with several kinds of edges",
    "heterogeneous_graph": "graphs with several types of node",
    "text": "text",
    "series": "series",
    "pairs": "pairs of sequences",
    "captions": "images with captions",
}

#: What a user gives to `python -m zoo predict` of a model that reads it; what is not here no file holds.
GIVEN = {
    "image": "<image>",
    "graph": "<graph.npz>",
    "relational_graph": "<graph.npz>",
    "text": '"a sentence"',
    "series": "<table.csv>",
    "captions": "<image>",
}

#: The same by what a model's outputs are for, where that says more.
GIVEN_FOR = {"span": '"a question" --context <text.txt>'}

#: What a user gives to `python -m zoo translate`, likewise.
SAID = {"pairs": '"a sentence"'}
