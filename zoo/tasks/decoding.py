"""How a test says its targets, and what it said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, nearest
from zoo.generation.checks import check_length_penalty

#: Rows of a part -> the tokens that were said for them.
Said = dict[int, list[int]]


@dataclass(frozen=True)
class Decoding:
    """Options of a test's `generate` (`zoo.generation.pairs`).

    Args:
        num_beams: 1 is greedy.
        max_new_tokens: None: twice the source's and 10; of a source that has no tokens, 64.
        length_penalty: of beams.

    Raises: ZooError for numbers that mean nothing.
    """

    num_beams: int = 1
    max_new_tokens: int | None = None
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name in ("num_beams", "max_new_tokens"):
            value = getattr(self, name)
            if (type(value) is not int or value < 1) and not (name == "max_new_tokens" and value is None):
                raise ZooError(f"task.decode.{name}={value} is not a number of them; give a whole number from 1 on.")
        check_length_penalty(self.length_penalty, "task.decode.length_penalty")

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Decoding":
        """From a config. Raises: ZooError for a key that it has not."""
        known = [each.name for each in fields(cls)]
        if given is not None and not isinstance(given, Mapping):
            raise ZooError(f"task.decode={given} is not a set of options; give task.decode.num_beams=5, for example.")
        for key in given or ():
            if key not in known:
                raise ZooError(f"task.decode.{key} is not an option of decoding; {nearest(str(key), known)}")
        return cls(**(given or {}))

    def limits(self, batch: Any) -> Tensor:
        """[B]: how many tokens each target may have."""
        if self.max_new_tokens is None and batch.lengths is not None:
            return 2 * batch.lengths + 10
        return torch.full((len(batch),), self.max_new_tokens or 64, device=batch.target.device)

    @torch.no_grad()
    def say(self, model: Any, batch: Any) -> Said:
        """The targets of a batch, without begin and end token, by number of the row."""
        begin, end = ends(batch)
        limits = self.limits(batch)
        made = model.generate(
            batch.source, batch.lengths, begin=begin, stop=end, max_new_tokens=int(limits.max()),
            num_beams=self.num_beams, length_penalty=self.length_penalty,
        )  # fmt: skip
        found = {}
        each = (batch.sample.tolist(), made.ids.tolist(), made.lengths.tolist(), limits.tolist())
        for row, ids, n, most in zip(*each, strict=True):
            ids = ids[: min(n, most)]
            found[row] = ids[:-1] if ids and ids[-1] == end else ids
        return found


def ends(batch: Any) -> tuple[int, int]:
    """What the targets of a batch begin and end with."""
    return int(batch.target[0, 0]), int(batch.target[0, batch.target_lengths[0] - 1])


def asked(batch: Any) -> Said:
    """The true targets of a batch, as `Decoding.say` has them."""
    ids = zip(batch.target.tolist(), batch.target_lengths.tolist(), strict=True)
    return {row: row_ids[1 : n - 1] for row, (row_ids, n) in zip(batch.sample.tolist(), ids, strict=True)}


def of_all(mine: Said, world: int) -> Said:
    """What all processes have said, in order of the rows."""
    everyone: list[Any] = [mine] * world
    if world > 1:
        torch.distributed.all_gather_object(everyone, mine)
    found = {row: ids for each in everyone for row, ids in each.items()}
    return dict(sorted(found.items()))


def predictions(said: Said, data: Any, text: Any) -> list[dict[str, Any]]:
    """A test's rows in words: {"row", "source", "references", "prediction"}.

    Args:
        said: what was said.
        data: a `datamodules.pairs.PairData`.
        text: makes it of ids.
    """
    sources, references = data.sources("test"), data.references("test")
    return [
        {"row": row, "source": sources[row], "references": list(references[row]), "prediction": text(ids)}
        for row, ids in said.items()
    ]


def columns(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """(predictions, references of each) of such rows."""
    rows = list(rows)
    return [row["prediction"] for row in rows], [row["references"] for row in rows]
