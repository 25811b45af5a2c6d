"""How alike the nodes of a graph have become: MAD, MADGap, Dirichlet energy. All in float64."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import ZooError

NEAR, FAR = 3, 8  # orders of neighbouring and of remote pairs, Chen et al. 2020
LARGEST = 5000  # nodes whose pairs are all looked at, and all kept by their order: 25 MB
SAME = 1e-12  # a cosine distance up to which two nodes are the same: equal float32 vectors come out at 1e-16


class Smoothness(NamedTuple):
    """What is measured of nodes [N, D]. `dead`: how many of them are zero vectors, which have no direction."""

    mad: float
    mad_gap: float
    energy: float
    dead: int


def smoothness(x: Tensor, edge_index: Tensor, order: Tensor | None = None) -> Smoothness:
    """All measures of x [N, D]; `order` is `orders(edge_index, N)`, where it is at hand."""
    order = orders(edge_index, len(x)) if order is None else order
    distances = cosine_distances(x)
    gap = mad(distances, order >= FAR) - mad(distances, order <= NEAR)
    return Smoothness(mad(distances), gap, dirichlet_energy(x, edge_index), int((x == 0).all(1).sum()))


def cosine_distances(x: Tensor) -> Tensor:
    """D_ij = 1 - x_i . x_j / (|x_i| |x_j|), [N, N] of x [N, D].

    0 where either vector is zero (it has no direction to differ in, and NaN would spoil every mean), on the diagonal, and
    where it is at most 1e-12, which is rounding.

    Raises: ZooError for more than 5,000 nodes.
    """
    if len(x) > LARGEST:
        raise ZooError(f"MAD looks at all pairs of nodes; {len(x):,} are more than {LARGEST:,}: take a smaller graph.")
    x = x.double()
    # Longest entry to 1 first: the square of 1e-200 is 0.
    scaled = x / x.abs().amax(1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    unit = F.normalize(scaled, dim=1)
    alive = (x != 0).any(1)
    distances = (1 - unit @ unit.T) * (alive[:, None] & alive)
    return distances.fill_diagonal_(0).masked_fill_(distances <= SAME, 0)


def mad(distances: Tensor, pairs: Tensor | None = None) -> float:
    """Mean average distance: 0 where all nodes point the same way. Chen et al. 2020 (arXiv 1909.03211).

        D_i = sum_j M_ij D_ij / sum_j [M_ij D_ij > 0]        MAD = sum_i D_i / sum_i [D_i > 0]

    Pairs at distance 0 count in neither mean, as in the source; so MAD is 0 where there is no other pair.

    Args:
        distances: D [N, N], `cosine_distances`.
        pairs: M [N, N] booleans, which pairs are looked at; None: all.
    """
    seen = distances if pairs is None else distances * pairs
    each = seen.sum(1) / (seen > 0).sum(1).clamp(min=1)
    return float(each.sum() / (each > 0).sum().clamp(min=1))


def orders(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Steps from node to node along edges, in either direction: [N, N] uint8; 8 for all that are further or out of reach.

    What MADGap needs: MAD(order >= 8) - MAD(order <= 3), remote less neighbouring pairs. Chen et al. 2020;
    that pairs out of reach count as remote is this project's choice.

    Raises: ZooError for more than 5,000 nodes.
    """
    from zoo.graphs import distance

    if num_nodes > LARGEST:
        raise ZooError(
            f"MADGap keeps the order of all pairs; {num_nodes:,} nodes are more than {LARGEST:,}: take a smaller graph."
        )
    both = torch.cat([edge_index, edge_index.flip(0)], 1).cpu()
    return distance(both, num_nodes, FAR).clamp(max=FAR).to(edge_index.device)


def dirichlet_energy(x: Tensor, edge_index: Tensor) -> float:
    """How much neighbours differ, on the scale of x: 0 for x_i = sqrt(1 + d_i) c, which propagation leaves as it is.

        E = 1/N sum_{undirected edges i, j} | x_i / sqrt(1 + d_i) - x_j / sqrt(1 + d_j) |^2

    d_i is the number of i's neighbours; loops and multi-edges are left out. Cai and Wang 2020 (arXiv 2006.13318),
    divided by N.
    """
    from torch_geometric.utils import coalesce, remove_self_loops

    both = torch.cat([edge_index, edge_index.flip(0)], 1)
    (i, j) = coalesce(remove_self_loops(both)[0], num_nodes=len(x))
    degree = torch.bincount(i, minlength=len(x))
    scaled = x.double() / (1 + degree).double().sqrt()[:, None]
    return float((scaled[i] - scaled[j]).square().sum() / (2 * len(x)))  # each edge is there in both directions
