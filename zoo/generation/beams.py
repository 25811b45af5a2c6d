"""Beam search over anything that says what comes next: a decoder, an encoder-decoder, a table.

    score(y) = sum_t log p(y_t | y_<t) / length ** length_penalty

Each step continues the `num_beams` best unfinished texts of a row by every token. A continuation that ends its text is
finished if it is among the `num_beams` best of them all. The search ends where no unfinished text can still become better than
the best finished one: log-probabilities are at most 0, so a sum can at best stay, at the length that suits length_penalty best.
(So does transformers with early_stopping="never"; its default guesses at that and may miss the best.)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError


class Text(NamedTuple):
    """New tokens, what each was given, and the sum that the search went by."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    total: float = 0.0


NEVER = -float("inf")
DEAD = Text((0,), total=NEVER)  # holds the place of a beam that nothing continues


def beam_search(
    log_probs: Callable[[Tensor, Any], Tensor],
    tokens: Tensor,
    state: Any = None,
    reorder: Callable[[Any, Tensor], Any] = lambda state, index: state,
    *,
    num_beams: int,
    max_new_tokens: int,
    ends: Callable[[Sequence[int], int], bool] = lambda new, row: False,
    length_penalty: float = 1.0,
    adjust: Callable[[Tensor, Tensor], Tensor] = lambda scores, tokens: scores,
) -> list[Text]:
    """The text of the largest score that a beam of this width finds, for each row.

    Args:
        log_probs: (tokens [R, n], state) -> [R, V], of what follows each row. R is B at first and B num_beams from then on. The
            state may change in place.
        tokens: [B, n], what each row begins with.
        state: whatever log_probs goes by beside the tokens: a cache, what an encoder said.
        reorder: (state, index [R']) -> the state in which row i is what row index[i] was; R' may differ from R.
        num_beams: how many unfinished texts of a row are kept.
        max_new_tokens: of each text; one that long is finished.
        ends: (new tokens, row) -> whether that text of the row ends with its last token.
        length_penalty: above 0 favours longer texts, below 0 shorter ones.
        adjust: (log-probabilities [R, V], tokens [R, n]) -> those that the search goes by.

    Returns:
        A Text for each row, the best.

    Raises: ZooError for numbers below 1.
    """
    if min(num_beams, max_new_tokens) < 1:
        raise ZooError(f"A search needs at least one beam and one token; got {num_beams=}, {max_new_tokens=}.")
    B, beams = len(tokens), 1
    running, best = [[Text()] for _ in range(B)], [(NEVER, Text())] * B
    for length in range(1, max_new_tokens + 1):
        plain = log_probs(tokens, state)
        totals = torch.tensor([[text.total for text in row] for row in running], dtype=plain.dtype, device=plain.device)
        joint = (totals.flatten()[:, None] + adjust(plain, tokens)).view(B, -1)  # [B, beams V]
        begins, texts, running = [[0] * num_beams for _ in range(B)], running, []
        final, plain = length == max_new_tokens, plain.view(B, -1)
        few = num_beams if final else 2 * num_beams  # more only where many of them end
        for row, best_first in enumerate(_best(joint, plain, few)):
            over = None if final else partial(_ends_in, ends, row)
            found, alive = _continued(joint[row], plain[row], best_first, texts[row], num_beams, over)
            scored = [(text.total / length**length_penalty, text) for text in found]
            best[row] = max([best[row], *scored], key=lambda each: each[0])
            longest = max_new_tokens if length_penalty > 0 else length + 1
            if not alive or alive[0][1].total / longest**length_penalty <= best[row][0]:
                alive = []
            begins[row][: len(alive)] = [begin for begin, _ in alive]
            running.append([text for _, text in alive] + [DEAD] * (num_beams - len(alive)))
        if all(row[0] is DEAD for row in running):
            break
        index = torch.tensor([row * beams + each for row in range(B) for each in begins[row]], device=tokens.device)
        last = torch.tensor([text.ids[-1] for row in running for text in row], device=tokens.device)
        tokens, state, beams = torch.cat([tokens[index], last[:, None]], 1), reorder(state, index), num_beams
    return [text for _, text in best]


def _ends_in(ends: Callable[[Sequence[int], int], bool], row: int, new: Sequence[int]) -> bool:
    return ends(new, row)


#: A continuation: its sum, its number among beams x tokens, its token's log-probability.
Candidate = tuple[float, int, float]


def _best(joint: Tensor, plain: Tensor, most: int) -> list[list[Candidate]]:
    """The best continuations of each row, best first, of sums and log-probabilities [B, beams V]."""
    value, index = joint.topk(min(most, joint.shape[1]))
    all_of = (value.tolist(), index.tolist(), plain.gather(1, index).tolist())
    return [list(zip(*row, strict=True)) for row in zip(*all_of, strict=True)]


def _continued(
    joint: Tensor,
    plain: Tensor,
    best: list[Candidate],
    texts: Sequence[Text],
    num_beams: int,
    ends: Callable[[Sequence[int]], bool] | None,
) -> tuple[list[Text], list[tuple[int, Text]]]:
    """Of one row [beams V]: the texts that end among the best `num_beams` continuations, and the best that go on, each with the
    number of the text that it continues. `best`: the first of its continuations. `ends` None: all end."""
    vocab = len(joint) // len(texts)
    while True:
        found, alive = list[Text](), list[tuple[int, Text]]()
        for rank, (total, at, logprob) in enumerate(best):
            if total == NEVER or len(alive) == num_beams:
                break
            begin, token = divmod(at, vocab)
            before = texts[begin]
            text = Text((*before.ids, token), (*before.logprobs, logprob), total)
            if ends is not None and not ends(text.ids):
                alive.append((begin, text))
            elif rank < num_beams:
                found.append(text)
        if ends is None or len(alive) == num_beams or len(best) == len(joint):
            return found, alive
        (best,) = _best(joint[None], plain[None], 2 * len(best))
