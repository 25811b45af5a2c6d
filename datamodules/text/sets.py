"""Texts to learn language from: `data=python_docs`, `tinyshakespeare`, `textfile`."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from datamodules.files import obtain
from datamodules.splits import STAGES, Splits, at_random, shares_of
from datamodules.text import python_docs
from datamodules.text.corpus import Corpus, FileText, Text
from datamodules.text.module import TextData
from zoo.declared import declared
from zoo.errors import ZooError, one_line

SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class PythonDocs(TextData):
    """The topics of `help()` and the docstrings of the running CPython's standard library; split by document.

    Args:
        split: shares of training, validation and test, by number of documents.
    """

    split: Sequence[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])

    reference = "the CPython that runs this: its topics of help() and its docstrings"
    licence = "PSF-2.0"
    called = "python_docs"

    @property
    def vintage(self) -> str:
        return f"CPython {platform.python_version()}"

    def load(self) -> Corpus:
        found = python_docs.documents(self.search_paths[-1])
        splits = at_random(len(found), self.split, self.split_seed)
        return Corpus([Text(text) for text in found], splits, name="data=python_docs")


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class TextFile(TextData):
    """A file of UTF-8, split by position, or a folder of them (with all folders in it), each a document, split by document.

    Args:
        path: of the file or folder.
        split: shares of training, validation and test: of bytes, or of documents.
        begin: share of a file that is left out at its beginning; `split` is of what follows.
        pattern: which files of a folder.
    """

    path: str | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.9, 0.05, 0.05])
    begin: float = 0.0
    pattern: str = "*.txt"
    places = ("path",)

    def load(self) -> Corpus:
        if not self.path:
            raise ZooError("data=textfile needs data.path=<a file of text, or a folder of them>.")
        path = Path(self.path).expanduser()
        if path.is_dir():
            if self.begin:
                raise ZooError(
                    f"data.begin={self.begin} is of one file, and data.path={path} is a folder; leave it out."
                )
            try:
                files = sorted(file for file in path.rglob(self.pattern) if file.is_file() and not _hidden(file, path))
            except (ValueError, NotImplementedError) as error:
                raise ZooError(
                    f"data.pattern={self.pattern!r} names no files of a folder ({one_line(error, 80)}); give one such as *.txt."
                ) from error
            if not files:
                raise ZooError(
                    f"data.path={path} has no file {self.pattern}; data.pattern= says which files are meant."
                )
            splits = at_random(len(files), self.split, self.split_seed)
            return Corpus([FileText(file) for file in files], splits, name=f"data.path={path}")
        if not path.is_file():
            raise ZooError(f"data.path={path} is neither a file nor a folder.")
        return by_position(path, self.split, f"data.path={path}", self.begin)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class TinyShakespeare(TextData):
    """1,115,394 characters of Shakespeare's plays, 65 different ones, split by position.

    Args:
        split: shares of training, validation and test; nanoGPT's is [0.9, 0.1, 0].
        begin: share of the text that is left out at its beginning; `split` is of what follows.
    """

    split: Sequence[float] = field(default_factory=lambda: [0.9, 0.05, 0.05])
    begin: float = 0.0

    reference = "Karpathy 2015, github.com/karpathy/char-rnn"
    licence = "public domain"

    def load(self) -> Corpus:
        path = obtain("tinyshakespeare/input.txt", [SHAKESPEARE_URL], self.search_paths, SHAKESPEARE)
        return by_position(path, self.split, "data=tinyshakespeare", self.begin)


def by_position(path: Path, split: Sequence[float], name: str, begin: float = 0.0) -> Corpus:
    """A file, from `begin` of its bytes on, as three parts, one behind the other: the shares of what is left, each to the end
    of a character."""
    shares = shares_of(split)
    if not 0 <= begin < 1:
        raise ZooError(f"data.begin={begin} is not within [0, 1): a share of the text that is left out.")
    size = path.stat().st_size
    cuts: list[int] = []
    with open(path, "rb") as file:
        for inside in (0.0, shares[0], shares[0] + shares[1]):
            share = begin + (1 - begin) * inside
            at = int(size * share + 1e-6) if inside < 1 else size
            file.seek(at)
            while at < size and 0x80 <= file.read(1)[0] < 0xC0:  # within a character
                at += 1
            cuts.append(at)
    ends = [*cuts[1:], size]
    documents = [FileText(path, start, end) for start, end in zip(cuts, ends, strict=True)]
    rows = {stage: [i] if shares[i] else [] for i, stage in enumerate(STAGES)}
    splits: Splits = {stage: torch.tensor(row, dtype=torch.int64) for stage, row in rows.items()}
    return Corpus(documents, splits, ends=False, name=name)


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
