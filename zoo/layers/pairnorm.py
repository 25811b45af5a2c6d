"""PairNorm as a norm of graph layers."""

from torch import nn

from zoo.declared import declared


@declared
def pair_norm(dim: int, scale: float = 1.0, individually: bool = False) -> nn.Module:
    """x_i - mean(x), divided by the root mean square length of these, times `scale`: PyTorch Geometric's PairNorm.

    Zhao and Akoglu 2020 (arXiv 1909.12223); `individually` is their PairNorm-SI, each node's own
    length. Over all nodes it is given: for one graph, not for batches of graphs.

    Args:
        dim: what a norm is told of the width; PairNorm has no parameters that would need it.
    """
    from torch_geometric.nn import PairNorm  # takes seconds to import

    return PairNorm(scale=scale, scale_individually=individually)
