"""Speculative decoding: something cheap proposes a few tokens, the model reads them at once and keeps what it would have drawn.

    a proposal x ~ q is kept with probability min(1, p(x) / q(x)); the first that is not is replaced by a draw from
    max(p - q, 0) / sum max(p - q, 0), and where all are kept the model's next distribution gives one token more

Leviathan et al. 2023, algorithm 1 and appendix A.1: what comes out is distributed as p, whatever q is. p and q are what tokens
are drawn from, temperature and filters included, so greedy decoding gives the model's own tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from zoo.generation.prompts import Prompts
from zoo.generation.reader import Reader
from zoo.generation.sampling import Draws, Sampling, logprob_of, wide
from zoo.generation.stopping import Rows, Step

#: Tokens that are proposed at once: by a model, which reads once for each, and by the text so far, which costs nothing.
OF_A_MODEL, OF_THE_TEXT = 4, 8
#: The longest run of tokens that `Lookup` looks for.
LONGEST = 3


class Proposer(Protocol):
    """Says what may come next."""

    def propose(self, ids: Sequence[int], most: int, seen: Tensor | None) -> tuple[list[int], Tensor]:
        """Up to `most` tokens after `ids`, and what each was drawn from, [k, V] float64. `seen` [1, V]: for the penalty."""
        ...


class ModelDraft:
    """A smaller model with the same vocabulary."""

    def __init__(self, reader: Reader, sampling: Sampling, draws: Draws):
        self.reader, self.sampling, self.draws = reader, sampling, draws
        self.read: list[int] = []

    def propose(self, ids: Sequence[int], most: int, seen: Tensor | None) -> tuple[list[int], Tensor]:
        scores, most = self._read(ids), min(most, OF_A_MODEL)
        seen, chosen, drawn_from = None if seen is None else seen.clone(), list[int](), list[Tensor]()
        for left in reversed(range(most)):
            q = self.sampling.probabilities(wide(scores), seen)
            token = self.draws.token(q)[:, None]
            if seen is not None:
                seen.scatter_(1, token, True)
            chosen.append(int(token))
            drawn_from.append(q)
            if left:
                scores = self.reader.step(token)[:, -1]
                self.read.append(chosen[-1])
        return chosen, torch.cat(drawn_from)

    def _read(self, ids: Sequence[int]) -> Tensor:
        """What it has read becomes `ids`; scores [1, V] behind them."""
        new = list(ids)
        device = next(self.reader.model.parameters()).device
        if not self.read:
            self.read = new
            return self.reader.prompt(Prompts(torch.tensor([new], device=device), None))
        kept = len(self.read)
        while new[:kept] != self.read[:kept]:
            kept -= 1
        self.reader.rewind(len(self.read) - kept)
        self.read = new
        return self.reader.step(torch.tensor([new[kept:]], device=device))[:, -1]


class Lookup:
    """What followed the last tokens where they stood before: of the longest run of up to LONGEST, the latest place.

    Saxena 2023 (prompt lookup decoding). Each proposal has probability 1.
    """

    def __init__(self, vocab_size: int, device: torch.device):
        self.vocab_size, self.device = vocab_size, device
        self.after: dict[tuple[int, ...], int] = {}  # a run of tokens -> the place behind its latest
        self.known = 0

    def propose(self, ids: Sequence[int], most: int, seen: Tensor | None) -> tuple[list[int], Tensor]:
        place = next((at for n in range(LONGEST, 0, -1) if (at := self._behind(ids, n)) is not None), len(ids))
        chosen = list(ids[place : place + min(most, OF_THE_TEXT)])
        q = torch.zeros(len(chosen), self.vocab_size, dtype=torch.float64, device=self.device)
        if chosen:
            q.scatter_(1, torch.tensor(chosen, device=self.device)[:, None], 1.0)
        return chosen, q

    def _behind(self, ids: Sequence[int], n: int) -> int | None:
        for end in range(
            max(self.known, 1), len(ids)
        ):  # runs that end before the last token have something behind them
            for length in range(1, min(LONGEST, end) + 1):
                self.after[tuple(ids[end - length : end])] = end
        self.known = max(self.known, len(ids))
        return self.after.get(tuple(ids[-n:])) if len(ids) >= n else None


class Speculation:
    """The loop of one text with a proposer; `acceptance` is the share of the proposals that were kept."""

    def __init__(self, reader: Reader, proposer: Proposer, sampling: Sampling, draws: Draws):
        self.reader, self.proposer, self.sampling, self.draws = reader, proposer, sampling, draws
        self.proposed = self.kept = 0

    @property
    def acceptance(self) -> float | None:
        return self.kept / self.proposed if self.proposed else None

    def steps(self, start: Prompts, rows: Rows, max_new_tokens: int) -> Iterator[Step]:
        ids, left = start.ids[0].tolist(), max_new_tokens
        scores = wide(self.reader.prompt(start))
        seen = start.seen(scores.shape[-1]) if self.sampling.remembers else None
        token = self.draws.token(self.sampling.probabilities(scores, seen))
        new = [(token, logprob_of(token, scores))]
        while True:
            for token, logprob in new:
                step, left = rows.take(token, logprob), left - 1
                ids.append(int(step.token))
                if seen is not None:
                    seen.scatter_(1, step.token[:, None], True)
                yield step
                if left == 0 or rows.all:
                    return
            new = self._round(ids, left, seen)

    def _round(self, ids: list[int], left: int, seen: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """The next tokens, at least one: the proposals that are kept, and the model's own behind them."""
        chosen, q = self.proposer.propose(ids, left - 1, seen) if left > 1 else ([], None)
        read = torch.tensor([[ids[-1], *chosen]], device=next(self.reader.model.parameters()).device)
        scores = wide(self.reader.step(read)[0])
        seen, new = None if seen is None else seen.clone(), list[tuple[Tensor, Tensor]]()
        self.proposed += len(chosen)
        for i, x in enumerate(chosen):
            assert q is not None  # of a token that was proposed
            p = self.sampling.probabilities(scores[i : i + 1], seen)
            if float(self.draws.uniform()) * float(q[i, x]) >= float(p[0, x]):
                self.reader.rewind(len(chosen) - i)
                token = self.draws.token((p - q[i]).clamp(min=0))
                return [*new, (token, logprob_of(token, scores[i : i + 1]))]
            token = read[:, i + 1]
            if seen is not None:
                seen.scatter_(1, token[:, None], True)
            new.append((token, logprob_of(token, scores[i : i + 1])))
            self.kept += 1
        token = self.draws.token(self.sampling.probabilities(scores[-1:], seen))
        return [*new, (token, logprob_of(token, scores[-1:]))]
