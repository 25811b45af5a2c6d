"""Files of a data set: found where the user has them, else downloaded, verified; only the cache is written."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch

from zoo.errors import ZooError


def find(name: str, folders: Iterable[Path]) -> Path | None:
    """The first of the folders' files of this name."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def verify(path: Path, md5: str) -> Path:
    """The path, if the file is the expected one."""
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        raise ZooError(f"{path} is damaged or another file: its md5 is {found}, not {md5}; remove or replace it.")
    return path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path that becomes `target` when the block ends well: nobody ever sees half a file."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise ZooError(f"{target} cannot be written ({error}); set paths.cache to a folder that can be.") from error
    finally:
        with suppress(OSError):  # renamed by now, or its folder cannot be written
            temporary.unlink()


def download(
    name: str, urls: Iterable[str], folders: Iterable[Path], check: Callable[[Path], object] | None = None
) -> Path:
    """Fetch `name` into the last of `folders`, the cache, from the first of `urls` that has it, and check it."""
    folders = list(folders)
    target, failures = folders[-1] / name, []
    with replacing(target) as temporary:
        for url in urls:
            try:
                torch.hub.download_url_to_file(url, str(temporary))
                break
            except OSError as error:  # URLError is one
                failures.append(f"{url}: {error}")
        else:
            places = " or ".join(dict.fromkeys(str(folder / name) for folder in folders))
            raise ZooError(
                f"{name} is not in {' or '.join(dict.fromkeys(map(str, folders)))} and cannot be downloaded "
                f"({'; '.join(failures)}); put it at {places}, or set ZOO_DATA (paths.data) to a folder that has it."
            )
        if check:
            check(temporary)
    return target


def cached(target: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array kept at `target`, made there the first time. Mapped, so that it is read as needed."""
    if not target.is_file():
        array = make()
        with replacing(target) as temporary, open(temporary, "wb") as file:
            np.save(file, array)
    # "c": writable to torch, which warns of read-only memory, and never written to the file.
    return np.load(target, mmap_mode="c")
