"""Questions about paragraphs: `data=squad data.path=train.json data.test=dev.json`, SQuAD 1.1's format."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from datamodules.base import one_of
from datamodules.splits import STAGES, Splits, at_random, shares_of
from datamodules.text.questions import Question, QuestionCorpus, QuestionData
from zoo.declared import declared
from zoo.errors import ZooError, one_line


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Squad(QuestionData):
    """Questions whose answers are stretches of a paragraph (Rajpurkar et al. 2016), as JSON:

        {"data": [{"title": "...", "paragraphs": [{"context": "...", "qas": [
            {"id": "...", "question": "...", "answers": [{"text": "...", "answer_start": 17}]}]}]}]}

    Args:
        path: of the file; or a folder with one train*.json, and one dev*.json or test*.json.
        test: of the file that is tested on; None: a share of `path`'s, or the other file of the folder.
        split: shares of training, validation and test; with a file for the test its share goes to the others.
        split_by: what is not in two parts: an "article", or a "paragraph".

    Raises: ZooError for files that are no such JSON, answers that do not stand at answer_start, and impossible questions
        (of SQuAD 2.0).
    """

    path: str | None = None
    test: str | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.9, 0.05, 0.05])
    split_by: str = "article"
    places = ("path", "test")

    def __post_init__(self):
        super().__post_init__()
        one_of(self.split_by, "split_by", ["article", "paragraph"])

    def load(self) -> QuestionCorpus:
        if not self.path:
            raise ZooError("data=squad needs data.path=<a .json of SQuAD 1.1's format>.")
        path, test = files(Path(self.path).expanduser(), None if self.test is None else Path(self.test).expanduser())
        found = read(path)
        units = found.units(self.split_by)
        if test is None:
            return found.corpus(_rows(at_random(len(units), self.split, self.split_seed), units), f"data.path={path}")
        train, val, _ = shares_of(self.split)
        splits = at_random(len(units), [train / (train + val), val / (train + val), 0], self.split_seed)
        splits = _rows(splits, units)
        other = read(test)
        splits["test"] = len(found.contexts) + torch.arange(len(other.contexts))
        return found.with_(other).corpus(splits, f"data.path={path} data.test={test}")


def files(path: Path, test: Path | None) -> tuple[Path, Path | None]:
    """The file to learn from and the one to be tested on; None where it is one and the same."""
    if path.is_dir():
        if test not in (None, path):
            raise ZooError(f"data.path={path} is a folder, with its own file for the test; leave out data.test={test}.")
        return _only(path, ("train",)), _only(path, ("dev", "test"))
    return path, None if test is None or test == path else test


def _only(folder: Path, begins: tuple[str, ...]) -> Path:
    found = sorted(each for each in folder.glob("*.json") if each.name.startswith(begins))
    if len(found) != 1:
        names = " or ".join(f"{begin}*.json" for begin in begins)
        raise ZooError(f"data.path={folder} has {len(found)} files {names}, and one is needed; name the files.")
    return found[0]


@dataclass(frozen=True)
class Read:
    """What a file holds. articles: of each context, the number of its article."""

    contexts: list[str]
    articles: list[int]
    questions: list[Question]

    def units(self, by: str) -> list[list[int]]:
        """The contexts of each article, or each by itself."""
        if by == "paragraph":
            return [[i] for i in range(len(self.contexts))]
        found: dict[int, list[int]] = {}
        for context, article in enumerate(self.articles):
            found.setdefault(article, []).append(context)
        return list(found.values())

    def with_(self, other: "Read") -> "Read":
        """Both, the other's contexts behind these."""
        n = len(self.contexts)
        moved = [Question(q.name, n + q.context, q.text, q.answers, q.starts) for q in other.questions]
        return Read([*self.contexts, *other.contexts], [*self.articles, *other.articles], [*self.questions, *moved])

    def corpus(self, splits: Splits, name: str) -> QuestionCorpus:
        return QuestionCorpus.of(self.contexts, self.questions, splits, name)


def _rows(splits: Splits, units: list[list[int]]) -> Splits:
    """The contexts of the units of each part, ascending."""
    return {
        stage: torch.tensor(sorted(row for unit in splits[stage].tolist() for row in units[unit]), dtype=torch.int64)
        for stage in STAGES
    }


def read(path: Path) -> Read:
    """What a file holds. Raises: as `Squad`."""
    found = Read([], [], [])
    impossible, misplaced = list[str](), list[str]()
    for article, where, paragraph in _paragraphs(path):
        context = _get(paragraph, "context", str, where)
        found.articles.append(article)
        for i, qa in enumerate(_get(paragraph, "qas", list, where)):
            here = f"{where}.qas[{i}]"
            name, text = _get(qa, "id", str, here), _get(qa, "question", str, here)
            answers = qa.get("answers")
            if qa.get("is_impossible") is True or answers == []:
                impossible.append(name)
                continue
            here = f"{path}, question {one_line(name, 40)!r}"
            pairs = [_answer(each, here) for each in _get(qa, "answers", list, here)]
            if not text.strip():
                raise ZooError(f"{here}: its question is empty; write one, or remove it.")
            if any(context[start : start + len(answer)] != answer for answer, start in pairs):
                misplaced.append(name)
            said, starts = zip(*pairs, strict=True)
            found.questions.append(Question(name, len(found.contexts), text, said, starts))
        found.contexts.append(context)
    if impossible:
        are = "question is" if len(impossible) == 1 else "questions are"
        raise ZooError(
            f"{path}: {len(impossible):,} {are} impossible, as SQuAD 2.0 has them, the first {one_line(impossible[0], 40)!r}: "
            "extractive_qa finds an answer to each; remove them, or take SQuAD 1.1."
        )
    if misplaced:
        some = ", ".join(repr(one_line(name, 40)) for name in misplaced[:3])
        raise ZooError(
            f"{path}: an answer does not stand at its answer_start, of {len(misplaced):,} of {len(found.questions):,} questions"
            f" ({some}{', ...' if len(misplaced) > 3 else ''}); answer_start counts characters of the context, from 0."
        )
    if not found.questions:
        raise ZooError(f"{path} has no question; give it some.")
    if twice := _twice([question.name for question in found.questions]):
        raise ZooError(f"{path}: the id {one_line(twice, 40)!r} stands at two questions; give each its own.")
    return found


def _paragraphs(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number of its article, where it stands, a paragraph)."""
    if not path.is_file():
        raise ZooError(f"{path} is no file; give a .json of SQuAD 1.1's format.")
    try:
        content = json.loads(path.read_bytes())
    except RecursionError:
        raise ZooError(f"{path} is nested too deep, which no set of questions is.") from None
    except (ValueError, OSError) as error:
        raise ZooError(f"{path} is no JSON ({one_line(error, 120)}); give a file of SQuAD 1.1's format.") from None
    for i, article in enumerate(_get(content, "data", list, str(path))):
        for j, paragraph in enumerate(_get(article, "paragraphs", list, f"{path}: data[{i}]")):
            yield i, f"{path}: data[{i}].paragraphs[{j}]", paragraph


def _answer(answer: Any, where: str) -> tuple[str, int]:
    text, start = (
        _get(answer, "text", str, f"{where}, an answer"),
        _get(answer, "answer_start", int, f"{where}, an answer"),
    )
    if not text.strip():
        raise ZooError(f"{where}: an answer is empty; write it, or remove it.")
    return text, start if start >= 0 else len(text) + 2**62  # before the context: nowhere, and not from its end


KINDS = {str: "text", int: "a whole number", list: "a list"}


def _get(node: Any, key: str, kind: Any, where: str) -> Any:
    """The value of a key. Raises: ZooError where it is missing or of another kind."""
    if not isinstance(node, dict):
        raise ZooError(f"{where} is a {type(node).__name__}, and must be an object with {key!r}, as SQuAD 1.1 has it.")
    if key not in node:
        raise ZooError(f"{where} has no {key!r}, which SQuAD 1.1 has there.")
    if type(node[key]) is not kind:
        shown = one_line(json.dumps(node[key]), 40)
        raise ZooError(f"{where}: {key!r} is {shown}, and must be {KINDS[kind]}.")
    return node[key]


def _twice(names: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
