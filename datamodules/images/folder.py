"""A user's folder of class folders: root/<class>/<image>, or root/{train,val,test}/<class>/<image>."""

import logging
from pathlib import Path

from datamodules.images.sources import ImageArrays
from zoo.errors import ZooError
from zoo.preprocess import EXTENSIONS, image_files

log = logging.getLogger(__name__)
SPLITS = ("train", "val", "test")


def images(root: str | None) -> ImageArrays:
    """The files and their classes. With root/train, its classes are the classes; else all of root is to be split.

    root/val without root/test is the test set, as in ImageNet's layout: validation is then carved out of root/train,
    so that what chooses a model and what judges it stay apart.
    """
    if root is None:
        raise ZooError("data=imagefolder needs data.root=<a folder of class folders>.")
    top = Path(root).expanduser()
    if not top.is_dir():
        raise ZooError(f"data.root={root} is not a folder; give one that holds a folder of images for each class.")
    if not _is_split(top):
        classes = _classes(top)
        found, their = _files(top, classes)
        _check_several(classes, top)
        return ImageArrays(found, their, classes)

    classes = _classes(top / "train")
    files: list[Path] = []
    labels: list[int] = []
    rows = {}
    for part in SPLITS:
        if (top / part).is_dir():
            more, their = _files(top / part, classes)
            rows[part] = range(len(files), len(files) + len(more))
            files += more
            labels += their
    if "val" in rows and "test" not in rows:
        log.info("%s has no test folder: val is the test set, and validation is carved out of train", top)
        rows["test"] = rows.pop("val")
    _check_several(classes, top / "train")
    return ImageArrays(files, labels, classes, rows)


def _is_split(top: Path) -> bool:
    """Whether root/train is the training part, or a class of that name (a means of transport, say).

    A part holds class folders, and at most val and test stand beside it; pictures lie in a class.
    """
    there = _folders(top)
    others = [name for name in there if name not in SPLITS]
    if "train" not in there or not others:
        return "train" in there
    if not _folders(top / "train") or not {"val", "test"} & set(there):
        log.info("%s is a class, as %s is, and not the training part", top / "train", others[0])
        return False
    log.info("%s is cut into %s; passed over: %s", top, ", ".join(SPLITS), ", ".join(others))
    return True


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _classes(folder: Path) -> tuple[str, ...]:
    if not (classes := tuple(_folders(folder))):
        raise ZooError(f"{folder} holds no class folders; put the images of each class into {folder}/<class>/.")
    return classes


def _files(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    files, labels = [], []
    for name in _classes(folder):
        if name not in classes:
            raise ZooError(
                f"{folder / name} is a class outside the {len(classes)} of the training folder "
                f"({', '.join(classes)}); rename or remove it, or add it to the training images."
            )
        found = image_files(folder / name)
        if not found:
            raise ZooError(f"{folder / name} holds no images ({', '.join(EXTENSIONS)}); add some or remove it.")
        files += found
        labels += [classes.index(name)] * len(found)
    return files, labels


def _check_several(classes: tuple[str, ...], folder: Path) -> None:
    if len(classes) == 1:
        raise ZooError(
            f"{folder} holds one class folder, {classes[0]}: there is nothing to tell it from; add another class."
        )
