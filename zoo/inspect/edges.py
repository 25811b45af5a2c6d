"""Where a graph model looks, in numbers: the weights of edges, how evenly heads spread them, a node worth a look."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import EdgeWeights, record_attention
from zoo.errors import ZooError
from zoo.models.base import GraphModel

READABLE = (5, 20)  # neighbours of a node that is worth a picture


@torch.no_grad()
def weights_of(model: nn.Module, data: Any) -> dict[str, EdgeWeights]:
    """The weights of every attention along edges, by its path, from one run of the model in eval mode.

    Args:
        model: `model(*model.inputs(data))` runs it; it is left in the modes (training, eval) it came in.
        data: a PyTorch Geometric `Data` or `HeteroData`, left as it is.

    Raises: ZooError if the model takes no graph, holds no attention, or attends to all nodes instead of along edges.
    """
    if not isinstance(model, GraphModel):
        raise ZooError(f"{type(model).__name__} takes no graph: it does not say that it reads one.")
    modes = {module: module.training for module in model.modules()}
    like = next(model.parameters())
    moved = copy.copy(data).apply(lambda t: t.to(like) if t.is_floating_point() else t.to(like.device))
    try:
        model.eval()
        with record_attention(model) as recorded:
            # forward, not a call: the plain model, also where the call is compiled, which one run is not worth.
            model.forward(*model.inputs(moved))
    finally:
        for module, training in modes.items():
            module.training = training
    along = {path: each for path, each in recorded.items() if isinstance(each, EdgeWeights)}
    if not along:
        raise ZooError(f"{type(model).__name__} attends to all nodes, not along edges: its weights are a matrix.")
    return along


def edge_entropy(weights: EdgeWeights, num_nodes: int) -> Tensor:
    """How widely each head of each node looks, in nats: [N, H].

        H_i = - sum_e p_e log p_e,   p_e = alpha_e / sum_e' alpha_e',   e and e' the edges into node i

    0: one edge has it all, or there is none; `uniform_entropy`: all alike. Multi-edges count each, added loops too. The
    division matters only where a target's weights add up to more than 1: of a softmax within each relation.

    Raises: ZooError if the weights are of several samples, or an edge goes to a node beyond `num_nodes`.
    """
    target, alpha = _targets(weights, num_nodes), weights.alpha
    alpha = alpha.to(torch.promote_types(alpha.dtype, torch.float32))
    empty = alpha.new_zeros(num_nodes, alpha.shape[1])
    total = empty.index_add(0, target, alpha)
    share = alpha / total[target].clamp(min=torch.finfo(alpha.dtype).tiny)
    return empty.index_add(0, target, torch.special.entr(share))


def uniform_entropy(weights: EdgeWeights, num_nodes: int) -> Tensor:
    """log(in-degree), loops included, in nats: the most a node's entropy can be. [N]; 0 for nodes without edges."""
    degree = torch.bincount(_targets(weights, num_nodes), minlength=num_nodes)
    return degree.clamp(min=1).double().log()


def interesting_node(weights: EdgeWeights, labels: Tensor | None = None) -> int:
    """A node worth drawing: 5 to 20 neighbours, some of its own class and some of another, about 10, the first such.

    What cannot be had is given up from the end of that list. Labels that are not one integer a node are not looked at;
    negative ones are unknown.

    Raises: ZooError if there are no edges.
    """
    source, target = weights.edge_index.cpu()
    if not len(target):
        raise ZooError("There are no edges: no node has a neighbourhood to draw.")
    size, others = int(target.max()) + 1, source != target
    degree = torch.bincount(target[others], minlength=size)
    outside = (degree < READABLE[0]) | (degree > READABLE[1])
    cost = (degree - 10).abs()
    if (known := per_node(labels, weights)) is not None:
        named = (known[source] >= 0) & (known[target] >= 0)
        alike = known[source] == known[target]
        mixed = torch.ones(size, dtype=torch.bool)
        for kind in (alike, ~alike):
            mixed &= torch.bincount(target[others & named & kind], minlength=size) > 0
        cost += (degree.max() + 10) * ~mixed
    cost += 2 * (degree.max() + 10) * (outside.long() + (degree == 0))
    return int((cost == cost.min()).nonzero()[0])


def one_sample(weights: EdgeWeights) -> None:
    if weights.alpha.ndim != 2:
        raise ZooError(f"Weights of edges are [E, heads], of one sample; got {list(weights.alpha.shape)}.")


def _targets(weights: EdgeWeights, num_nodes: int) -> Tensor:
    one_sample(weights)
    target = weights.edge_index[1]
    if len(target) and int(target.max()) >= num_nodes:
        raise ZooError(f"An edge goes to node {int(target.max())}, but num_nodes={num_nodes}.")
    return target


def per_node(labels: Tensor | None, weights: EdgeWeights) -> Tensor | None:
    """Labels, where there is one integer for every node that an edge names; else None."""
    if labels is None or labels.ndim != 1 or labels.is_floating_point() or not weights.edge_index.numel():
        return None
    return labels.cpu() if len(labels) > int(weights.edge_index.max()) else None
