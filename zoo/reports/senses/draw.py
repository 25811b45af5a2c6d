"""The lecture's plane: a word of two senses among words of one, as one point and as many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.inspect.plots import new_figure, save
from zoo.reports.senses.vectors import CONTEXT, STATIC

COLOURS = ("#c0392b", "#2166ac")
INK, PALE = "#222222", 0.25


@dataclass(frozen=True)
class Plane:
    """x goes from the mean of one field's words (-1) to that of the other's (1); y is the direction in which they differ most
    besides. Neither is told anything of the word of two senses."""

    middle: np.ndarray
    across: np.ndarray
    along: np.ndarray

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> Plane:
        """first, second: [n, width] of the words of each field."""
        middle = (first.mean(0) + second.mean(0)) / 2
        half = second.mean(0) - middle
        across = half / (half @ half)
        rest = np.concatenate([first - first.mean(0), second - second.mean(0)])
        rest = rest - np.outer(rest @ across, half)
        _, sizes, ways = np.linalg.svd(rest, full_matrices=False)
        return cls(middle, across, ways[0] / (sizes[0] / len(rest) ** 0.5))

    def __call__(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = vectors - self.middle
        return moved @ self.across, moved @ self.along


def draw(learned: Any, word: str, png: Path, seed: int) -> Path:
    """Word2Vec's vectors on the left; on the right BERT's of the sentences of held-out frames."""
    from datamodules.text.senses import SENSES

    numbers = [i for i, sense in enumerate(SENSES) if sense.word == word]
    fields = [SENSES[i] for i in numbers]
    figure = new_figure(11.5, 5.6)
    left, right = figure.subplots(1, 2)
    _words(left, learned, word, numbers, fields)
    _sentences(right, learned, word, numbers, fields)
    left.set_title(f"Word2Vec: one vector for {word}", fontsize=12)
    right.set_title(f"BERT: a vector for each {word}, in sentences of held-out frames", fontsize=12)
    for axes in (left, right):
        axes.set_xticks([-1, 0, 1], [fields[0].field, "between", fields[1].field])
        axes.set_yticks([])
        axes.axvline(0, color="0.85", linewidth=1, zorder=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.margins(0.12)
    figure.suptitle(f"{word}: {fields[0].name} or {fields[1].name}? (seed {seed})", fontsize=13, fontweight="bold")
    return save(figure, png)


def _words(axes: Any, learned: Any, word: str, numbers: list[int], fields: list[Any]) -> None:
    of_noun = {each.noun: each for each in learned.data.parts["train"]}
    vectors = learned.kinds[STATIC]
    known = [vectors([of_noun[noun] for noun in sense.others]) for sense in fields]
    plane = Plane.of(*known)
    for sense, found, colour in zip(fields, known, COLOURS, strict=True):
        x, y = plane(found)
        axes.scatter(x, y, s=36, color=colour, zorder=2)
        for at, (noun, gloss) in enumerate(sense.others.items()):
            _name(axes, f"{noun} ({gloss})", x[at], y[at], colour)
    x, y = plane(vectors([of_noun[word]]))
    axes.scatter(x, y, s=170, marker="*", color=INK, zorder=3)
    _name(axes, word, x[0], y[0], INK, weight="bold", size=12)


def _sentences(axes: Any, learned: Any, word: str, numbers: list[int], fields: list[Any]) -> None:
    parts, vectors = learned.data.parts, learned.kinds[CONTEXT]
    plane = Plane.of(*(vectors([e for e in parts["train"] if e.sense == i and e.noun != word]) for i in numbers))
    for i, sense, colour in zip(numbers, fields, COLOURS, strict=True):
        others = [each for each in parts["test"] if each.sense == i and each.noun != word]
        own = [each for each in parts["test"] if each.sense == i and each.noun == word]
        axes.scatter(
            *plane(vectors(others)), s=14, color=colour, alpha=PALE, linewidths=0, label=", ".join(sense.others)
        )
        x, y = plane(vectors(own))
        name = f"{word} ({sense.name})"
        axes.scatter(x, y, s=90, marker="*", color=colour, edgecolor=INK, linewidth=0.5, zorder=3, label=name)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2)


def _name(axes: Any, text: str, x: float, y: float, colour: str, **font: Any) -> None:
    font = {"size": 9, **font}
    axes.annotate(text, (x, y), xytext=(6, 4), textcoords="offset points", color=colour, zorder=4, **font)
