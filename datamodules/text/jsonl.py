"""Texts with labels, a JSON object a line: `data=jsonl data.path=mails.jsonl`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.text.corpus import Corpus
from datamodules.text.labelled import LabelledTextData, named
from datamodules.text.lines import read_lines, text_of
from zoo.declared import declared
from zoo.errors import ZooError, one_line

#: What a label of a line may be.
KINDS = {str: "a text", int: "a whole number", list: "a list of texts"}


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Jsonl(LabelledTextData):
    """A text and its label a line, as JSON: {"text": "...", "label": "spam"}.

    A label is a text or a whole number; or a list of texts where a text may have several. All lines have the same kind.

    Args:
        path: of the file.
        text: the key of the text.
        label: the key of the label.

    Raises: ZooError for lines that are no such object (their numbers), labels of two kinds, and less than two classes.
    """

    path: str | None = None
    text: str = "text"
    label: str = "label"
    places = ("path",)

    def load(self) -> Corpus:
        if not self.path:
            raise ZooError("data=jsonl needs data.path=<a file of texts and labels, one JSON object a line>.")
        path = Path(self.path).expanduser()
        form = f'{{"{self.text}": "...", "{self.label}": "..."}}'
        rows = read_lines(path, self._row, "text with a label", form)
        firsts = {type(label): label for _, label in reversed(rows)}
        if len(firsts) > 1:
            shown = " and ".join(f"{kind} ({_shown(firsts[each])})" for each, kind in KINDS.items() if each in firsts)
            raise ZooError(f"{path}: {self.label!r} is {shown}; give labels of one kind.")
        several = list in firsts
        said = [label if several else [label] for _, label in rows]
        where = f"{path}: {self.label!r}"
        return named([text for text, _ in rows], said, several, self, f"data.path={self.path}", where)

    def _row(self, line: Any) -> tuple[str, Any]:
        text = text_of(line, self.text)
        if not text.strip():
            raise ValueError(f"its {self.text!r} is empty")
        if self.label not in line:
            raise ValueError(f"it has no {self.label!r}")
        label = line[self.label]
        if type(label) not in KINDS or (type(label) is list and any(type(each) is not str for each in label)):
            raise ValueError(
                f"its {self.label!r} is {_shown(label)}, neither a text nor a whole number nor a list of texts"
            )
        if label == "":
            raise ValueError(f"its {self.label!r} is empty")
        return text, label


def _shown(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 40)
