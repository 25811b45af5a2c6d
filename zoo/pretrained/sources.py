"""The one door to trained weights: what a place is, and what it tells, whatever asks: zoo.load, init=, create_model, a verb.

gat.cora                         a name of a zoo (zoo.catalog), as are https://... and hf://owner/name[@revision]
runs/mine, runs/mine/model       a run, a model folder; a .safetensors of one, a run's .ckpt
timm://name[.tag][@file]         of timm's list
a folder of another library      of transformers' or timm's form, llama2c's
"""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.catalog import card
from zoo.catalog.files import CARD
from zoo.errors import ZooError, one_line
from zoo.models.base import Prepared
from zoo.pretrained import adapter_files, folder, llama2c, llama2c_tokenizer
from zoo.pretrained.kinds import theirs
from zoo.pretrained.kinds.base import Kind, Source
from zoo.pretrained.kinds.ours import BareFile, ModelFolder, RunCheckpoint
from zoo.text import Tokenizer

log = logging.getLogger(__name__)
KINDS = (
    "a name of a zoo, a run folder, a model folder, a folder of the Hugging Face hub's or of timm's form, a .safetensors or "
    ".ckpt file, a .bin of llama2.c's, timm://<name> or timm://<name>@<file>"
)


def find(source: str | Path) -> Kind:
    """What a source is. What lies elsewhere is fetched first; here nothing but the head of a config.json is read.

    Raises: ZooError for a source that is not there, or of no kind that is known.
    """
    return _located(source)[0]


def _located(source: str | Path) -> tuple[Kind, str]:
    """(what a source is, how it is called from anywhere)."""
    if str(source).startswith(theirs.TIMM):
        return theirs.TimmName.of(str(source)), str(source)
    if isinstance(source, str) and "://" in source and not catalog.is_address(source):
        raise ZooError(
            f"{one_line(source, 300)} is an address of a kind that is not known; give https://, hf:// or timm://."
        )
    path = catalog.local(source)
    return _of_path(path), str(path.absolute() if path == Path(source) else source)


def _of_path(path: Path) -> Kind:
    if not os.path.exists(path):  # False also for what can be no path
        raise ZooError(folder.absent(path))
    if path.is_dir():
        if (kind := theirs.kind_of(path)) is not None:
            return kind
        if not any((each / folder.CONFIG).is_file() for each in (path / "model", path)) and llama2c.is_folder(path):
            return theirs.Llama2cFile(*llama2c.find(path))
        return ModelFolder(folder.find(path))
    if path.suffix in (".safetensors", ".bin") and (kind := theirs.kind_of(path.parent, path)) is not None:
        return kind
    if path.suffix == ".bin":
        return theirs.Llama2cFile(path)
    if path.suffix == ".safetensors":
        return ModelFolder(path.parent, path) if (path.parent / folder.CONFIG).is_file() else BareFile(path)
    if path.suffix == ".ckpt":
        return RunCheckpoint(path)
    raise ZooError(f"{str(path)!r} is a file of another kind than can be read here; give {KINDS}.")


def open_source(
    source: str | Path,
    tokenizer: str | Path | Tokenizer | None = None,
    base: str | Path | None = None,
    trust: tuple[str, ...] = (),
) -> Source:
    """Read a source.

    Args:
        tokenizer: in place of the source's own.
        base: where the base of an adapter lies, in place of where its file says.
        trust: packages whose tokenizers and adapters the source may name.

    Raises: ZooError for a source that is not there or cannot be read.
    """
    given = None if tokenizer is None else _tokenizer(tokenizer, trust)
    kind, called = _located(source)
    verify(kind.where)
    found = replace(_on_base(kind.read(trust), base, trust), origin=called)
    found = found if given is None else replace(found, tokenizer=given)
    if found.whole_vocabulary and found.tokenizer and found.tokenizer.vocab_size != found.config["vocab_size"]:
        raise ZooError(
            f"{found.weights!r} is of {found.config['vocab_size']:,} tokens, and the tokenizer of "
            f"{found.tokenizer.vocab_size:,}; they are not of each other."
        )
    return found


def has_config(source: str | Path) -> bool:
    """Whether a source tells what model its tensors are of."""
    return not isinstance(find(source), BareFile)


def preprocess_of(source: str | Path) -> Prepared | None:
    """What a source tells about its inputs, without reading its weights."""
    return find(source).preprocess()


def tokenizer_of(source: str | Path, trust: tuple[str, ...] = ()) -> Tokenizer | None:
    """The tokenizer that comes with a source, without reading its weights; None for none."""
    return tokenizers_in(source, trust).get("tokenizer")


def tokenizers_in(source: str | Path, trust: tuple[str, ...] = ()) -> dict[str, Tokenizer]:
    """All tokenizers that come with a source, by the names that a model has for them (`zoo.models.fit.TOKENIZERS`)."""
    return find(source).tokenizers(trust)


def described(source: str | Path) -> tuple[Any, Path]:
    """(the plain config of the model of a source, not looked at yet, and the file that tells it), without reading weights.

    Raises: ZooError for a source that holds no model.
    """
    return find(source).described()


def verify(where: Path | None) -> None:
    """Compare the files of a model folder with its card, where it has one. Raises: ZooError that names the file."""
    if where is None:
        return
    if (known := card.read(where)) is None:
        return log.info(f"{str(where)!r} has no {CARD}: its files are not verified")
    card.verify(where, known)


def _on_base(found: Source, given: str | Path | None, trust: tuple[str, ...]) -> Source:
    """With the tensors of the base, where it is an adapter: those beside it, or where its file or the reader says."""
    if (adapter := found.adapter) is None:
        return found
    base = adapter.record.base
    if given is None and base.source is None:
        return replace(found, state=adapter.beside())
    places = [given] if given is not None else adapter_files.places(base, adapter.folder)
    if not places:
        raise ZooError(
            f"{adapter.where} is an adapter of {base.name} (sha256 {base.hash[:12]}), which is not where it was "
            f"({base.source}); say where it is: zoo.load(..., base=<its folder>)."
        )
    kind = find(places[0])
    verify(kind.where)
    inner = kind.read(trust)
    if inner.adapter is not None:  # a file that says what its base is cannot lead in a circle
        raise ZooError(
            f"{str(places[0])!r} is the base of an adapter, and an adapter itself: merge that one first (zoo.merge)."
        )
    return replace(found, state=inner.state, adapter=replace(adapter, source=str(places[0])))


def _tokenizer(given: str | Path | Tokenizer, trust: tuple[str, ...] = ()) -> Tokenizer:
    """A tokenizer, or the one of a tokenizer.json, of a folder that has one, or of a tokenizer.bin of llama2.c's."""
    if isinstance(given, Tokenizer):
        return given
    path = Path(given).expanduser()
    return llama2c_tokenizer.read(path) if path.suffix == ".bin" and path.is_file() else Tokenizer.load(path, trust)
