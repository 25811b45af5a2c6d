"""What this project writes: model folders, checkpoints of runs, and a safetensors file alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zoo.adapters.model import INSIDE
from zoo.adapters.record import from_plain
from zoo.checked.checkpoint import read_run
from zoo.errors import ZooError, one_line
from zoo.models.base import Prepared
from zoo.models.fit import TOKENIZERS
from zoo.pretrained import adapter_files, facts, folder, weights
from zoo.pretrained.kinds.base import Joined, Source
from zoo.text import Tokenizer, from_text
from zoo.text.base import ROLES

TOLD = ("preprocess", "classes", "targets", "converted_from")


@dataclass(frozen=True)
class ModelFolder:
    """A folder with our config.json; file: of the weights, where its usual one is not meant."""

    where: Path
    file: Path | None = None

    def read(self, trust: tuple[str, ...]) -> Source:
        content, file = folder.describe(self.where), self.file or self.where / folder.WEIGHTS
        known = {key: content[key] for key in TOLD}
        known |= {"config": content["model"], "described": repr(str(self.where / folder.CONFIG))}
        known |= folder.read_tokenizers(self.where, content, trust)
        record = folder.record(self.where, content, trust)
        if record is None:
            weights.check_there(self.where, (file.name,))
            return Source(weights.clean(weights.read(file)), str(file), **known)
        held, own = adapter_files.read(record, self.where)
        called = repr(str(self.where / adapter_files.TENSORS))
        joined = Joined(
            record,
            own,
            lambda model: adapter_files.parts(model, record, held, called),
            lambda: weights.clean(weights.read(self.where / folder.WEIGHTS)),
            self.where,
            called,
        )
        return Source({}, called, **known, adapter=joined)

    def described(self) -> tuple[Any, Path]:
        return folder.describe(self.where)["model"], self.where / folder.CONFIG

    def preprocess(self) -> Prepared | None:
        return folder.describe(self.where)["preprocess"]

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        return folder.read_tokenizers(self.where, folder.describe(self.where), trust)


@dataclass(frozen=True)
class BareFile:
    """A .safetensors without a config.json: tensors, and nothing about them."""

    file: Path
    where: ClassVar[None] = None

    def read(self, trust: tuple[str, ...]) -> Source:
        state = weights.clean(weights.read(self.file))
        if "blocks.0.attn.qkv.weight" in state:
            raise ZooError(
                f"{str(self.file)!r} holds tensors under timm's names; take timm://<name of the model>@{self.file}."
            )
        return Source(state, str(self.file))

    def described(self) -> tuple[Any, Path]:
        raise ZooError(
            f"{str(self.file)!r} holds weights, and no config to build a model from; take it as init={self.file}."
        )

    def preprocess(self) -> None:
        return None

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        return {}


@dataclass(frozen=True)
class RunCheckpoint:
    """Lightning's checkpoint of one of our runs: the task's `model` is the part that is wanted.

    How inputs were prepared and what classes are called stands in the run's model/, where that is there.
    """

    file: Path
    where: ClassVar[None] = None

    def read(self, trust: tuple[str, ...]) -> Source:
        (content, state, given), prefix = read_run(self.file), "model."
        held = {n.removeprefix(prefix): t for n, t in weights.clean(state).items() if n.startswith(prefix)}
        known = folder.describe(self._beside) if self._finished else {}
        called = f"the model of {str(self.file)!r}"
        told: dict[str, Any] = {key: known[key] for key in TOLD if key in known}
        told |= {"config": given.get("model"), "described": called}
        told |= self._read_tokenizers(known, content, trust)
        if content.get("adapter") is None:
            return Source(held, str(self.file), **told)
        record = from_plain(content["adapter"], called, trust)
        parts = {name: tensor for name, tensor in held.items() if INSIDE in name}
        joined = Joined(
            record,
            {name: tensor for name, tensor in held.items() if name in record.tensors},
            lambda model: parts,
            lambda: {name: tensor for name, tensor in held.items() if name not in parts},
            self.file.absolute().parent,
            called,
        )
        return Source({}, str(self.file), **told, adapter=joined)

    def described(self) -> tuple[Any, Path]:
        given = weights.read(self.file).get("hyper_parameters")
        return given.get("model") if isinstance(given, dict) else None, self.file

    def preprocess(self) -> Prepared | None:
        return folder.describe(self._beside)["preprocess"] if self._finished else None

    def tokenizers(self, trust: tuple[str, ...]) -> dict[str, Tokenizer]:
        if self._finished:
            return self._read_tokenizers(folder.describe(self._beside), {}, trust)
        return self._read_tokenizers({}, weights.read(self.file), trust)

    @property
    def _beside(self) -> Path:
        return self.file.absolute().parent.parent / "model"

    @property
    def _finished(self) -> bool:
        return (self._beside / folder.CONFIG).is_file()

    def _read_tokenizers(
        self, known: Mapping[str, Any], content: Mapping[str, Any], trust: tuple[str, ...]
    ) -> dict[str, Tokenizer]:
        """Of the run's model/, or those that the file holds: of a run that did not finish, or a file copied alone."""
        if known:
            return folder.read_tokenizers(self._beside, known, trust)
        found = {role: self._held(role, content.get(role), trust) for role in TOKENIZERS}
        return {role: tokenizer for role, tokenizer in found.items() if tokenizer is not None}

    def _held(self, role: str, kept: Any, trust: tuple[str, ...]) -> Tokenizer | None:
        called = f"the {role} of {str(self.file)!r}"
        if kept is None:
            return None
        if not isinstance(kept, dict) or not isinstance(kept.get("json"), str) or kept.get("roles") is None:
            raise ZooError(f"{called} is {one_line(kept, 80)}, no text and roles.")
        roles: Any = facts.roles(kept["roles"], called)
        found = from_text(kept["json"], called, trust, **{role: roles.get(role) for role in ROLES})
        return facts.with_kind(found, roles)
