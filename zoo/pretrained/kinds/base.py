"""What every kind of place where a model lies tells, and the tensors and facts it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from zoo.adapters.record import Record
from zoo.models.base import Prepared
from zoo.pretrained import weights
from zoo.text import Tokenizer


@dataclass(frozen=True)
class Joined:
    """An adapter that belongs to a source's tensors.

    record: what it is. own: tensors that it keeps whole, in place of the base's. parts: of a model -> its parts, by our names.
    beside: the base's tensors, where they lie in the same place. folder: from where the base's place is told. where: what
    errors call the adapter. source: where the base was read; None: beside it, or not yet.
    """

    record: Record
    own: weights.State
    parts: Callable[[nn.Module], weights.State]
    beside: Callable[[], weights.State]
    folder: Path
    where: str
    source: str | None = None


@dataclass(frozen=True)
class Source:
    """What a place holds.

    Args:
        state: tensors under our names, mapped from their file; none yet with an adapter, whose base is looked for first.
        weights: what errors call that file.
        config: the one they belong to, as the file has it; None where none is known.
        preprocess: how inputs were prepared.
        classes: names of the outputs.
        described: what errors call the file of the config.
        targets: what outputs are for.
        tokenizer, source_tokenizer: between text and the model's ids; None for none.
        converted_from: the class of another library that the weights were made for.
        ours: whether the config was made here, by a conversion.
        whole_vocabulary: whether its tokenizer has as many tokens as it, not fewer.
        adapter: what belongs on a model of these tensors, which are then its base's.
        origin: the source, as `zoo.load` takes it from any folder.
    """

    state: weights.State
    weights: str
    config: Any = None
    preprocess: Prepared | None = None
    classes: tuple[str, ...] | None = None
    described: str = ""
    targets: str = "class"
    tokenizer: Tokenizer | None = None
    source_tokenizer: Tokenizer | None = None
    converted_from: str | None = None
    ours: bool = False
    whole_vocabulary: bool = False
    adapter: Joined | None = None
    origin: str = ""


class Kind(Protocol):
    """A place of one kind. Only `read` opens the weights. Each raises ZooError for what is broken, or not there."""

    @property
    def where(self) -> Path | None:
        """The folder whose files a card.json may tell the hashes of; None for none."""

    def read(self, trust: tuple[str, ...]) -> Source:
        """Its tensors and all that is told beside them; trust: packages whose tokenizers and adapters it may name."""

    def described(self) -> tuple[Any, Path]:
        """(the plain config of the model, not looked at yet, and the file that tells it)."""

    def preprocess(self) -> Prepared | None:
        """How inputs were prepared; None where nobody has told."""

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        """Between text and the model's ids, by the model's names for them; {} for none."""
