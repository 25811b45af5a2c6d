"""What generation gives: tokens as they come, and all of them at the end."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.generation.stopping import Rows, Step


class _Generated(NamedTuple):
    ids: Tensor
    lengths: Tensor
    logprobs: Tensor


class Generated(_Generated):
    """New tokens alone.

    Attributes:
        ids: [B, n]; after a row's end the tokenizer's pad, else an end token (0 where there is neither).
        lengths: [B], tokens up to a row's end, the token that ended it included.
        logprobs: [B, n], of each token under the plain model (no temperature, penalty or filter); 0 after a row's end.
        acceptance: of the tokens that a draft proposed, the share that was kept; None without a draft, or a proposal.
        scores: [B], of beams, sum / length ** length_penalty; else None.
    """

    acceptance: float | None = None
    scores: Tensor | None = None


class Stream(Iterator[Tensor]):
    """Tokens [B] as they come, until every row has ended or there are as many as were asked for.

    Args:
        steps: the loop.
        rows: which rows have ended.
        draft: what has an `acceptance`.
    """

    def __init__(self, steps: Iterator[Step], rows: Rows, draft: Any = None):
        self.steps, self.rows, self.draft, self.given = steps, rows, draft, list[Step]()
        self.at_end: Callable[[], None] = _nothing

    def __next__(self) -> Tensor:
        try:
            step = next(self.steps)
        except BaseException:
            self.close()
            raise
        self.given.append(step)
        return step.token

    def close(self) -> None:
        """No more is wanted."""
        self.steps = iter(())
        at_end, self.at_end = self.at_end, _nothing
        at_end()

    def __del__(self) -> None:
        self.at_end()

    def generated(self) -> Generated:
        """All that has come so far. Raises: ZooError before the first token."""
        if not self.given:
            raise ZooError("Nothing has been generated yet: take a token first.")
        token, logprob = (torch.stack(each, 1) for each in zip(*self.given, strict=True))
        made = Generated(token, torch.tensor(self.rows.lengths, device=token.device), logprob)
        made.acceptance = self.acceptance
        return made

    @property
    def acceptance(self) -> float | None:
        """As of `Generated`, so far."""
        return None if self.draft is None else self.draft.acceptance

    def all(self) -> Generated:
        """All that is still to come, with what has come before."""
        for _ in self:
            pass
        return self.generated()


class Pieces(Iterator[Any]):
    """The pieces of text of a stream, and its `acceptance` so far."""

    def __init__(self, stream: Stream, pieces: Iterator[Any]):
        self.stream, self.pieces = stream, pieces

    def __next__(self) -> Any:
        return next(self.pieces)

    @property
    def acceptance(self) -> float | None:
        return self.stream.acceptance


def _nothing() -> None:
    pass
