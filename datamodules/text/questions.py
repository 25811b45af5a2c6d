"""Questions whose answers are stretches of a text beside them: what all sets of such share. A set says how they are loaded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules import tokenizers
from datamodules.sampling import BatchIndex
from datamodules.splits import NAMES, STAGES, Splits
from datamodules.text.batches import NOTHING, SpanText, TextBatch
from datamodules.text.corpus import Corpus, Text
from datamodules.text.module import TextData
from zoo.errors import ZooError
from zoo.spec import TextSpec
from zoo.text import Tokenizer
from zoo.text.base import Located
from zoo.text.spans import room_for, stacked, tokens_of, windows


@dataclass(frozen=True)
class Question:
    """name: its id. context: the number of its text. starts: where its answers begin there, in characters."""

    name: str
    context: int
    text: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]


@dataclass(kw_only=True)
class QuestionCorpus(Corpus):
    """Contexts and questions about them; as a text (a document), a context and its questions in lines below it.

    Args:
        contexts: the texts.
        questions: in the order of their contexts.
        splits: of contexts.
    """

    contexts: Sequence[str]
    questions: Sequence[Question]

    @classmethod
    def of(cls, contexts: Sequence[str], questions: Sequence[Question], splits: Splits, name: str) -> "QuestionCorpus":
        lines: list[list[str]] = [[context] for context in contexts]
        for question in questions:
            lines[question.context].append(question.text)
        documents = [Text("\n".join(each)) for each in lines]
        return cls(documents, splits, targets="span", name=name, contexts=contexts, questions=questions)

    def asked(self, stage: str) -> list[Question]:
        """The questions of "train", "val" or "test"."""
        here = set(self.splits[stage].tolist())
        return [question for question in self.questions if question.context in here]


@dataclass
class PreparedQuestions:
    """Tokens of questions and contexts.

    questions: by part. asked: ids of each of them. located: a context's tokens, by its number. spans: the first and the last
    token of each question's first answer.
    """

    corpus: QuestionCorpus
    tokenizer: Tokenizer
    questions: dict[str, list[Question]]
    asked: dict[str, list[list[int]]]
    spans: dict[str, list[tuple[int, int]]]
    located: dict[int, Located]
    splits: dict[str, Tensor]

    @property
    def classes(self) -> tuple[str, ...]:
        return ()


class Questions(Dataset):
    """The questions of a part, with all windows of each; `__getitems__` takes a `BatchIndex`."""

    def __init__(self, found: PreparedQuestions, stage: str, size: int, stride: int | None, seed: int | None):
        self.found, self.stage, self.size, self.stride, self.seed = found, stage, size, stride, seed

    def __len__(self) -> int:
        return len(self.found.questions[self.stage])

    def _cut(self, number: int) -> Any:
        found = self.found
        context = found.located[found.questions[self.stage][number].context]
        return windows(found.tokenizer, found.asked[self.stage][number], context.ids, self.size, self.stride)

    def __getitems__(self, draw: BatchIndex) -> SpanText:
        found, numbers = self.found, draw.rows
        questions = [found.questions[self.stage][number] for number in numbers]
        spans = torch.tensor([found.spans[self.stage][number] for number in numbers]).view(-1, 2)
        contexts = [found.located[question.context] for question in questions]
        tokenizer = found.tokenizer
        pad = next(id for id in (tokenizer.pad, tokenizer.eos) if id is not None)
        made = {key: torch.from_numpy(value) for key, value in stacked([self._cut(n) for n in numbers], pad).items()}
        ids, mask = made.pop("ids"), made.pop("mask")
        following = torch.nn.functional.pad(ids, (0, 1), value=NOTHING)[:, 1:]
        after = torch.nn.functional.pad(mask, (0, 1))[:, 1:]
        seed, epoch = (0, 0) if self.seed is None else (self.seed, draw.epoch)
        return SpanText(
            ids=ids, targets=following.where(after, NOTHING), mask=mask, sample=torch.tensor(numbers)[made["question"]],
            seed=seed, epoch=epoch, **made, start=spans[:, 0], end=spans[:, 1],
            starts=_padded([each.starts for each in contexts]), ends=_padded([each.ends for each in contexts]),
            contexts=tuple(found.corpus.contexts[question.context] for question in questions),
            answers=tuple(question.answers for question in questions),
            names=tuple(question.name for question in questions),
        )  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class QuestionData(TextData):
    """Batches of questions (`SpanText`): each with all windows of its context, so that it is asked as a whole.

        [bos] question [eos] window of the context [eos]

    Packed (`pack`), contexts and questions are text like any other.

    Args:
        context: tokens of a row, at most: question, window and special ones.
        stride: tokens from the start of a window to that of the next; None: half of a window. Larger than a window it is one.
        batch_size: questions of a step.

    Raises: ZooError for a tokenizer without a token that ends a text, a question that leaves no room for a window, an answer
        that the tokenizer makes nothing of.
    """

    context: int = 128
    pack: str | None = None
    stride: int | None = None

    samples = "questions"

    def __post_init__(self):
        super().__post_init__()
        self.samples = "questions" if self.pack is None else "rows"
        if self.stride is not None and (type(self.stride) is not int or self.stride < 1):
            raise ZooError(f"data.stride={self.stride} is not a number of tokens; give 1 or more, or null.")

    # -- from questions to windows -------------------------------------------------------------------------------------

    def finish(self, source: Any) -> Any:
        if self.pack is not None:
            return super().finish(source)
        corpus: QuestionCorpus = source
        tokenizer = tokenizers.make(
            self.tokenizer, lambda: corpus.texts("train"), lambda: corpus.digest("train"), self.search_paths
        )
        if tokenizer.eos is None:
            raise ZooError(
                f"tokenizer={tokenizer.kind} has no token that ends a text, to stand between a question and its context; set "
                "tokenizer.special=true."
            )
        questions = {stage: corpus.asked(stage) for stage in STAGES}
        for stage in STAGES:
            if len(corpus.splits[stage]) and not questions[stage]:
                raise ZooError(
                    f"the {NAMES[stage]} part of {corpus.name} has no question; give it some, or another split."
                )
        asked = {stage: tokenizer.encode_many([each.text for each in questions[stage]]) for stage in STAGES}
        located = {each.context: Located(*[np.empty(0)] * 3) for stage in STAGES for each in questions[stage]}
        located = {number: tokenizer.located(corpus.contexts[number]) for number in located}
        self._check_room(tokenizer, questions, asked)
        spans = {stage: [_span(each, located[each.context], corpus) for each in questions[stage]] for stage in STAGES}
        splits = {stage: torch.arange(len(questions[stage])) for stage in STAGES}
        return PreparedQuestions(corpus, tokenizer, questions, asked, spans, located, splits)

    def _check_room(self, tokenizer: Tokenizer, questions: dict[str, list[Question]], asked: dict[str, Any]) -> None:
        least = max(1, self.context // 4)
        short = [
            (question.name, len(ids))
            for stage in STAGES
            for question, ids in zip(questions[stage], asked[stage], strict=True)
            if room_for(tokenizer, ids, self.context) < least
        ]
        if short:
            name, most = max(short, key=lambda each: each[1])
            has = "question is" if len(short) == 1 else "questions are"
            raise ZooError(
                f"{len(short):,} {has} too long for data.context={self.context}, the longest ({name!r}) of {most} tokens: a "
                f"quarter of a row at least is for the context; set data.context={(most + 3) * 4 // 3 + 2} or more."
            )

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> TextSpec:
        if self.pack is not None:
            return super().spec
        tokenizer = self.loaded().tokenizer
        return TextSpec(vocab_size=tokenizer.vocab_size, context=self.context, tokenizer=tokenizer, targets="span")

    def identity(self, stage: str) -> list[Tensor | bytes]:
        whole = super().identity(stage)
        if self.pack is not None:
            return whole
        said = hashlib.sha256()
        for each in self.loaded().questions[stage]:
            said.update(repr((each.answers, each.starts)).encode(errors="surrogatepass"))
        return [*whole, said.digest()]

    def dataset(self, stage: str) -> Any:
        if self.pack is not None:
            return super().dataset(stage)
        return Questions(self.loaded(), stage, self.context, self.stride, self.seed if stage == "train" else None)

    def test_rows(self, count: int) -> TextBatch:
        if self.pack is not None:
            return super().test_rows(count)
        return self.dataset("test").__getitems__(BatchIndex(0, list(range(min(count, self.test_size)))))

    def describe(self) -> str:
        if self.pack is not None:
            return super().describe()
        found = self.loaded()
        longest = max((len(each.ids) for each in found.located.values()), default=0)
        answers = max((last - first + 1 for stage in STAGES for first, last in found.spans[stage]), default=0)
        what = f"{found.tokenizer.kind} of {found.tokenizer.vocab_size:,} tokens"
        return (
            f"{super(TextData, self).describe()} about {len(found.located):,} contexts of at most {longest:,} tokens, in rows "
            f"of {self.context} ({what}; answers of at most {answers})"
        )


def _span(question: Question, located: Located, corpus: QuestionCorpus) -> tuple[int, int]:
    """The tokens of the first answer, without the spaces around it."""
    answer, start = question.answers[0], question.starts[0]
    start += len(answer) - len(answer.lstrip())
    found = tokens_of(located, start, start + len(answer.strip()))
    if found is None:
        raise ZooError(
            f"{corpus.name}: the tokenizer makes nothing of the answer {answer[:40]!r} of question {question.name!r}; take "
            "another tokenizer, or remove it."
        )
    return found


def _padded(rows: Sequence[np.ndarray]) -> Tensor:
    """[B, L], 0 behind the end of each."""
    found = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
    for i, row in enumerate(rows):
        found[i, : len(row)] = row
    return torch.from_numpy(found)
