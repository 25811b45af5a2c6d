"""Which options of PyTorch Geometric's convolutions ours do not have: each is found in the module itself, and named."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch_geometric.nn import GATConv, GATv2Conv, MessagePassing, RGATConv, SuperGATConv, TransformerConv
from torch_geometric.nn.aggr import SumAggregation

from zoo.attention.edges import FILLS
from zoo.errors import ZooError

ALL = "in_channels out_channels heads concat dropout edge_dim bias"
GRAPH = f"{ALL} negative_slope add_self_loops fill_value residual"

#: The options of each constructor that the conversion reads; one that a later release adds is not among them.
KNOWN: dict[type[nn.Module], str] = {
    GATConv: GRAPH,
    GATv2Conv: f"{GRAPH} share_weights",
    TransformerConv: f"{ALL} beta root_weight",
    SuperGATConv: (
        "in_channels out_channels heads concat negative_slope dropout add_self_loops bias attention_type "
        "neg_sample_ratio edge_sample_ratio is_undirected"  # of its loss alone
    ),
    RGATConv: f"{ALL} negative_slope num_relations num_bases num_blocks attention_mechanism attention_mode",
}


def refuse(model: nn.Module, found: Iterable[str]) -> None:
    """Raise ZooError if anything was found."""
    if options := list(dict.fromkeys(found)):
        raise ZooError(
            f"This {type(model).__name__} has {'; '.join(options)}, which zoo has no counterpart of. Take another layer, or "
            "create it without."
        )


def unknown(model: nn.Module, known: dict[type[nn.Module], str]) -> Iterator[str]:
    """The class where it is a subclass of a known one; else options of its constructor that are not written in `known`."""
    if type(model) not in known:
        yield f"class={type(model).__name__}"
        return
    for name, option in inspect.signature(type(model).__init__).parameters.items():
        if name not in known[type(model)].split() and option.kind is option.POSITIONAL_OR_KEYWORD and name != "self":
            value = getattr(model, name, option.default)
            if repr(value) != repr(option.default):
                yield f"{name}={value!r}"


def unsupported(conv: Any) -> Iterator[str]:
    """The options, as `name=value`, that keep a convolution from being converted."""
    yield from (found := list(unknown(conv, KNOWN)))
    if found and found[0].startswith("class="):
        return  # what its options mean is not known
    yield from _passing(conv)
    if any(is_lazy(parameter) for parameter in conv.parameters()):
        yield "sizes of -1, not known before its first call"
    if not 0 <= conv.dropout < 1:
        yield f"dropout={conv.dropout}"
    if getattr(conv, "negative_slope", 0) < 0:
        yield f"negative_slope={conv.negative_slope}"
    if getattr(conv, "add_self_loops", False) and getattr(conv, "edge_dim", None) and fill_of(conv) is None:
        yield f"fill_value={'Tensor' if isinstance(conv.fill_value, Tensor) else repr(conv.fill_value)}"
    if getattr(conv, "share_weights", False) and len(set(channels(conv))) > 1:
        yield f"share_weights=True with in_channels={conv.in_channels}"


def _passing(conv: MessagePassing) -> Iterator[str]:
    """What MessagePassing itself takes."""
    if type(conv.aggr_module) is not SumAggregation:
        yield f"aggr={conv.aggr if isinstance(conv.aggr, str) else type(conv.aggr_module).__name__!r}"
    if conv.flow != "source_to_target":
        yield f"flow={conv.flow!r}"
    if conv.decomposed_layers != 1:
        yield f"decomposed_layers={conv.decomposed_layers}"


def channels(conv: Any) -> tuple[int, int]:
    """(sources, targets)."""
    given = conv.in_channels
    return (given, given) if isinstance(given, int) else tuple(given)


def fill_of(conv: Any) -> str | float | None:
    """What our `with_self_loops` calls the layer's fill_value; None where it has no word for it."""
    fill = conv.fill_value
    if isinstance(fill, Tensor):
        return fill.item() if fill.numel() == 1 else None
    if isinstance(fill, str):
        fill = {"add": "sum", "amin": "min", "amax": "max"}.get(fill, fill)
        return fill if fill in FILLS else None
    return 1.0 if fill is None else fill
