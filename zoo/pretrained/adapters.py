"""Adapters kept in folders, and put on models: zoo.save_adapter, zoo.load_adapter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from zoo import catalog, packages
from zoo.adapters import adapter_of
from zoo.adapters.model import plain_of
from zoo.adapters.record import Record, join, shapes
from zoo.checked.tensors import read as read_tensors
from zoo.checked.texts import read_json
from zoo.errors import ZooError
from zoo.models.base import Origin
from zoo.pretrained import adapter_files, folder, peft_files
from zoo.pretrained.sources import verify

M = TypeVar("M", bound=nn.Module)


def save_adapter(model: nn.Module, where: str | Path, **about: Any) -> Path:
    """Write a model's adapter alone, whole or not at all: some thousandths of the model.

    A LoRA is in the files of the peft library: `peft.PeftModel.from_pretrained(base, folder)` gives this model's outputs, for a
    converted model on transformers' own. Beside them config.json says what it belongs to (name and SHA-256 of its base), and
    `zoo.load(folder)` joins the two again where the base is found.

    Args:
        model: what `zoo.adapt`, `zoo.load_adapter` or a training with finetune=lora made.
        where: the folder.
        about: sections of its README.md, see `zoo.save`.

    Returns: the folder. Raises: ZooError for a model without an adapter, or without a config.
    """
    adapter_of(model)
    return folder.write(model, where, about, base=False)


def load_adapter(model: M, where: str | Path, strict: bool = True, trust: Sequence[str] = ()) -> M:
    """Put the adapter of a folder on its base, in place: one of `zoo.save_adapter`, of a run, or of the peft library.

    Of peft's, LoRA on linear maps is known, with rank_pattern, alpha_pattern and use_rslora; other kinds (DoRA, ...) are
    refused by name. Its files do not tell the hash of their base: there names and shapes decide.

    Args:
        model: the base, without an adapter.
        where: the folder, or a run's, or the name or address of one.
        strict: False takes an adapter of another base of the same shapes, such as a rounded copy.
        trust: packages of your own, whose kinds of adapter the folder may name, see `zoo.load`.

    Returns: the model, whose adapter trains and whose own weights do not.
    Raises: ZooError for a folder without an adapter, one of another base, tensors that do not fit, NaN among them.
    """
    path = catalog.local(where)
    path = path / "model" if (path / "model" / adapter_files.TENSORS).is_file() else path
    if not (path / adapter_files.TENSORS).is_file():
        there = ", ".join(sorted(each.name for each in path.iterdir())[:20]) if path.is_dir() else "not a folder"
        raise ZooError(
            f"{str(path)!r} holds no adapter, which is {adapter_files.TENSORS}; there is: {there or 'nothing'}."
        )
    verify(path)
    called, known = repr(str(path / adapter_files.TENSORS)), _record(path, packages.checked(trust))
    target: Any = plain_of(model)
    if known is None:
        config = path / adapter_files.PEFT
        content = read_tensors(path / adapter_files.TENSORS)
        adapter, parts, own = peft_files.read(target, read_json(config), content, repr(str(config)))
        base = None
    else:
        held, own = adapter_files.read(known, path)
        adapter, base = known.adapter, known.base if strict else None
        shapes(target, adapter, called)  # a layout of another model has no such maps
        parts = adapter_files.parts(target, known, held, called)
    join(target, adapter, parts, own, called, base)
    if target.origin is not None:
        changed = target.origin.changed | {name for name in own if name in target.state_dict()}
        target.origin = Origin(target.origin.source, changed, target.origin.new)
    return model


def _record(path: Path, trust: tuple[str, ...]) -> Record | None:
    """What config.json tells; None for a folder of peft's, which has none, or that of another library."""
    if not (path / folder.CONFIG).is_file():
        return None
    content = read_json(path / folder.CONFIG)
    if not isinstance(content, dict) or "adapter" not in content:
        return None
    return folder.record(path, folder.describe(path), trust)
