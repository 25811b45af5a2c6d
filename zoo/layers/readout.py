"""From nodes to one vector a graph."""

from collections.abc import Callable

from torch import Tensor

from zoo.errors import ZooError, nearest

READOUTS = ("mean", "sum", "max")


def readout_of(name: str | None) -> Callable[..., Tensor] | None:
    """(nodes [N, D], the graph of each [N], how many graphs) -> [graphs, D], by PyTorch Geometric's pooling; None for None.

    Raises: ZooError for an unknown name.
    """
    if name is None:
        return None
    if name not in READOUTS:
        raise ZooError(f"readout={name!r} is unknown; {nearest(name, READOUTS)}")
    from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool  # seconds of import

    return {"mean": global_mean_pool, "sum": global_add_pool, "max": global_max_pool}[name]
