"""Where queries, keys and values come from, and how the heads become one vector again."""

from torch import Tensor, nn

from zoo.errors import ZooError


class FusedQKV(nn.Module):
    """q, k, v of one sequence by one matrix product. Rows of the weight: all q heads, all k heads, all v heads."""

    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, head_dim: int, bias: bool = True):
        super().__init__()
        self.heads, self.head_dim = (num_heads, num_kv_heads, num_kv_heads), head_dim
        self.qkv = nn.Linear(dim, sum(self.heads) * head_dim, bias=bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, dim] -> q [B, H, N, D], k and v [B, H_kv, N, D]."""
        if context is not None:
            raise ZooError("FusedQKV projects one sequence; for cross-attention give projection=SeparateQKV.")
        qkv = self.qkv(x).view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)  # [B, H + 2 H_kv, N, D]
        return qkv.split(self.heads, 1)


class SeparateQKV(nn.Module):
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
        self.q = nn.Linear(dim, num_heads * head_dim, bias=bias)
        self.kv = nn.Linear(context_dim or dim, sum(self.heads) * head_dim, bias=bias)

    def queries(self, x: Tensor) -> Tensor:
        return self.q(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        return self.kv(context).unflatten(-1, (-1, self.head_dim)).transpose(1, 2).split(self.heads, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, dim], [B, M, context_dim] -> q [B, H, N, D], k and v [B, H_kv, M, D]."""
        return self.queries(x), *self.keys_values(x if context is None else context)


class ConcatHeads(nn.Module):
    """Heads side by side, then a linear map: [B, H, N, D] -> [B, N, dim]. Vaswani et al. 2017, section 3.2.2."""

    def __init__(self, dim: int, num_heads: int, head_dim: int, bias: bool = True, dropout: float = 0.0):
        super().__init__()
        self.proj = nn.Linear(num_heads * head_dim, dim, bias=bias)
        self.drop = nn.Dropout(dropout) if dropout else None

    def forward(self, heads: Tensor) -> Tensor:
        out = self.proj(heads.transpose(1, 2).flatten(2))
        return out if self.drop is None else self.drop(out)


class MeanHeads(nn.Module):
    """The mean of the heads, without a map: [B, H, N, D] -> [B, N, D]. Velickovic et al. 2018, equation 6."""

    def forward(self, heads: Tensor) -> Tensor:
        return heads.mean(1)
