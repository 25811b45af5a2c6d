"""PyTorch Geometric's graph layers with every option that converts, and random graphs to show them."""

from functools import cache

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch_geometric.nn import GATConv, GATv2Conv, RGATConv, TransformerConv
from torch_geometric.nn.models import GAT

import zoo
from tests.pretrained.theirs import randomise

F, A, R, SEEDS = 5, 3, 3, st.integers(0, 2**32)
few = settings(max_examples=6, deadline=None, derandomize=True)

LOOPY = {  # options of GATConv and GATv2Conv
    "plain": {},
    "one head": {"heads": 1},
    "averaged heads": {"concat": False},
    "averaged heads, residual": {"concat": False, "residual": True},
    "residual": {"residual": True},
    "no bias": {"bias": False, "residual": True},
    "no loops": {"add_self_loops": False},
    "other slope": {"negative_slope": 0.7},
    "relu": {"negative_slope": 0.0},
    "edges": {"edge_dim": A},
    "edges, averaged heads": {"edge_dim": A, "concat": False},
    "edges, no loops": {"edge_dim": A, "add_self_loops": False},
    **{
        f"loops of {fill}": {"edge_dim": A, "fill_value": fill}
        for fill in ("mean", "add", "sum", "min", "max", 0.5, -2)
    },
    "loops of a tensor": {"edge_dim": A, "fill_value": torch.tensor(0.3)},
    "fill without edges": {"fill_value": "mul"},
}
DOT = {
    "plain": {},
    "averaged heads": {"concat": False},
    "beta": {"beta": True},
    "beta, averaged heads": {"beta": True, "concat": False},
    "no root": {"root_weight": False},
    "beta without root": {"beta": True, "root_weight": False},
    "no bias": {"bias": False, "beta": True},
    "edges": {"edge_dim": A, "beta": True},
}
CASES = {
    **{f"GATConv, {name}": (GATConv, options) for name, options in LOOPY.items()},
    **{f"GATv2Conv, {name}": (GATv2Conv, options) for name, options in LOOPY.items()},
    "GATv2Conv, shared": (GATv2Conv, {"share_weights": True}),
    "GATv2Conv, shared, edges": (GATv2Conv, {"share_weights": True, "edge_dim": A, "residual": True}),
    **{f"TransformerConv, {name}": (TransformerConv, options) for name, options in DOT.items()},
}
MODELS = {
    "plain": {},
    "elu": {"heads": 4, "act": "elu", "act_kwargs": {"alpha": 0.7}},
    "v2": {"heads": 4, "v2": True, "share_weights": True},
    "edges": {"heads": 2, "edge_dim": A, "fill_value": "max", "act": "leaky_relu"},
    "v2, edges": {"heads": 2, "edge_dim": A, "v2": True},
    "residual, no bias": {"heads": 2, "residual": True, "bias": False},
    "no loops": {"add_self_loops": False, "act": None},
    "one layer": {"num_layers": 1, "heads": 4},
    "hidden outputs": {"out_channels": None},
    "batch norm": {"norm": "BatchNorm", "heads": 2, "act": "gelu"},
    "no concat of one head": {"concat": False},
    "act first, without norm": {"act_first": True},
}
RELATIONAL = {
    "plain": {},
    "one head": {"heads": 1},
    "averaged heads": {"concat": False},
    "bases": {"num_bases": 2},
    "blocks": {"num_blocks": 2},
    "edges": {"edge_dim": A},
    "edges, bases, averaged heads": {"edge_dim": A, "num_bases": 2, "concat": False},
    "no bias, other slope": {"bias": False, "negative_slope": 0.6},
}
RELATIONAL = {
    f"{mechanism}, {mode}, {name}": {
        "attention_mechanism": f"{mechanism}-relation",
        "attention_mode": f"{mode}-self-attention",
        **options,
    }
    for mechanism in ("within", "across")
    for mode in ("additive", "multiplicative")
    for name, options in RELATIONAL.items()
}


def layer(kind, options, channels=F, **more):
    return randomise(kind(channels, 4, **{"heads": 3, **options, **more}))


def relational(options, **more):
    return randomise(RGATConv(6, 4, R, **{"heads": 2, **options, **more}))


def network(options):
    given = {"in_channels": F, "hidden_channels": 8, "num_layers": 3, "out_channels": 6, **options}
    model = randomise(GAT(**given))
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.copy_(torch.linspace(0.5, 2, len(buffer)))
    return model


@cache
def converted(make, name, *more):
    """(theirs, ours, options) of a case: make = "conv", "model" or "relational"."""
    if make == "conv":
        kind, options = CASES[name]
        theirs = layer(kind, options, *more)
    else:
        options = (MODELS if make == "model" else RELATIONAL)[name]
        theirs = (network if make == "model" else relational)(options)
    return theirs, zoo.convert(theirs), options


def has_loops(theirs):
    return getattr(theirs, "add_self_loops", False)


class Graph:
    """Nodes 0 and S - 1 in few edges or none, so that some are isolated; loops and multi-edges among the others."""

    def __init__(self, seed, sources=None, targets=None, dtype=torch.float32, channels=(F, F), edge_dim=A):
        draw = torch.Generator().manual_seed(seed)
        n = int(torch.randint(1, 9, (), generator=draw))
        S, T = sources or n, targets or n
        E = int(torch.randint(0, 25, (), generator=draw)) * (seed % 5 > 0)  # none at all, now and then
        used = [max(1, size - 1) for size in (S, T)]
        self.edge_index = torch.stack([torch.randint(size, (E,), generator=draw) for size in used])
        self.edge_attr = torch.randn(E, edge_dim, generator=draw, dtype=dtype)
        self.x_sources = torch.randn(S, channels[0], generator=draw, dtype=dtype)
        self.x = torch.randn(T, channels[1], generator=draw, dtype=dtype)
        self.relation = torch.randint(R, (E,), generator=draw)

    def edges(self, options):
        return {"edge_attr": self.edge_attr} if options.get("edge_dim") else {}


def close(a, b, tolerance=1e-5):
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
