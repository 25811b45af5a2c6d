"""Texts with labels: `data=glosses`, and `data=textcsv` for one's own."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.sampling import generator
from datamodules.splits import fractions
from datamodules.text.corpus import Corpus, FileText, Text
from datamodules.text.module import TextData
from zoo.declared import declared
from zoo.errors import NotAtHand, ZooError, listed, nearest, one_line

#: WordNet's numbers of nouns below these: kinds of animal, and so on.
GLOSSES = {
    "animal": (1313093, 2659999),
    "artifact": (2666000, 4619999),
    "food": (7555000, 7936999),
    "person": (9600000, 11429999),
    "plant": (11529000, 13199999),
}


@dataclass(kw_only=True, eq=False, repr=False)
class LabelledTextData(TextData):
    """Texts of classes, a text a row (`LabelledText`); packed, they are text like any other.

    Args:
        split: shares of training, validation and test, classes in proportion.
        labels_per_class: so many training texts of each class; None: all. The tokenizer is made of all.
    """

    split: Sequence[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])
    labels_per_class: int | None = None
    pack: str | None = None

    def __post_init__(self):
        super().__post_init__()
        self.samples = "texts" if self.pack is None else "rows"
        if self.labels_per_class is not None and self.pack is not None:
            raise ZooError(f"data.labels_per_class={self.labels_per_class} is for a text a row; set data.pack=null.")

    def chosen(self, corpus: Corpus, splits: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.labels_per_class is None:
            return splits
        labels = corpus.labels[corpus.splits["train"]]
        return {**splits, "train": few(labels, len(corpus.classes), self.labels_per_class, self.split_seed)}


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Glosses(LabelledTextData):
    """WordNet's definitions of 20,644 nouns of ImageNet-21k, as they come with timm: is it an animal, an artifact, food, a
    person or a plant? Equal definitions stand once, under the lowest number."""

    split: Sequence[float] = field(default_factory=lambda: [0.6, 0.2, 0.2])

    reference = "Miller 1995, WordNet; ImageNet-21k's synsets, within timm"
    licence = "WordNet"

    def load(self) -> Corpus:
        timm = find_spec("timm")
        path = (
            Path(timm.origin if timm and timm.origin else "timm").parent
            / "data/_info/imagenet_synset_to_definition.txt"
        )
        if not path.is_file():
            raise NotAtHand(f"data=glosses reads {path} of the package timm, which is not there; install timm>=1.0.20.")
        found: dict[str, int] = {}
        for line in sorted("".join(FileText(path).pieces()).splitlines()):
            number, _, text = line.partition("\t")
            label = next(
                (i for i, (least, most) in enumerate(GLOSSES.values()) if least <= int(number[1:]) <= most), None
            )
            if label is not None:
                found.setdefault(text, label)
        return labelled(list(found), list(found.values()), tuple(GLOSSES), self.split, self.split_seed, "data=glosses")


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class TextCsv(LabelledTextData):
    """A table of texts and labels: a .csv, or a .tsv, with a line of names.

    Args:
        path: of the file.
        text: name of the column of texts.
        label: name of the column of labels.
        separator: between the labels of a text that may have several; None: each has one.
    """

    path: str | None = None
    text: str = "text"
    label: str = "label"
    separator: str | None = None
    places = ("path",)

    def load(self) -> Corpus:
        if not self.path:
            raise ZooError("data=textcsv needs data.path=<a .csv with a column of texts and one of labels>.")
        path = Path(self.path).expanduser()
        rows = list(read_table(path, self.text, self.label))
        if not rows:
            raise ZooError(f"{path} has no row below its names; give it some.")
        said = [
            [part.strip() for part in label.split(self.separator)] if self.separator else [label] for _, label in rows
        ]
        name = f"data.path={self.path}"
        return named(
            [text for text, _ in rows], said, bool(self.separator), self, name, f"{path}: column {self.label!r}"
        )


def named(
    texts: list[str], said: list[list[Any]], several: bool, data: LabelledTextData, name: str, where: str
) -> Corpus:
    """Texts with labels by name: one each, or several. Raises: ZooError for less than two classes."""
    found = sorted({label for labels in said for label in labels if label != ""})
    if len(found) < 2:
        has = f"the one label {found[0]!r}" if found else "no label"
        raise ZooError(f"{where} has {has}; classes take two.")
    ids = {label: i for i, label in enumerate(found)}
    if not several:
        labels = torch.tensor([ids[each[0]] for each in said])
    else:
        labels = torch.zeros(len(said), len(found))
        for row, each in enumerate(said):
            labels[row, [ids[label] for label in each if label != ""]] = 1
    return labelled(texts, labels, tuple(map(str, found)), data.split, data.split_seed, name)


def labelled(
    texts: list[str], labels: Any, classes: tuple[str, ...], split: Sequence[float], seed: int, name: str
) -> Corpus:
    """Texts and labels, split with the classes in proportion."""
    labels = torch.as_tensor(labels)
    targets = "labels" if labels.ndim == 2 else "class"
    return Corpus([Text(text) for text in texts], fractions(labels, split, seed), True, labels, classes, targets, name)


def few(labels: Tensor, classes: int, count: int, seed: int) -> Tensor:
    """`count` rows of each class, ascending; those of a smaller count are among those of a larger one."""
    if labels.ndim == 2:
        raise ZooError(f"data.labels_per_class={count} is for one class a text, and these may have several.")
    least = int(labels.bincount(minlength=classes).min())
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= least:
        raise ZooError(f"data.labels_per_class={count} does not fit: the smallest class has {least} training texts.")
    order = torch.randperm(len(labels), generator=generator(seed, 11))
    return torch.cat([order[labels[order] == label][:count] for label in range(classes)]).sort().values


def read_table(path: Path, text: str, label: str) -> Iterator[tuple[str, str]]:
    """(text, label) of each row. Raises: ZooError for rows without them, with the numbers of their lines."""
    if not path.is_file():
        raise ZooError(f"data.path={path} is no file.")
    whole = "".join(FileText(path).pieces())
    csv.field_size_limit(100_000_000)
    reader = csv.DictReader(
        io.StringIO(whole, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True
    )
    wrong: list[int] = []
    try:
        names = reader.fieldnames or []
        for option, column in (("text", text), ("label", label)):
            if column not in names:
                raise ZooError(f"{path} has no column {column!r} (data.{option}); {nearest(column, names)}")
        for row in reader:
            if row[text] and row[text].strip() and row[label] and row[label].strip() and None not in row:
                yield row[text], row[label].strip()
            else:
                wrong.append(reader.line_num)
    except csv.Error as error:
        raise ZooError(f"{path}, line {reader.line_num}: {one_line(error, 200)}; mend the line.") from error
    if wrong:
        raise ZooError(
            f"{path}: {listed(wrong)} not one text ({text}) and one label ({label}) beside the other columns; mend or remove "
            "them."
        )
