"""A block on the patches of several channels: along time, where asked for along channels, and to exogenous columns."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import Full, Pattern
from zoo.layers.block import Block


class SeriesBlock(Block):
    """A Block on patches [B C, N, dim], channel c of sample b in row b C + c.

        x = order(x, attention along the patches of a channel)
        x = order(x, the same attention along the channels of a patch)                       with mix_channels
        x = order(x, attention to the tokens of exogenous columns)                           where there are any
        x = order(x, feed-forward)

    With residual scores the logits of the first attention are added to those of the block after it:
    L_l = q k' / sqrt(D) + L_(l-1). He et al. 2021 (RealFormer), equation 3; Nie et al. 2023, in their code.

    Args:
        attn, mlp: as of a Block.
        exogenous: an attention to a context; None for none.
        mix_channels: whether `attn` attends along the channels too, with the same weights.
        pattern: of the attention along time, where `attn` itself has none since it serves both.
        norm, order, drop_path, ...: as of a Block.
    """

    attn: Any  # attentions, which nn.Module's attributes do not say
    exogenous: Any

    def __init__(
        self,
        dim: int,
        attn: Any,
        mlp: nn.Module,
        *,
        exogenous: nn.Module | None = None,
        mix_channels: bool = False,
        residual_scores: bool = False,
        pattern: Pattern | None = None,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        **how: Any,
    ):
        between: dict[str, Any] = {} if exogenous is None else {"exogenous": exogenous}
        super().__init__(dim, attn=attn, **between, mlp=mlp, norm=norm, **how)
        self.norm_channels = norm(dim) if mix_channels else None
        self.residual_scores, self.pattern = residual_scores, pattern
        self.sees_all = isinstance(attn.pattern if pattern is None else pattern, Full)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        scores: Tensor | None = None,
        *,
        channels: int = 1,
        columns: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """[B C, N, dim] -> the same, and the logits for the next block: None without residual scores.

        Args:
            scores: [B C, H, N, N], the logits of the block before.
            channels: C.
            columns: of the exogenous columns: tokens [B, M, dim], and [N, dim], which is added to the patches that ask them.
        """
        found: list[Tensor] = []

        def along_time(x: Tensor) -> Tensor:
            if not self.residual_scores:
                return self.attn(x, pattern=self.pattern)
            out, logits = self.attn(x, pattern=self.pattern, bias=scores, need_logits=True)
            # What one block may not see, or chose to leave out, does not bind the next one, whose own pattern says it again.
            found.append(logits if self.sees_all else logits.masked_fill(logits == -torch.inf, 0))
            return out

        steps: dict[str, Callable[[Tensor], Tensor]] = {name: getattr(self, name) for name in self.names}
        steps["attn"] = along_time
        if "exogenous" in steps:
            steps["exogenous"] = partial(self.to_columns, channels=channels, columns=columns)
        start = x
        for i, step in enumerate(steps.values(), 1):
            x = self._add(x, getattr(self, f"norm{i}"), step, getattr(self, f"branch{i}"), start)
            if i == 1 and self.norm_channels is not None:
                x = self._add(
                    x, self.norm_channels, partial(self.along_channels, channels=channels), self.branch1, start
                )
        return x, found[0] if found else None

    def _add(self, x: Tensor, norm: nn.Module, step: Callable[[Tensor], Tensor], branch: Any, start: Tensor) -> Tensor:
        more = {"start": start} if self.from_start else {}
        return self.order(x, norm, step, branch or _same, **more)

    def along_channels(self, x: Tensor, channels: int) -> Tensor:
        """The attention of each patch's channels, which stand nowhere: all at place 0."""
        x = x.unflatten(0, (-1, channels)).transpose(1, 2)  # [B, N, C, dim]
        place = torch.zeros(channels, dtype=torch.long, device=x.device)
        mixed = self.attn(x.flatten(0, 1), pos=place)
        return mixed.view(x.shape).transpose(1, 2).flatten(0, 1)

    def to_columns(self, x: Tensor, channels: int, columns: tuple[Tensor, Tensor] | None) -> Tensor:
        """The attention of all patches of a sample to its exogenous columns."""
        assert columns is not None, "whoever built this block for columns hands them in"
        tokens, asking = columns
        return self.exogenous((x + asking).view(-1, channels * x.shape[1], x.shape[2]), context=tokens).view(x.shape)


def _same(x: Tensor) -> Tensor:
    return x


__all__ = ["SeriesBlock"]
