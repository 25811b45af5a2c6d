"""A user's folder of class folders: root/<class>/<image>, or root/{train,val,test}/<class>/<image>."""

import logging
from pathlib import Path

import numpy as np

from datamodules.sources import Pictures
from zoo.errors import ZooError

log = logging.getLogger(__name__)


def pictures(root: str | None) -> Pictures:
    """The files and their classes. With root/train, its classes are the classes; else all of root is to be split.

    root/val without root/test is the test set, as in ImageNet's layout: validation is then carved out of root/train,
    so that what chooses a model and what judges it stay apart.
    """
    if root is None:
        raise ZooError("data=imagefolder needs data.root=<a folder of class folders>.")
    top = Path(root).expanduser()
    if not top.is_dir():
        raise ZooError(f"data.root={root} is not a folder; give one that holds a folder of images for each class.")
    if not (top / "train").is_dir():
        classes = _classes(top)
        found, their = _files(top, classes)
        return Pictures(found, their, classes, np.arange(len(found)))

    classes = _classes(top / "train")
    files: list[Path] = []
    labels = np.empty(0, dtype=np.int64)
    rows = {}
    for part in ("train", "val", "test"):
        if (top / part).is_dir():
            more, their = _files(top / part, classes)
            rows[part] = np.arange(len(files), len(files) + len(more))
            files += more
            labels = np.concatenate([labels, their])
    if "val" in rows and "test" not in rows:
        log.info("%s has no test folder: val is the test set, and validation is carved out of train", top)
        rows["test"] = rows.pop("val")
    return Pictures(files, labels, classes, **rows)


def _classes(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if not classes:
        raise ZooError(f"{folder} holds no class folders; put the images of each class into {folder}/<class>/.")
    return classes


def _files(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], np.ndarray]:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    files, labels = [], []
    for name in _classes(folder):
        if name not in classes:
            raise ZooError(
                f"{folder / name} is a class outside the {len(classes)} of the training folder "
                f"({', '.join(classes)}); rename or remove it, or add it to the training images."
            )
        found = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)
        if not found:
            raise ZooError(f"{folder / name} holds no images ({', '.join(IMG_EXTENSIONS)}); add some or remove it.")
        files += found
        labels += [classes.index(name)] * len(found)
    return files, np.array(labels, dtype=np.int64)
