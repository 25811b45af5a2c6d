"""The tokens of a part of a corpus: made once, kept in the cache, mapped from there; a text never has to fit into memory."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.files import caching
from datamodules.text.corpus import Document, Turns
from zoo.errors import ZooError
from zoo.text import Tokenizer

FORMAT = 1  # goes up whenever the files' content changes
TOGETHER = 16  # pieces of text that are encoded at a time, by as many processors as there are


@dataclass
class Tokens:
    """Tokens of documents, one after the other, mapped from files.

    Attributes:
        ids: [T] of 16 or 32 bits.
        starts: [documents + 1], where each begins; the last is T.
        sizes: [T], bytes of the text that each stands for.
        asked: [T] bool, whether a model is to say it; None: all.
    """

    folder: Path

    def __post_init__(self):
        found = json.loads((self.folder / "tokens.json").read_text(encoding="utf-8"))
        self.ids = self._mapped("ids", found["dtype"], found["tokens"])
        self.sizes = self._mapped("sizes", "uint16", found["tokens"])
        self.starts = np.load(self.folder / "starts.npy")
        self.asked = self._mapped("asked", "bool", found["tokens"]) if found["asked"] else None
        self.num_bytes = found["bytes"]

    def _mapped(self, name: str, dtype: str, count: int) -> np.ndarray:
        path = self.folder / f"{name}.bin"
        if path.stat().st_size != count * np.dtype(dtype).itemsize:
            raise ZooError(
                f"{path} has {path.stat().st_size} bytes, not those of {count} tokens; remove {self.folder}."
            )
        # "c": writable to torch, which warns of read-only memory, and never written to the file.
        return np.memmap(path, dtype, "c", shape=(count,)) if count else np.zeros(0, dtype)

    def __len__(self) -> int:
        return len(self.ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)  # workers map the files too, where an array would be copied to them


def tokens(
    documents: Iterable[Document], digest: str, tokenizer: Tokenizer, ends: bool, joined: bool, cache: Path, part: str
) -> Tokens:
    """The tokens of documents, found in the cache or made there.

    Args:
        documents: whose hash is `digest`.
        ends: put bos before and eos behind each.
        joined: one of both between two documents will do, where they are the same token.
        cache: folder of what may be written; the tokens' own is named by the hashes of text and tokenizer.
        part: what the documents are, for errors.
    """
    joined = joined and ends and tokenizer.bos is not None and tokenizer.bos == tokenizer.eos
    key = f"{FORMAT} {digest} {tokenizer.fingerprint} {ends} {joined}"
    folder = cache / "tokens" / hashlib.sha256(key.encode()).hexdigest()[:32]
    if not (folder / "tokens.json").is_file():
        try:
            with caching(folder) as beside:
                beside.mkdir()
                _write(beside, documents, tokenizer, ends, joined, part)
        except ZooError:
            if not (folder / "tokens.json").is_file():  # it is where another process of the run was faster
                raise
    return Tokens(folder)


def _write(
    folder: Path, documents: Iterable[Document], tokenizer: Tokenizer, ends: bool, joined: bool, part: str
) -> None:
    dtype = "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32"
    bos, eos = (tokenizer.bos, tokenizer.eos) if ends else (None, None)
    starts, count, total, all_asked = [0], 0, 0, True
    names = ("ids", "sizes", "asked")
    events = _events(documents, bos, eos, joined)
    with ExitStack() as stack:
        files = [stack.enter_context(open(folder / f"{name}.bin", "wb")) for name in names]
        while group := list(islice(events, TOGETHER)):
            found = iter(tokenizer.measured_many([what for what, _ in group if isinstance(what, str)]))
            for what, asked in group:
                if what is None:
                    starts.append(count)
                    continue
                try:
                    ids, sizes = next(found) if isinstance(what, str) else (np.array([what]), np.array([0]))
                except ZooError as error:
                    raise ZooError(f"document {len(starts) - 1} of {part}: {error}") from error.__cause__
                kept = (ids.astype(dtype), np.minimum(sizes, 65535).astype("uint16"), np.full(len(ids), asked))
                for file, array in zip(files, kept, strict=True):
                    file.write(array.tobytes())
                count, total, all_asked = count + len(ids), total + int(sizes.sum()), all_asked and asked
    starts[-1] = count
    if all_asked:
        (folder / "asked.bin").unlink()
    np.save(folder / "starts.npy", np.array(starts, np.int64))
    about = {"tokens": count, "bytes": total, "dtype": dtype, "asked": not all_asked}
    (folder / "tokens.json").write_text(json.dumps(about), encoding="utf-8")


#: A text or a token, and whether a model is to say it; None where a document ends.
Event = tuple[str | int | None, bool]


def _events(documents: Iterable[Document], bos: int | None, eos: int | None, joined: bool) -> Iterator[Event]:
    for document in documents:
        if bos is not None:
            yield bos, joined
        for text, asked, whole in _turns(document):
            yield text, asked
            if whole and eos is not None and not joined:
                yield eos, True
        yield None, True
    if joined:
        yield eos, True


def _turns(document: Document) -> Iterator[tuple[str, bool, bool]]:
    """(text, whether it is asked for, whether something ends with it)."""
    if isinstance(document, Turns):
        yield from ((text, asked, asked) for text, asked in document.turns)
        return
    yield from ((piece, True, False) for piece in document.pieces())
    yield "", True, True
