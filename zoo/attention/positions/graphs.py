"""Where a node is: not a place in a sequence, but coordinates that come from the whole graph.

The coordinates are computed with the data (PyTorch Geometric's transforms) and reach a model as `pos`; `wants` says which.
"""

import torch
from torch import Tensor, nn

from zoo.attention.positions.base import Position
from zoo.declared import declared
from zoo.errors import ZooError

GRAPHS = ("graph", "relational_graph")


@declared
class Laplacian(Position):
    """x + W (s * u): u [N, k], the Laplacian's eigenvectors of the k smallest non-trivial eigenvalues; s = +-1 at random.

    An eigenvector's sign is arbitrary, so in training each is flipped with probability 1/2: the model learns not to rely on
    it. Dwivedi and Bresson 2021, section 2.1.
    """

    reads = GRAPHS
    encoding = ("laplacian", "k")

    def __init__(self, dim: int, k: int = 8):
        super().__init__()
        self.k, self.map = k, nn.Linear(k, dim, bias=False)

    def embed(self, x, pos):
        _check(pos, self.k, "laplacian")
        if self.training:
            pos = pos * (torch.randint(0, 2, (self.k,), device=pos.device) * 2 - 1)
        return x + self.map(pos.to(x.dtype))


@declared
class RandomWalk(Position):
    """x + W p: p [N, k], the chances that a random walk from the node is back after 1, ..., k steps.

    Dwivedi et al. 2022, section 3.2.
    """

    reads = GRAPHS
    encoding = ("random_walk", "k")

    def __init__(self, dim: int, k: int = 16):
        super().__init__()
        self.k, self.map = k, nn.Linear(k, dim, bias=False)

    def embed(self, x, pos):
        _check(pos, self.k, "random_walk")
        return x + self.map(pos.to(x.dtype))


@declared
class ShortestPath(Position):
    """A number b_h[d] added to head h's logits, d the length of the shortest path from one node to the other.

    Ying et al. 2021 (Graphormer), section 3.1.2. Lengths above `farthest`, and no path, share one entry. `pos` is the matrix
    of lengths [N, N] (from the query's node to the key's); made for pattern=full: along edges all lengths are 0 or 1.
    """

    reads = GRAPHS
    encoding = ("shortest_path", "farthest")

    def __init__(self, num_heads: int, farthest: int = 8):
        super().__init__()
        self.farthest = farthest
        self.table = nn.Parameter(torch.zeros(num_heads, farthest + 2))

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        if q_pos.ndim != 2:
            raise ZooError(f"ShortestPath reads a matrix of lengths [N, N]; got pos {list(q_pos.shape)}.")
        return self.table[:, q_pos.long().clamp(max=self.farthest + 1)]  # [H, Q, K]


def _check(pos: Tensor | None, k: int, name: str) -> None:
    if pos is None or pos.shape[-1] != k:
        said = "none" if pos is None else list(pos.shape)
        raise ZooError(f"The nodes need coordinates [N, {k}] ({name}, made with the data); got {said}.")
