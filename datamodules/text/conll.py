"""Files of tagged words: `data=conll`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datamodules.splits import STAGES, at_random
from datamodules.text.corpus import Corpus, FileText
from datamodules.text.tagged import Sentence, TaggedData, tagged
from zoo.declared import declared
from zoo.errors import ZooError, listed
from zoo.text.entities import is_tag

#: A line that begins a document; of no part of a sentence.
DOCUMENT = "-DOCSTART-"
#: What the file of a part begins with, in a folder.
CALLED = {"train": ("train",), "val": ("valid", "dev", "testa", "eng.testa"), "test": ("test", "eng.testb")}


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Conll(TaggedData):
    """Words with tags, a word a line, as CoNLL-2003 has them: the first column the word, the last its tag, an empty line
    between sentences, -DOCSTART- between documents. Tags are O, B-kind and I-kind; IOB1 is read as IOB2.

    Args:
        path: a folder with a file for each part (train.txt, valid.txt or dev.txt, test.txt), or one file, split by document
            (by sentence where it has no -DOCSTART-).
        train, valid, test: the files, in place of `path`.
        split: shares of training, validation and test, of one file.
    """

    path: str | None = None
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])
    places = ("path", "train", "valid", "test")

    def load(self) -> Corpus:
        files: dict[str, Any] = {"train": self.train, "val": self.valid, "test": self.test}
        if not any(files.values()):
            if not self.path:
                raise ZooError(
                    "data=conll needs data.path=<a folder with train.txt, valid.txt and test.txt, or one file>, or "
                    "data.train=, data.valid= and data.test=."
                )
            path = Path(self.path).expanduser()
            if not path.is_dir():
                return self._divided(path)
            files = {stage: _file_of(path, stage) for stage in STAGES}
        elif self.path:
            raise ZooError("data.path= and data.train=, data.valid=, data.test= say the same twice; leave one out.")
        if not files["train"]:
            raise ZooError(f"data=conll has no file for training; give data.train=<file>{_near(self.path)}.")
        parts = {
            stage: [sentence for document in read(Path(file).expanduser()) for sentence in document] if file else []
            for stage, file in files.items()
        }
        return tagged(parts, f"data={self.path or self.train}")

    def _divided(self, path: Path) -> Corpus:
        documents = read(path)
        if len(documents) == 1:
            documents = [[sentence] for sentence in documents[0]]
        rows = at_random(len(documents), self.split, self.split_seed)
        parts = {stage: [s for row in rows[stage].tolist() for s in documents[row]] for stage in STAGES}
        return tagged(parts, f"data.path={path}")


def _file_of(folder: Path, stage: str) -> Path | None:
    """The file of a part: the first of those that are called so."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return next((file for name in CALLED[stage] for file in files if file.name.startswith(name)), None)


def read(path: Path) -> list[list[Sentence]]:
    """The sentences of a file, by document; documents without any are left out.

    Raises: ZooError for a file that cannot be read, has no sentence, or lines without a tag (their numbers).
    """
    if not path.is_file():
        raise ZooError(f"data.path={path} is no file.")
    documents: list[list[Sentence]] = [[]]
    words, tags = list[str](), list[str]()
    short, strange = list[int](), list[tuple[int, str]]()
    for number, line in enumerate("".join(FileText(path).pieces()).split("\n"), 1):
        columns = [column for column in re.split(r"[ \t]+", line.rstrip("\r")) if column]
        if columns and columns[0] != DOCUMENT:
            if len(columns) < 2:
                short.append(number)
            elif not is_tag(columns[-1]):
                strange.append((number, columns[-1]))
            words.append(columns[0])
            tags.append(columns[-1])
            continue
        if words:
            documents[-1].append((words, tags))
            words, tags = [], []
        if columns:
            documents.append([])
    if words:
        documents[-1].append((words, tags))
    if short:
        raise ZooError(f"{path}: {listed(short)} not a word and, last, its tag; give each word one (O: no entity).")
    if strange:
        number, tag = strange[0]
        raise ZooError(
            f"{path}, line {number}: the last column, {tag[:40]!r}, is no tag; tags are O, and B- or I- with a kind, as B-PER"
            f"{f' ({len(strange) - 1} more lines have such)' if len(strange) > 1 else ''}."
        )
    if not (found := [document for document in documents if document]):
        raise ZooError(f"{path} has no sentence: a word and its tag a line, an empty line between sentences.")
    return found


def _near(path: str | None) -> str:
    return f" (the folder {path} has none that begins with train)" if path else ""
