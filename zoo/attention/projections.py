"""Where queries, keys and values come from, and how the heads become one vector again."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.attention.linear import Linear
from zoo.attention.maps import Map, side_by_side
from zoo.declared import declared
from zoo.errors import ZooError


class Projection(nn.Module):
    """Base class: define `queries` and `keys_values`; `forward` where the two together are cheaper than one by one.

    `maps` says where the maps q, k and v are, for adapters and whatever else goes by those names.
    """

    @property
    def maps(self) -> dict[str, Map]:
        """Name -> where that map lies; none by default."""
        return {}

    def queries(self, x: Tensor) -> Tensor:
        """[B, N, dim] -> q [B, H, N, D]."""
        raise NotImplementedError(f"{type(self).__name__} is a projection without `queries`: define it.")

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """[B, M, context_dim] -> k and v [B, H_kv, M, D]. Raises ZooError where there is no map for a context."""
        raise NotImplementedError(f"{type(self).__name__} is a projection without `keys_values`: define it.")

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, dim], [B, M, context_dim] -> q [B, H, N, D], k and v [B, H_kv, M, D]; the context is x without one."""
        return self.queries(x), *self.keys_values(x if context is None else context)


@declared
class FusedQKV(Projection):
    """q, k, v of one sequence by one matrix product. Rows of the weight: all q heads, all k heads, all v heads."""

    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, head_dim: int, bias: bool = True):
        super().__init__()
        self.heads, self.head_dim = (num_heads, num_kv_heads, num_kv_heads), head_dim
        self.qkv = Linear(dim, sum(self.heads) * head_dim, bias=bias)

    @property
    def maps(self):
        q, k, v = (heads * self.head_dim for heads in self.heads)
        return side_by_side("qkv", q=q, k=k, v=v)

    def queries(self, x):
        return self.forward(x)[0]

    def keys_values(self, context):
        raise ZooError("FusedQKV projects one sequence; for cross-attention give projection=SeparateQKV.")

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, dim] -> q [B, H, N, D], k and v [B, H_kv, N, D]."""
        if context is not None:
            self.keys_values(context)
        return in_heads(self.qkv(x), self.head_dim).split(self.heads, 1)  # of [B, H + 2 H_kv, N, D]


@declared
class SeparateQKV(Projection):
    """q from the tokens, k and v from a context of width `context_dim` (the tokens themselves without one)."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int,
        bias: bool = True,
        context_dim: int | None = None,
    ):
        super().__init__()
        self.heads, self.head_dim = (num_kv_heads, num_kv_heads), head_dim
        self.q = Linear(dim, num_heads * head_dim, bias=bias)
        self.kv = Linear(context_dim or dim, sum(self.heads) * head_dim, bias=bias)

    @property
    def maps(self):
        k, v = (heads * self.head_dim for heads in self.heads)
        return {"q": Map("q"), **side_by_side("kv", k=k, v=v)}

    def queries(self, x):
        return in_heads(self.q(x), self.head_dim)

    def keys_values(self, context):
        k, v = self.kv(context).split([heads * self.head_dim for heads in self.heads], -1)
        return in_heads(k, self.head_dim), in_heads(
            v, self.head_dim
        )  # split as the map lays them out, so as their gradients


@declared
class SharedQKV(Projection):
    """q = k = v = W x: what a node says of itself is what it asks and is asked. Velickovic et al. 2018, equation 1.

    With a `context_dim`, the context (the sources of a bipartite graph) has a map of its own.
    """

    def __init__(self, dim: int, num_heads: int, head_dim: int, bias: bool = False, context_dim: int | None = None):
        super().__init__()
        self.head_dim = head_dim
        self.map = Linear(dim, num_heads * head_dim, bias=bias)
        self.context = Linear(context_dim, num_heads * head_dim, bias=bias) if context_dim else None

    @property
    def maps(self):
        other = Map("map" if self.context is None else "context")
        return {"q": Map("map"), "k": other, "v": other}

    def queries(self, x):
        return in_heads(self.map(x), self.head_dim)

    def keys_values(self, context):
        k = in_heads((self.context or self.map)(context), self.head_dim)
        return k, k

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, dim], [B, M, context_dim] -> q [B, H, N, D], k = v [B, H, M, D]."""
        if context is None and self.context is None:
            q = self.queries(x)
            return q, q, q
        return super().forward(x, context)


@declared
class SharedKV(Projection):
    """k = v = W_l x, q = W_r x; `share`: W_r = W_l. Brody et al. 2022, section 4.3."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int,
        bias: bool = True,
        context_dim: int | None = None,
        share: bool = False,
    ):
        super().__init__()
        self.head_dim = head_dim
        self.key = Linear(context_dim or dim, num_heads * head_dim, bias=bias)
        self.query = self.key if share else Linear(dim, num_heads * head_dim, bias=bias)

    @property
    def maps(self):
        return {"q": Map("key" if self.query is self.key else "query"), "k": Map("key"), "v": Map("key")}

    def queries(self, x):
        return in_heads(self.query(x), self.head_dim)

    def keys_values(self, context):
        k = in_heads(self.key(context), self.head_dim)
        return k, k

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, dim], [B, M, context_dim] -> q [B, H, N, D], k = v [B, H, M, D]."""
        if context is None and self.query is self.key:
            q = self.queries(x)
            return q, q, q
        return super().forward(x, context)


@declared
class IdentityQKV(Projection):
    """q = x and k = v = the context, as they are, in heads: for a score with maps of its own (Bahdanau et al. 2015, appendix
    A.1.2; Luong et al. 2015, section 3.1).

    Raises: ZooError where dim is not num_heads * head_dim, or there are fewer key/value heads than heads.
    """

    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, head_dim: int):
        super().__init__()
        if dim != num_heads * head_dim or num_kv_heads != num_heads:
            raise ZooError(
                f"IdentityQKV leaves tokens as they are: {dim=} must be num_heads * head_dim = {num_heads} * {head_dim}, and "
                f"num_kv_heads={num_kv_heads} the same number of heads."
            )
        self.head_dim = head_dim

    def queries(self, x):
        return in_heads(x, self.head_dim)

    def keys_values(self, context):
        k = in_heads(context, self.head_dim)
        return k, k


@declared
class EdgeProjection(nn.Module):
    """W_e e: features of edges [E, edge_dim] -> [E, H, D], added to the keys and the values. Shi et al. 2021, equation 3."""

    def __init__(self, edge_dim: int, num_heads: int, head_dim: int):
        super().__init__()
        self.head_dim = head_dim
        self.map = Linear(edge_dim, num_heads * head_dim, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.map(features).unflatten(-1, (-1, self.head_dim))


def in_heads(x: Tensor, head_dim: int) -> Tensor:
    """[B, N, H D] -> [B, H, N, D]; [N, H D], of sparse features, is a batch of one."""
    x = x if x.ndim == 3 else x.unsqueeze(0)
    return x.view(*x.shape[:2], x.shape[2] // head_dim, head_dim).transpose(1, 2)


@declared
class OutputProjection(nn.Module):
    """Heads side by side, then a linear map: [B, H, N, D] -> [B, N, dim]. Vaswani et al. 2017, section 3.2.2.

    `norm` is a factory of one on the joined heads, before the map: Wang et al. 2022 (Magneto), figure 2, "Sub-LN".
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int,
        bias: bool = True,
        dropout: float = 0.0,
        drop: Callable[[float], nn.Module] = nn.Dropout,
        norm: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        self.norm = norm(num_heads * head_dim) if norm else None
        self.proj = Linear(num_heads * head_dim, dim, bias=bias)
        self.drop = drop(dropout) if dropout else None

    @property
    def maps(self) -> dict[str, Map]:
        """The one map, "o"."""
        return {"o": Map("proj")}

    def forward(self, heads: Tensor) -> Tensor:
        joined = heads.transpose(1, 2).flatten(2)
        out = self.proj(joined if self.norm is None else self.norm(joined))
        return out if self.drop is None else self.drop(out)


ConcatHeads = OutputProjection  # its former name


@declared
class JoinHeads(nn.Module):
    """Heads side by side, without a map: [B, H, N, D] -> [B, N, H D], plus a bias. Velickovic et al. 2018, equation 5."""

    def __init__(self, num_heads: int, head_dim: int, bias: bool = True):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(num_heads * head_dim)) if bias else None

    def forward(self, heads: Tensor) -> Tensor:
        out = heads.transpose(1, 2).flatten(2)
        return out if self.bias is None else out + self.bias


@declared
class MeanHeads(nn.Module):
    """The mean of the heads, without a map: [B, H, N, D] -> [B, N, D], plus a bias. Velickovic et al. 2018, equation 6."""

    def __init__(self, head_dim: int, bias: bool = True):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(head_dim)) if bias else None

    def forward(self, heads: Tensor) -> Tensor:
        out = heads.mean(1)
        return out if self.bias is None else out + self.bias
