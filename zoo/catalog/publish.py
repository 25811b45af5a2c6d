"""A model put into a zoo: its folder with a complete card, then its entry in index.json. One publisher at a time."""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo import locks
from zoo.catalog import about, card
from zoo.catalog.files import CARD, KNOWN, LOADED, NAME, Listed, listed, sha256
from zoo.catalog.folder import FolderZoo
from zoo.catalog.index import FORMAT, INDEX, SUMMARY
from zoo.errors import ZooError, answering
from zoo.files import write_text

log = logging.getLogger(__name__)
LOCK, PATIENCE = ".lock", 120.0  # seconds that a publisher waits for others
_threads = threading.Lock()  # the kernel's lock is a process's


def check_name(name: str) -> None:
    """Raises: ZooError for what is no name of a model."""
    if not NAME.fullmatch(name):
        raise ZooError(
            f"{name!r} is no name of a model: <model>.<tag>, as gat.mine, in small letters, digits, - and _."
        )


def stage(source: Path, content: card.Card, target: Path) -> card.Card:
    """Copy a model's files into a new folder, with this card. Returns the card as it lies there.

    Raises: ZooError for files that are not those of the source's own card, an adapter without its base, or a card that lacks
        what a publication needs.
    """
    if (own := card.read(source)) is not None:
        card.verify(source, own)
    if not (source / "model.safetensors").is_file():
        raise ZooError(
            f"{str(source)!r} has no model.safetensors: of an adapter, save model and adapter together with "
            f"zoo.save(zoo.load({str(source)!r}), folder), and publish that folder."
        )
    if lacking := [key for key in card.missing(content) if key not in ("files", "name")]:
        recorded = [key for key in lacking if key not in about.SAID]
        how = (
            f"; {', '.join(recorded)}: only a run of train.py records that, so publish one's folder" if recorded else ""
        )
        if recorded != lacking:
            how = f"; say it as {next(key for key in lacking if key in about.SAID)}=..., or in a file (--about){how}"
        raise ZooError(f"The card of {str(source)!r} lacks {', '.join(lacking)}{how}.")
    target.mkdir()
    for name in LOADED:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    return card.write(target, content)


def publish(
    source: Path, content: card.Card, to: Path, replace: bool = False, tried: Callable[[Path], None] | None = None
) -> Path:
    """Add a model to a zoo, whole or not at all; where two publish at once, one after the other.

    Args:
        source: a model folder.
        content: its card, with its name; the files' hashes are made anew.
        to: the zoo's folder; made where it is not there.
        replace: whether a model of that name is replaced.
        tried: called with the folder before it is put in place; what it raises ends the publication.

    Returns: the folder of the model. Raises: as `stage`; ZooError for a name that is there already, and a folder that cannot
        be written.
    """
    name = content["name"]
    check_name(name)
    with answering(str(to)), _alone(to):
        models, target, old = _models(to), to / name, to / f".{name}.old"
        if old.is_dir() and not target.exists():  # a publisher was killed between two renames
            os.rename(old, target)
        if (name in models or target.exists()) and not replace:
            raise ZooError(f"{name} is in {str(to)!r} already; choose another name, or give --replace.")
        beside = to / f".{name}.{os.getpid()}.part"
        try:
            told = stage(source, content, beside)
            models[name] = entry(beside, told)
            if tried is not None:
                tried(beside)
            with _in_place(beside, target, old):
                _write_index(to, models)
        finally:
            for left in to.glob(
                ".*.part"
            ):  # of ours, and of a publisher that was killed: nobody else is at work here now
                shutil.rmtree(left, ignore_errors=True)
    return target


@contextmanager
def _in_place(new: Path, target: Path, old: Path) -> Iterator[None]:
    """The new folder in the place of the target for good, if the block ends well; else all is as it was."""
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(new, target)
        try:
            yield
        except BaseException:
            os.rename(target, new)
            raise
    except BaseException:
        if old.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def entry(folder: Path, content: card.Card) -> dict[str, Any]:
    """What index.json says of a model."""
    files = listed(folder, KNOWN)
    return {"card": sha256(folder / CARD), "summary": summary(content, files), "files": files}


def summary(content: Mapping[str, Any], files: Listed) -> dict[str, Any]:
    """What of a card, and of the sizes of the files, an index says in short."""
    metric, data = content.get("metric") or {}, content.get("data") or {}
    told = {key: content.get(key) for key in ("task", "modality", "licence", "parameters")}
    told |= {"metric": metric.get("name"), "value": metric.get("value"), "data": data.get("name")}
    told["bytes"] = sum(facts["bytes"] for facts in files.values())
    return {key: told[key] for key in SUMMARY}


def _models(to: Path) -> dict[str, Any]:
    """The models of an index as they stand in it, once each has been looked at."""
    known = FolderZoo(str(to)).index()
    return {name: {"card": one.card, "summary": one.summary, "files": one.files} for name, one in known.items()}


def _write_index(to: Path, models: Mapping[str, Any]) -> None:
    content = {"format": FORMAT, "models": dict(sorted(models.items()))}
    write_text(to / INDEX, json.dumps(content, indent=2) + "\n")


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Hold the zoo's lock, once whoever has it has let go of it."""
    path, until = to / LOCK, time.monotonic() + PATIENCE
    with _threads:
        file = None
        while file is None:
            try:
                file = locks.take(path)
            except locks.Taken as holder:
                if time.monotonic() > until:
                    raise ZooError(f"{str(to)!r} is written to by {holder}; try again when it has ended.") from None
                time.sleep(0.05)
            except locks.NoLocks as why:
                log.warning(f"{to} cannot be locked ({why}); see to it that nobody else publishes there now.")
                break
            except OSError as error:
                raise ZooError(f"{str(to)!r} cannot be written ({error.strerror}); name another folder.") from None
        try:
            yield
        finally:
            if file is not None:
                locks.give_back(file, path)
