"""What needs no reading of the question reaches on questions about texts: the commonest training answer, and the training
answer that stands last (or first) in the context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from zoo.tasks.extractive_qa import squad


def run(data: Any) -> None:
    """Print exact match and F1 of the test part."""
    from zoo.console import table

    corpus = data.load()
    rows = [(name, *(f"{100 * share:.2f} %" for share in shares)) for name, shares in figures(corpus).items()]
    table(rows, f"{type(data).__name__}: {len(corpus.asked('test')):,} test questions", ("", "exact match", "F1"))


def figures(corpus: Any) -> dict[str, tuple[float, float]]:
    """(exact match, F1) of each baseline, shares of 1."""
    known = Counter(question.answers[0] for question in corpus.asked("train"))
    common = known.most_common(1)[0][0]
    says: dict[str, Callable[[str], str]] = {
        "the commonest training answer": lambda context: common,
        "the training answer that stands last": lambda context: max(known, key=lambda each: context.rfind(each)),
        "the training answer that stands first": lambda context: min(
            known, key=lambda each: context.find(each) if each in context else len(context)
        ),
    }
    asked = [(corpus.contexts[question.context], question.answers) for question in corpus.asked("test")]
    return {name: _mean([squad(say(context), answers) for context, answers in asked]) for name, say in says.items()}


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    exact, f1 = zip(*pairs, strict=True)
    return sum(exact) / len(exact), sum(f1) / len(f1)
