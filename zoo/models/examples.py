"""A small batch for a model, of numbers that are the same everywhere: what probes and exports show it.

The numbers are made of the raw stream of NumPy's PCG64, which NumPy promises not to change (its Generator's distributions may),
by steps that IEEE 754 fixes. So a seed means the same batch with any version of NumPy and torch, on any machine.
"""

from __future__ import annotations

import inspect
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.errors import ZooError

ROWS = 2  # samples of a batch
TOKENS = 64  # of a text, at most
NODES, EDGES = 12, 40  # of a graph
MOST = 2**25  # numbers of a tensor: a file may say sizes of which its weights hold nothing, such as an image's side


class Draw:
    """Numbers of a seed; each call goes on where the one before has ended.

    Args:
        seed: of PCG64.
        rows: samples that a batch is to hold.
        tokens: of a text, at most.
        nodes, edges: of a graph.

    Raises: ZooError for more numbers at once than any example has.
    """

    def __init__(
        self, seed: int = 0, *, rows: int = ROWS, tokens: int = TOKENS, nodes: int = NODES, edges: int = EDGES
    ):
        self.stream = np.random.PCG64(seed)
        self.rows, self.tokens, self.nodes, self.edges = rows, tokens, nodes, edges

    def shares(self, *shape: int) -> np.ndarray:
        """float64 of [0, 1): the upper 53 of each 64 bits."""
        if (count := math.prod(shape)) > MOST:
            raise ZooError(f"An example of this model would hold {count:,} numbers ({list(shape)}); a size is wrong.")
        raw = self.stream.random_raw(count)
        return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def numbers(self, *shape: int) -> Tensor:
        """float32, uniform of mean 0 and variance 1."""
        return torch.from_numpy(((self.shares(*shape) * 2 - 1) * 3**0.5).astype(np.float32))

    def below(self, most: int, *shape: int) -> Tensor:
        """Whole numbers of 0 to most - 1."""
        return torch.from_numpy((self.shares(*shape) * most).astype(np.int64))


def setting(model: nn.Module, name: str) -> Any:
    """What a model was built with: of its config, else the default of its class; None where neither tells."""
    config = getattr(model, "config", None) or {}
    if name in config:
        return config[name]
    known = inspect.signature(type(model)).parameters.get(name)
    return None if known is None or known.default is inspect.Parameter.empty else known.default


def images(model: Any, draw: Draw) -> tuple[Tensor]:
    """(images [B, C, H, W],) of the sizes that the model, or its preprocessing, says."""
    told = model.preprocess
    size = setting(model, "img_size") or getattr(told, "size", None) or 32
    height, width = (size, size) if isinstance(size, int) else size
    channels = setting(model, "in_chans") or getattr(told, "in_chans", None) or 3
    return (draw.numbers(draw.rows, channels, height, width),)


def text(model: Any, draw: Draw) -> SimpleNamespace:
    """Rows of tokens, without padding."""
    return SimpleNamespace(ids=draw.below(model.vocab_size, draw.rows, min(model.context, draw.tokens)), mask=None)


def pairs(model: Any, draw: Draw) -> SimpleNamespace:
    """Source sentences, the last of which is shorter, and targets."""
    n = min(draw.tokens, 16, model.max_length or 16)
    source, target = draw.below(model.source_vocab, draw.rows, n), draw.below(model.target_vocab, draw.rows, n)
    lengths = torch.full((draw.rows,), n)
    lengths[-1] = max(n // 2, 1)
    return SimpleNamespace(source=source, target=target, lengths=lengths)


def captions(model: Any, draw: Draw) -> SimpleNamespace:
    """Images, and what is said of them."""
    (source,) = images(model, draw)
    return SimpleNamespace(
        source=source, target=draw.below(model.target_vocab, draw.rows, min(draw.tokens, 16)), lengths=None
    )


def series(model: Any, draw: Draw) -> dict[str, Tensor]:
    """Windows in which every tenth value or so is missing, with each kind of column that the model reads."""
    B, L, H, C = draw.rows, model.lookback, model.horizon, model.channels
    observed = torch.from_numpy(draw.shares(B, L, C) >= 0.1)
    found = {"past_values": draw.numbers(B, L, C) * observed, "past_observed_mask": observed}
    if times := setting(model, "time_features"):
        found |= {"past_time_features": draw.numbers(B, L, times), "future_time_features": draw.numbers(B, H, times)}
    if count := setting(model, "past_covariates"):
        found["past_covariates"] = draw.numbers(B, L, count)
    if count := setting(model, "future_covariates"):
        found["future_covariates"] = draw.numbers(B, L + H, count)
    if sizes := setting(model, "static_categories"):
        found["static_categorical_features"] = torch.stack([draw.below(size, B) for size in sizes], 1)
    if count := setting(model, "static_reals"):
        found["static_real_features"] = draw.numbers(B, count)
    return found


def graph(model: Any, draw: Draw) -> Any:
    """A PyTorch Geometric `Data` with all that the model reads; as many as `draw.rows` in a batch where it pools."""
    from torch_geometric.data import Batch

    return Batch.from_data_list([_graph(model, draw) for _ in range(draw.rows)]) if model.pools else _graph(model, draw)


def _graph(model: Any, draw: Draw) -> Any:
    from torch_geometric.data import Data

    nodes, edges = draw.nodes, draw.edges
    numbered = model.num_nodes is not None or _tables(getattr(model, "embed", None))
    found = Data(x=_numbered(model, draw) if numbered else draw.numbers(nodes, model.in_dim), num_nodes=nodes)
    found.edge_index = draw.below(nodes, 2, edges)
    if model.num_nodes is not None:
        found.n_id = found.x  # a part of the graph: its nodes are looked up by number
    if model.edge_dim:
        found.edge_attr = draw.numbers(edges, model.edge_dim)
    if model.num_relations:
        # Half of them of two relations: where a node sees one edge of each, all that it sees weighs 1, whatever the weights.
        several = draw.below(min(2, model.num_relations), edges // 2)
        found.edge_type = torch.cat([several, draw.below(model.num_relations, edges - edges // 2)])
    for name, number in model.wants.items():
        apart = name == "shortest_path"  # steps between all nodes; beyond the farthest, and unreachable
        found[name] = draw.below(number + 2, nodes, nodes) if apart else draw.numbers(nodes, number)
    return found


def _numbered(model: Any, draw: Draw) -> Tensor:
    """Nodes that are described by numbers: [N], or [N, C] of several lists."""
    if not (sizes := _tables(getattr(model, "embed", None))):
        return draw.below(model.num_nodes, draw.nodes)
    columns = [draw.below(size, draw.nodes) for size in sizes]
    return columns[0] if len(columns) == 1 else torch.stack(columns, 1)


def _tables(embed: Any) -> list[int]:
    return [table.num_embeddings for table in getattr(embed, "tables", ())]


def heterogeneous_graph(model: Any, draw: Draw) -> Any:
    """A PyTorch Geometric `HeteroData`: the target's nodes, and edges along each meta-path."""
    from torch_geometric.data import HeteroData

    found = HeteroData()
    found[model.target].x = draw.numbers(draw.nodes, model.in_dim)
    for path in model.metapaths:
        found[path].edge_index = draw.below(draw.nodes, 2, draw.edges)
    return found
