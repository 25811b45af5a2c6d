"""What other libraries write: folders of transformers' and timm's form, timm's names, llama2c's files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zoo.checked.texts import read_json
from zoo.errors import ZooError
from zoo.preprocess import Preprocess
from zoo.pretrained import folder, hugging_face, llama2c, llama2c_tokenizer, weights
from zoo.pretrained.kinds.base import Kind, Source
from zoo.text import Tokenizer

TIMM = "timm://"


def kind_of(where: Path, file: Path | None = None) -> Kind | None:
    """The kind of a folder whose config.json another library wrote; None for no such folder.

    Args:
        file: of the weights, where the folder's usual one is not meant.
    """
    if hugging_face.is_one(where):
        return TransformersFolder(where, file)
    content = read_json(where / folder.CONFIG) if (where / folder.CONFIG).is_file() else None
    if isinstance(content, dict) and "architecture" in content and "format" not in content:
        return TimmFolder(where, file)
    return None


@dataclass(frozen=True)
class TransformersFolder:
    """A folder of the Hugging Face hub's form, read without transformers."""

    where: Path
    file: Path | None = None

    def read(self, trust: tuple[str, ...]) -> Source:
        return Source(**hugging_face.read(self.where, self.file))

    def described(self) -> tuple[Any, Path]:
        return hugging_face.describe(self.where)[1], self.where / folder.CONFIG

    def preprocess(self) -> None:
        return None  # of text

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        found = hugging_face.read_tokenizer(self.where)
        return {} if found is None else {"tokenizer": found}


class _Timm:
    """Models of timm, built by timm and converted. Its imports take seconds, so they wait until one is opened."""

    def create(self) -> Any:
        """timm's own, with its weights."""
        raise NotImplementedError

    @property
    def called(self) -> str:
        """What errors call it."""
        raise NotImplementedError

    def read(self, trust: tuple[str, ...]) -> Source:
        from zoo.pretrained.convert import convert

        model: Any = convert(self.create())
        state = weights.tensors(model)
        return Source(state, self.called, model.config, model.preprocess, model.classes, self.called, ours=True)

    def described(self) -> tuple[Any, Path]:
        return self.read(()).config, Path(self.called)

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        return {}


@dataclass(frozen=True)
class TimmName(_Timm):
    """A name of timm's list, with weights from its hub, or from a file that timm could load."""

    name: str
    file: Path | None = None
    where: ClassVar[None] = None

    @classmethod
    def of(cls, source: str) -> "TimmName":
        """timm://<name>@<file>. An '@', since Hydra takes it without quotes."""
        name, _, file = source.removeprefix(TIMM).partition("@")
        return cls(name, Path(file).expanduser() if file else None)

    @property
    def called(self) -> str:
        return f"timm's {self.name}"

    def create(self) -> Any:
        from zoo.pretrained import timm_hub

        return timm_hub.create(self.name, self.file)

    def preprocess(self) -> Preprocess | None:
        from zoo.pretrained import timm_hub

        if self.file and not self.file.is_file():
            raise ZooError(f"There is no file {str(self.file)!r} for timm's {self.name}.")
        return timm_hub.preprocess_in(timm_hub.card(self.name))


@dataclass(frozen=True)
class TimmFolder(_Timm):
    """A folder of timm's hub: config.json with `architecture`, and weights under timm's names."""

    where: Path
    file: Path | None = None

    @property
    def called(self) -> str:
        return str(self.where)

    def create(self) -> Any:
        from zoo.pretrained import timm_folder

        return timm_folder.create(self.where, self.file)

    def preprocess(self) -> Preprocess | None:
        from zoo.pretrained import timm_folder, timm_hub

        return timm_hub.preprocess_in(timm_folder.describe(self.where).cfg)


@dataclass(frozen=True)
class Llama2cFile:
    """A .bin of llama2.c's, and its tokenizer where the two lie in one folder."""

    file: Path
    beside: Path | None = None
    where: ClassVar[None] = None

    def read(self, trust: tuple[str, ...]) -> Source:
        config, state = llama2c.read(self.file)
        said = f"the header of {str(self.file)!r}"
        found: dict[str, Any] = {"described": said, "whole_vocabulary": True, **self.tokenizers(trust)}
        return Source(state, str(self.file), config, **found)

    def described(self) -> tuple[Any, Path]:
        return llama2c.read(self.file)[0], self.file

    def preprocess(self) -> None:
        return None  # of text

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        return {} if self.beside is None else {"tokenizer": llama2c_tokenizer.read(self.beside)}
