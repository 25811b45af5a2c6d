"""What a model says of the graph in an .npz file, and what one of its nodes looks at.

What was done to the graphs that it was trained on is done to this one: its model folder tells (`model.preprocess`), or of
runs of earlier versions their config.yaml. Where neither does, the graph is taken as it stands, and that is said.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli._model import check_answer
from zoo.console import table
from zoo.errors import ZooError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.graphs import GraphPreprocess
    from zoo.models import GraphModel

log = logging.getLogger(__name__)
ROWS = 20  # lines of a table
TOP = 3  # classes of each node
TARGETS = ("y", "train_mask", "val_mask", "test_mask")  # of data=npz; nothing here looks at them

WHAT, OPTIONS = "a graph", ("node",)


def options(parser: argparse.ArgumentParser) -> None:
    """Which node is drawn."""
    parser.add_argument("--node", type=int, help="the node of a graph that is drawn (default: one worth looking at)")


def name(source: str) -> tuple[str, ...]:
    """The file and its folders."""
    return Path(source).with_suffix("").parts


def check(model: Any, source: str, run: str) -> None:
    """Raises: ZooError for what is no .npz, or not there."""
    what = "give an .npz with x [N, F] and edge_index [2, E]"
    if not source.lower().endswith(".npz"):
        raise ZooError(f"{type(model).__name__} takes a graph, not {source}; {what}.")
    if not Path(source).is_file():
        raise ZooError(f"{source} does not exist; {what}.")


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> None:
    """Print the classes, draw where the node looks."""
    predict_graph(model, options.run, Path(source), options.node, options.top, png)


def predict_graph(model: GraphModel, run: str, file: Path, node: int | None, top: int | None, png: Path) -> None:
    """Print the classes of the nodes, or of the graph where the model pools; draw where `node` looks."""
    import torch
    from torch.nn import functional as F

    from zoo.inspect.predictions import told

    graph = read(model, file, prepared(model, run))
    size = graph.num_nodes
    if node is not None and not 0 <= node < size:
        raise ZooError(f"--node {node} is not one of the graph's; its {size:,} nodes are numbered from 0.")
    several = bool(trained(run)["task"].get("multilabel"))  # runs of earlier versions say it there alone
    targets = "labels" if several else model.targets
    with torch.no_grad():
        outputs = model.forward(*model.inputs(graph)).float()
    check_answer(outputs, model, run)
    pooled, said = model.pools, outputs.argmax(-1) if targets == "class" and not model.pools else None
    classes = model.classes or tuple(map(str, range(outputs.shape[1])))
    drawn: Path | str
    try:  # before anything is printed
        node, drawn = draw(model, graph, node, said, classes, png)
    except ZooError as error:
        if node is not None:
            raise
        drawn = f"Nothing is drawn: {error}"
    if pooled:
        table(told(outputs, model, top or 5, targets)[0], f"{file}   a graph of {size:,} nodes")
    else:
        _nodes(told(outputs, model, top or TOP, targets), node, file)
        if targets != "numbers":
            _counts(outputs > 0 if said is None else F.one_hot(said, len(classes)), classes)
    print(drawn)


def prepared(model: GraphModel, run: str) -> GraphPreprocess:
    """What is done to a graph before this model sees it."""
    from zoo.graphs import GraphPreprocess

    if isinstance(told := model.preprocess, GraphPreprocess):
        return told
    data = trained(run)["data"]
    if not data:
        log.warning(f"{run} does not tell how its graphs were prepared: this one is taken as it stands.")
    return GraphPreprocess(
        in_dim=model.in_dim,
        num_nodes=model.num_nodes,
        row_normalise=data.get("row_normalise") is True,
        features=data.get("features"),
        positions=model.wants,
    )


def trained(run: str) -> Mapping[str, Any]:
    """`data` and `task` of the run that a run folder, or the model folder inside, belongs to; empty where there is none."""
    from zoo.checked.texts import read_yaml

    folder = Path(run).resolve()
    file = (folder.parent if folder.name == "model" else folder) / "config.yaml"
    found = read_yaml(file) if file.is_file() else {}
    parts: dict[str, Any] = {key: found.get(key) if isinstance(found, dict) else {} for key in ("data", "task")}
    return {key: part if isinstance(part, dict) else {} for key, part in parts.items()}


def read(model: GraphModel, file: Path, prepared: GraphPreprocess) -> Any:
    """The graph of a file as the model takes it, checked as data=npz checks its own.

    Args:
        model: its sizes say what is read: x [N, F], edge_index [2, E], edge_attr [E, A] and edge_type [E].
            Where it knows nodes by number, x may be left out.
        prepared: what is done to it then.

    Raises: ZooError for arrays that lack, that the model does not read, or that do not fit it.
    """
    import torch
    from torch_geometric.data import Data

    from datamodules.graphs.checks import check
    from datamodules.graphs.collection import GraphCollection
    from datamodules.graphs.npz import read_arrays

    prepared.check_others()
    kind, width, edge_dim, numbered = type(model).__name__, model.in_dim, model.edge_dim, model.num_nodes
    found = read_arrays(file)
    _check_names(model, kind, file, found.keys(), numbered is not None)
    if numbered is not None:
        found.setdefault("x", torch.arange(numbered))
    graph = Data(**{name: _whole(array, name) for name, array in found.items() if name not in TARGETS})
    graph.labels = torch.zeros(len(graph.x), dtype=torch.long)  # of the checks alone
    check(GraphCollection([graph], ("",), {"train": graph.labels[:1]}, featureless=numbered is not None))
    if numbered is not None and len(graph.x) != numbered:
        raise ZooError(f"{file} has {len(graph.x)} nodes, but {kind} knows the {numbered} of its own graph by number.")
    if numbered is None and graph.x.shape[1] != width:
        raise ZooError(f"{file}: x has {graph.x.shape[1]} features a node, but {kind} was made for {width}.")
    edge_attr = graph.get("edge_attr")
    if edge_attr is not None and edge_attr.shape[1] != edge_dim:
        raise ZooError(f"{file}: edge_attr has {edge_attr.shape[1]} features, but {kind} was made for {edge_dim}.")
    prepared.prepare(graph)
    like = next(model.parameters())
    return graph.apply(lambda each: each.to(like) if each.is_floating_point() else each)


def draw(
    model: GraphModel, graph: Any, node: int | None, labels: Tensor | None, classes: Sequence[str], png: Path
) -> tuple[int, Path]:
    """The first layer's weights of a node's edges; (the node, the file)."""
    from zoo.inspect import interesting_node, plot_neighbourhood, weights_of

    weights = next(iter(weights_of(model, graph).values()))
    node = interesting_node(weights, labels) if node is None else node
    return node, plot_neighbourhood(weights, node, png, labels, classes).absolute()


def _check_names(model: GraphModel, kind: str, file: Path, given: Any, numbered: bool) -> None:
    needed = ["edge_index", *["x"] * (not numbered), *["edge_attr"] * bool(model.edge_dim)]
    needed += ["edge_type"] * (model.num_relations is not None)
    missing = [name for name in needed if name not in given]
    if missing:
        there = ", ".join(sorted(given)) or "nothing"
        raise ZooError(
            f"{file} lacks {', '.join(missing)}; it has {there}, and {kind} reads {', '.join(sorted(needed))}."
        )
    known = [*needed, *TARGETS, *["x"] * numbered]
    for name in sorted(set(given) - set(known)):
        raise ZooError(f"{file} has {name!r}, which this {kind} does not read; {nearest(name, known)}")


def _whole(array: Tensor, name: str) -> Tensor:
    """Numbers of nodes and of kinds as int64, of whatever width they came."""
    return array if array.is_floating_point() or name == "edge_attr" else array.long()


def _nodes(answers: Sequence[Sequence[tuple[str, str]]], node: int | None, file: Path) -> None:
    size = len(answers)
    shown = list(range(min(size, ROWS)))
    if node is not None and node not in shown:  # the one that is drawn
        shown[-1] = node
    some = f"{size:,} nodes" if size == len(shown) else f"{len(shown)} of {size:,} nodes"
    rows = [(f"node {i}", *(f"{name}  {figure}" for name, figure in answers[i])) for i in shown]
    table(rows, f"{file}   {some}")


def _counts(chosen: Tensor, classes: Sequence[str]) -> None:
    """How many nodes each class has, the largest first."""
    counts = chosen.sum(0)
    order = counts.argsort(descending=True, stable=True).tolist()
    rows = [(classes[i], f"{counts[i]:,}", f"{100 * counts[i] / len(chosen):.1f} %") for i in order[:ROWS]]
    left = len(order) - len(rows)
    table([*rows, *[("and", f"{left} other classes")] * bool(left)], "nodes of each class")
