"""The scores of graph attention: LeakyReLU inside or around the comparison, and what an edge adds to it."""

import math

import torch
from torch import Tensor, nn

from zoo.attention.scores import AdditiveForm, Score
from zoo.declared import declared


def glorot(*shape: int) -> nn.Parameter:
    """One vector a head, [..., D], uniform in +-sqrt(6 / (D + 1)): Glorot and Bengio 2010 for a map of D to 1."""
    bound = math.sqrt(6 / (shape[-1] + 1))
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def edge_map(edge_dim: int, width: int) -> nn.Linear | None:
    return nn.Linear(edge_dim, width, bias=False) if edge_dim else None


@declared
class GATScore(Score):
    """LeakyReLU(a_q . q_i + a_k . k_j + a_e . e_ij), vectors a for each head. Velickovic et al. 2018, equation 3.

    It ranks the keys alike for every query (static attention, Brody et al. 2022), since LeakyReLU is monotonous: GATv2Score.

    Args:
        edge_dim: A, the width of edge features [E, A]; 0 for edges without.
        slope: of LeakyReLU below 0.
    """

    def __init__(self, num_heads: int, head_dim: int, edge_dim: int = 0, slope: float = 0.2):
        super().__init__()
        self.slope, self.edge_dim = slope, edge_dim
        self.query, self.key = glorot(num_heads, head_dim), glorot(num_heads, head_dim)
        self.edge = edge_map(edge_dim, num_heads)

    def edge_shape(self, num_heads, head_dim):
        return (self.edge_dim,)

    def pairs(self, q, k, edge=None):
        logits = _along(q, self.query) + _along(k, self.key)
        if edge is not None and self.edge is not None:
            logits = logits + self.edge(edge).T
        return nn.functional.leaky_relu(logits, self.slope)

    def as_additive(self, q, k, edge=None):
        e = None if edge is None or self.edge is None else self.edge(edge).unsqueeze(-1)
        if q is k:  # of nodes that ask as they are asked
            q, k = _columns(q, self.query, self.key)
        else:
            (q,), (k,) = _columns(q, self.query), _columns(k, self.key)
        return AdditiveForm(q, k, torch.ones_like(self.query[:, :1]), f"leaky_relu:{self.slope}", e)


@declared
class GATv2Score(Score):
    """a . LeakyReLU(q_i + k_j + W_e e_ij), a vector a for each head. Brody et al. 2022, equation 7.

    With q = W_l x_i and k = W_r x_j (projection SharedKV): which key ranks first may differ from query to query.

    Args:
        edge_dim: A, the width of edge features [E, A]; 0 for edges without.
        slope: of LeakyReLU below 0.
    """

    def __init__(self, num_heads: int, head_dim: int, edge_dim: int = 0, slope: float = 0.2):
        super().__init__()
        self.slope, self.edge_dim = slope, edge_dim
        self.vector = glorot(num_heads, head_dim)
        self.edge = edge_map(edge_dim, num_heads * head_dim)

    def edge_shape(self, num_heads, head_dim):
        return (self.edge_dim,)

    def pairs(self, q, k, edge=None):
        x = q + k
        if edge is not None and self.edge is not None:
            x = x + self._mapped(edge).transpose(0, 1)
        return _along(nn.functional.leaky_relu(x, self.slope), self.vector)

    def as_additive(self, q, k, edge=None):
        e = None if edge is None or self.edge is None else self._mapped(edge)
        return AdditiveForm(q, k, self.vector, f"leaky_relu:{self.slope}", e)

    def _mapped(self, edge: Tensor) -> Tensor:
        assert self.edge is not None  # asked before
        return self.edge(edge).unflatten(-1, self.vector.shape)  # [E, H, D]


@declared
class SuperGATScore(Score):
    """LeakyReLU((a_q . q_i + a_k . k_j) sigmoid(q_i . k_j)), vectors a for each head: GAT's, where an edge is likely.

    Kim and Oh 2021 (SuperGAT), section 3, "MX"; without `vectors` LeakyReLU(q_i . k_j / sqrt D), their "SD". The loss that has
    the inner products tell edges from pairs without one is the training's, and no part of it.

    Args:
        vectors: whether there are a_q and a_k.
        slope: of LeakyReLU below 0.
    """

    def __init__(self, num_heads: int, head_dim: int, vectors: bool = True, slope: float = 0.2):
        super().__init__()
        self.slope = slope
        self.query = glorot(num_heads, head_dim) if vectors else None
        self.key = glorot(num_heads, head_dim) if vectors else None

    def pairs(self, q, k, edge=None):
        likely = (q * k).sum(-1)
        if self.query is None or self.key is None:
            logits = likely / math.sqrt(q.shape[-1])
        else:
            logits = (_along(q, self.query) + _along(k, self.key)) * likely.sigmoid()
        return nn.functional.leaky_relu(logits, self.slope)


@declared
class AdditiveEdgeScore(Score):
    """LeakyReLU(q_i + k_j + e_ij) of numbers, without parameters. Busbridge et al. 2019, equation 4.

    For queries that differ from edge to edge (R-GAT: a node asks differently under each relation): they are e, and q is 0.
    q, k: [B, H, *, 1]. e: [E, H].
    """

    def __init__(self, slope: float = 0.2):
        super().__init__()
        self.slope = slope

    def edge_shape(self, num_heads, head_dim):
        return (num_heads,)

    def pairs(self, q, k, edge=None):
        x = (q + k).squeeze(-1)
        return nn.functional.leaky_relu(x if edge is None else x + edge.T, self.slope)

    def as_additive(self, q, k, edge=None):
        e = None if edge is None else edge.unsqueeze(-1)
        return AdditiveForm(q, k, q.new_ones(q.shape[1], 1), f"leaky_relu:{self.slope}", e)


@declared
class MultiplicativeEdgeScore(Score):
    """(q_i + e_ij) k_j of numbers, without parameters: `AdditiveEdgeScore` for Busbridge et al. 2019, equation 5 (width 1)."""

    def edge_shape(self, num_heads, head_dim):
        return (num_heads,)

    def pairs(self, q, k, edge=None):
        q, k = q.squeeze(-1), k.squeeze(-1)
        return (q if edge is None else q + edge.T) * k


def _along(x: Tensor, vector: Tensor) -> Tensor:
    """x [B, H, *, D] along each head's vector [H, D]: [B, H, *]."""
    return torch.einsum("bh...d,hd->bh...", x, vector)


def _columns(x: Tensor, *vectors: Tensor) -> list[Tensor]:
    """x [B, H, N, D] along each of the vectors [H, D], each [B, H, N, 1].

    One linear map over all heads, nodes first as linear maps leave them: x is read once for all vectors, and its gradient has
    the layout of x. Head by head (einsum), that goes across the grain, and takes several times as long.
    """
    maps = torch.cat([torch.block_diag(*vector.unsqueeze(1)) for vector in vectors])  # [V H, H D]
    y = nn.functional.linear(x.transpose(1, 2).flatten(2), maps)
    return [each.transpose(1, 2).unsqueeze(-1) for each in y.chunk(len(vectors), -1)]


EdgeSum, EdgeProduct = AdditiveEdgeScore, MultiplicativeEdgeScore  # their former names
