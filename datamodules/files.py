"""Files of a data set: found where the user has them, else downloaded, verified; only the cache is written."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from zoo.errors import NotAtHand, ZooError
from zoo.files import replacing


def find(name: str, folders: Iterable[Path]) -> Path | None:
    """The first of the folders' files of this name."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def verify(path: Path, digest: str) -> Path:
    """The path, if the file is the expected one by its md5 or sha256."""
    name, found = _digest(path, digest)
    if found != digest:
        raise ZooError(f"{path} is damaged or another file: its {name} is {found}, not {digest}; remove or replace it.")
    return path


@contextmanager
def caching(target: Path) -> Iterator[Path]:
    """`zoo.files.replacing` within the cache: a path that becomes `target` when the block ends well."""
    try:
        with replacing(target) as beside:
            yield beside
    except OSError as error:
        raise ZooError(f"{target} cannot be written ({error}); set paths.cache to a folder that can be.") from error


def unpack(archive: Path, folder: str, cache: Path) -> None:
    """Take one folder out of an archive into the cache, whole or not at all."""
    from torchvision.datasets.utils import extract_archive

    with caching(cache / folder) as beside, TemporaryDirectory(dir=cache, prefix=".unpack-") as everything:
        extract_archive(archive, everything)
        os.replace(Path(everything, folder), beside)


def check_online(name: str, places: str) -> None:
    """Refuse to download where that was switched off. Raises: NotAtHand."""
    if os.environ.get("ZOO_OFFLINE", "0") not in ("", "0"):
        raise NotAtHand(f"{name} is not here, and ZOO_OFFLINE forbids to download it; put it at {places}.")


@contextmanager
def patience(seconds: float = 20) -> Iterator[None]:
    """Within the block a server that says nothing for so long is an error, where Python would wait for minutes or for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def download(name: str, urls: Iterable[str], folders: Iterable[Path], digest: str | None = None) -> Path:
    """Fetch `name` into the last of `folders`, the cache, from the first of `urls` that has it, and check its md5 or sha256.

    Raises: NotAtHand where none can be reached, ZooError for another file.
    """
    folders = list(folders)
    target, failures = folders[-1] / name, []
    places = " or ".join(dict.fromkeys(str(folder / name) for folder in folders))
    check_online(name, places)
    with caching(target) as temporary, patience():
        for url in urls:
            try:
                torch.hub.download_url_to_file(url, str(temporary))
                break
            except OSError as error:  # URLError is one
                failures.append(f"{url}: {error}")
        else:
            raise NotAtHand(
                f"{name} is not in {' or '.join(dict.fromkeys(map(str, folders)))} and cannot be downloaded "
                f"({'; '.join(failures)}); put it at {places}, or set ZOO_DATA (paths.data) to a folder that has it."
            )
        kind, found = _digest(temporary, digest) if digest else ("", None)
        if found != digest:
            raise ZooError(
                f"{url} sent something else than {name}: its {kind} is {found}, not {digest}; "
                f"try again, or put the right file at {target}."
            )
    return target


def cached(target: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array kept at `target`, made there the first time. Mapped, so that it is read as needed."""
    if not target.is_file():
        array = make()
        with caching(target) as temporary, open(temporary, "wb") as file:
            np.save(file, array)
    # "c": writable to torch, which warns of read-only memory, and never written to the file.
    return np.load(target, mmap_mode="c")


def obtain(name: str, urls: Iterable[str], folders: Iterable[Path], digest: str) -> Path:
    """The file of this name and hash: where the user has it, else downloaded."""
    folders = list(folders)
    found = find(name, folders)
    return verify(found, digest) if found else download(name, urls, folders, digest)


def _digest(path: Path, like: str) -> tuple[str, str]:
    """(the hash's name, the hash) of a file, of the kind that `like` is by its length."""
    kind = "sha256" if len(like) == 64 else "md5"
    with open(path, "rb") as file:
        return kind, hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
