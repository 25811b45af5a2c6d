"""Captioned images of one's own: `data=captions data.path=...`, in the layouts of COCO and Flickr."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from datamodules.captions.files import FORMS, Captions, locate, read_captions, read_parts
from datamodules.captions.module import CaptionCorpus, CaptionData
from datamodules.splits import NAMES, STAGES, Splits, at_random
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.preprocess import image_files

log = logging.getLogger(__name__)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class CaptionFolder(CaptionData):
    """Images in folders, decoded as needed, and a file of captions, several for an image.

    In training each caption is a row, so that an epoch shows an image as often as it has captions. In validation and test each
    image is one: the loss and exact_match are of its first caption, BLEU counts all (`references`).

    Args:
        path: a file of captions (COCO's captions_*.json, Flickr8k's captions.txt or *.token), or the folder that holds it;
            several files whose names have train, val or test in them are these parts.
        images: the folder of images, and of folders of them; None: where the captions are.
        parts: a file that says which image is of which part, as Karpathy's dataset_*.json; None: one beside the captions, else
            `split`.
        split: shares of training, validation and test, by number of images.
        exif_orientation: turn photographs as their EXIF tag says; None: as the model's preprocessing says, else true.

    Raises: ZooError for captions without their image (how many, which), files that are none of these, bad lines (numbers).
    """

    path: str | None = None
    images: str | None = None
    parts: str | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])
    exif_orientation: bool | None = None

    places = ("path", "images", "parts")
    called = "captions"

    def load(self) -> CaptionCorpus:
        if self.images == self.path:  # what `--data` says of all places
            self.images = None
        if self.parts == self.path:
            self.parts = None
        if not self.path:
            raise ZooError(f"data=captions needs data.path=<captions, or their folder>: {FORMS}.")
        path = Path(self.path).expanduser()
        files = caption_files(path) if path.is_dir() else {"": path}
        each = {part: read_captions(file) for part, file in files.items()}
        captions = merged(each)
        names = list(captions)
        folder = self._folder(path)
        found = image_files(folder)
        said = f"The captions of {path} are of images that {folder} does not hold: "
        pictures = locate(
            names, found, folder, lambda what: f"{said}{what}; set data.images=<their folder>, or remove them."
        )
        if silent := len(found) - len(set(pictures)):
            shown = sorted({str(file) for file in found} - set(map(str, pictures)))
            log.info(
                f"{silent} of {len(found)} images in {folder} have no caption and are left out, such as {shown[0]}"
            )
        splits = self._splits(path, each, names)
        return rows(pictures, names, [captions[name] for name in names], splits)

    def _folder(self, path: Path) -> Path:
        folder = Path(self.images).expanduser() if self.images else path if path.is_dir() else path.parent
        if not folder.is_dir():
            raise ZooError(f"data.images={self.images} is not a folder; give the one that holds the images.")
        return folder

    def _splits(self, path: Path, each: dict[str, Captions], names: list[str]) -> Splits:
        """Images by part: as a file of parts says, as the files of captions are called, else by `split`."""
        beside = path if path.is_dir() else path.parent
        given = Path(self.parts).expanduser() if self.parts else beside
        file = next(iter(sorted(given.glob("dataset*.json"))), None) if given.is_dir() else given
        if file is not None:
            parts = read_parts(file)
            if strangers := [name for name in names if name not in parts and Path(name).name not in parts]:
                raise ZooError(
                    f"{file} does not say the part of {len(strangers)} images, such as {strangers[0]}; add them."
                )
            of = [parts.get(name) or parts[Path(name).name] for name in names]
        elif "" in each:
            return at_random(len(names), self.split, self.split_seed)
        else:
            of = [next(part for part, captions in each.items() if name in captions) for name in names]
        found = {
            stage: torch.tensor([i for i, part in enumerate(of) if part == stage], dtype=torch.long) for stage in STAGES
        }
        if not len(found["train"]):
            raise ZooError(f"{file or path}: no image is for training; there are {', '.join(sorted(set(of)))}.")
        if len(found["val"]) and not len(found["test"]):
            log.info(f"{path} has no test part: val is the test set, and validation is carved out of train")
            found["test"], rest = found["val"], found["train"]
            parts_of = at_random(len(rest), [0.9, 0.1, 0.0], self.split_seed)
            found["train"], found["val"] = rest[parts_of["train"]], rest[parts_of["val"]]
        return found


def caption_files(folder: Path) -> dict[str, Path]:
    """The files of captions in a folder, by part: of one file "". Raises: ZooError where there is none, or it is not clear."""
    found = sorted(
        file
        for pattern in ("captions*.json", "captions*.txt", "*.token", "annotations/captions*.json")
        for file in folder.glob(pattern)
        if not file.name.startswith(".")
    )
    if len(found) == 1:
        return {"": found[0]}
    parts = {stage: [file for file in found if stage in file.stem.lower()] for stage in STAGES}
    if not found or any(len(files) > 1 for files in parts.values()) or sum(map(len, parts.values())) != len(found):
        what = (
            "no file of captions" if not found else f"{len(found)} of them, such as {found[0].name} and {found[1].name}"
        )
        raise ZooError(f"data.path={folder} holds {what}; give the file: {FORMS}.")
    return {stage: files[0] for stage, files in parts.items() if files}


def merged(each: dict[str, Captions]) -> Captions:
    """The captions of all parts. Raises: ZooError for an image in two of them."""
    found: Captions = {}
    for part, captions in each.items():
        if twice := [name for name in captions if name in found]:
            raise ZooError(
                f"{len(twice)} images are in the {NAMES[part]} part and in another, such as {twice[0]}; remove them."
            )
        found |= captions
    return found


def rows(pictures: list[Path], names: list[str], captions: list[list[str]], splits: Splits) -> CaptionCorpus:
    """The pairs: of training images one a caption, of the others one an image, said by its first."""
    of, targets, parts = list[int](), list[str](), {}
    for stage in STAGES:
        first = len(of)
        for image in splits[stage].tolist():
            several = captions[image] if stage == "train" else captions[image][:1]
            of += [image] * len(several)
            targets += several
        parts[stage] = torch.arange(first, len(of))
    return CaptionCorpus(
        [names[image] for image in of], targets, parts, [captions[image] for image in of], images=pictures,
        image=torch.tensor(of, dtype=torch.long),
    )  # fmt: skip
