"""Which words of Python's documentation are code, and which are terms: `data=doc_terms`."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field

from datamodules.splits import STAGES, at_random
from datamodules.text import marks, python_docs
from datamodules.text.corpus import Corpus
from datamodules.text.tagged import Sentence, TaggedData, tagged
from zoo.declared import declared


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class DocTerms(TaggedData):
    """The prose of the topics of `help()` of the running CPython, a paragraph a row: what stands there in "..." is CODE, in
    *...* TERM; the marks are taken out. Split by topic; a paragraph of several topics is of the first of them.

    Packed (`pack=documents`) the paragraphs are text to learn language from, without marks and test topics as well.

    Args:
        split: shares of training, validation and test, by number of topics.
    """

    split: Sequence[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])

    reference = "the CPython that runs this: its topics of help()"
    licence = "PSF-2.0"
    called = "doc_terms"

    @property
    def vintage(self) -> str:
        return f"CPython {platform.python_version()}"

    def load(self) -> Corpus:
        found = [each for each in by_topic(python_docs.topics()) if each]
        rows = at_random(len(found), self.split, self.split_seed)
        parts = {stage: [s for row in rows[stage].tolist() for s in found[row]] for stage in STAGES}
        return tagged(parts, f"data=doc_terms ({self.vintage})")

    def describe(self) -> str:
        return f"{super().describe()}; of {self.vintage}"


def by_topic(topics: dict[str, str]) -> list[list[Sentence]]:
    """The paragraphs of each topic, in words with tags; each stands once."""
    seen, found = set[tuple[str, ...]](), list[list[Sentence]]()
    for text in topics.values():
        found.append([])
        for paragraph in marks.paragraphs(text):
            read = marks.read_marks(paragraph)
            if read is not None and tuple(read[0]) not in seen:
                seen.add(tuple(read[0]))
                found[-1].append(read)
    return found
