"""The feed-forward half of a block."""

from collections.abc import Callable

from torch import Tensor, nn

from zoo.attention.linear import Linear
from zoo.attention.maps import Map
from zoo.declared import declared


@declared
class FeedForward(nn.Module):
    """fc2(act(fc1 x)), the same for every token. Vaswani et al. 2017, section 3.3 (there with ReLU).

    `dropout` is of what comes out and of what stands between the maps; `hidden_dropout` is another rate for the latter.
    `norm` is a factory of one between the maps, fc2(norm(act(fc1 x))): Wang et al. 2022 (Magneto), figure 2, "Sub-LN".
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        act: Callable[[], nn.Module] = nn.GELU,
        dropout: float = 0.0,
        bias: bool = True,
        drop: Callable[[float], nn.Module] = nn.Dropout,
        hidden_dropout: float | None = None,
        norm: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        self.fc1 = Linear(dim, hidden, bias=bias)
        self.act = act()
        self.norm = norm(hidden) if norm else None
        self.fc2 = Linear(hidden, dim, bias=bias)
        self.drop = drop(dropout) if dropout else None
        between = dropout if hidden_dropout is None else hidden_dropout
        self.hidden_drop = drop(between) if between else None

    @property
    def maps(self) -> dict[str, Map]:
        """Its maps by their usual names."""
        return {"up": Map("fc1"), "down": Map("fc2")}

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc1(x))
        x = x if self.hidden_drop is None else self.hidden_drop(x)
        x = self.fc2(x if self.norm is None else self.norm(x))
        return x if self.drop is None else self.drop(x)


@declared
class GatedFeedForward(nn.Module):
    """down(act(gate x) * up x): three maps in place of two. Shazeer 2020, section 2; with SiLU it is SwiGLU.

    `dropout` is of what comes out; `hidden_dropout` of what stands before the last map, and `norm` is a factory of one there.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        act: Callable[[], nn.Module] = nn.SiLU,
        dropout: float = 0.0,
        bias: bool = False,
        hidden_dropout: float = 0.0,
        norm: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        self.gate = Linear(dim, hidden, bias=bias)
        self.up = Linear(dim, hidden, bias=bias)
        self.act = act()
        self.norm = norm(hidden) if norm else None
        self.down = Linear(hidden, dim, bias=bias)
        self.drop = nn.Dropout(dropout) if dropout else None
        self.hidden_drop = nn.Dropout(hidden_dropout) if hidden_dropout else None

    @property
    def maps(self) -> dict[str, Map]:
        """Its maps by their usual names."""
        return {"up": Map("up"), "gate": Map("gate"), "down": Map("down")}

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.gate(x)) * self.up(x)
        x = x if self.hidden_drop is None else self.hidden_drop(x)
        x = self.down(x if self.norm is None else self.norm(x))
        return x if self.drop is None else self.drop(x)


@declared
class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), the approximation of GELU that CLIP was trained with. Hendrycks and Gimpel 2016."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1.702 * x).sigmoid()
