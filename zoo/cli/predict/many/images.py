"""Many images: files, and all images in folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.cli.predict.many import Entry
from zoo.cli.predict.many.table import Row, class_columns, class_rows
from zoo.errors import ZooError

BATCH = 32
TOP = 5


def files(source: str) -> list[Path]:
    """Raises: ZooError for a path where nothing is, or a folder without images."""
    from zoo.preprocess import EXTENSIONS, image_files

    path = Path(source)
    if not path.exists():
        raise ZooError(f"{source} does not exist; --to takes images and folders of images.")
    found = image_files(path) if path.is_dir() else [path]
    if not found:
        raise ZooError(f"{source} holds no images ({', '.join(EXTENSIONS)}).")
    return found


def entries(model: Any, file: Path, run: str) -> Iterator[Entry]:
    """The image, prepared as the model's were."""
    from zoo.inspect import to_input

    yield Entry(str(file), to_input(file, model.preprocess))


def columns(model: Any, top: int | None) -> list[str]:
    """The likeliest classes."""
    return class_columns(model, top or TOP)


def answers(model: Any, items: Sequence[Any], top: int | None) -> list[list[Row]]:
    """A row an image."""
    import torch

    from zoo.inspect.predictions import outputs_of

    return [[row] for row in class_rows(model, outputs_of(model, torch.cat(list(items))), top or TOP)]
