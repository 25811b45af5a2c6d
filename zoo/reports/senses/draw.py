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

    senses = {i: sense for i, sense in enumerate(SENSES) if sense.word == word}
    fields = list(senses.values())
    figure = new_figure(11.5, 6)
    left, right = figure.subplots(1, 2)
    _words(left, learned, word, fields)
    _sentences(right, learned, word, senses)
    left.set_title(f"Word2Vec: one vector for {word}", fontsize=12)
    right.set_title(f"BERT: one for each {word} in a sentence", fontsize=12)
    for axes in (left, right):
        axes.set_xticks([-1, 0, 1], [fields[0].field, "between", fields[1].field], fontsize=10)
        axes.set_yticks([])
        axes.axvline(0, color="0.85", linewidth=1, zorder=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.margins(0.12)
    left.set_xlim(-1.35, 1.85)  # names stand on the right of their points
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    title = f"{word}: {fields[0].name} or {fields[1].name}? Sentences of held-out frames, seed {seed}"
    figure.suptitle(title, fontsize=13, fontweight="bold")
    return save(figure, png)


def _words(axes: Any, learned: Any, word: str, fields: list[Any]) -> None:
    of_noun = {each.noun: each for each in learned.data.parts["train"]}
    vectors = learned.kinds[STATIC]
    known = [vectors([of_noun[noun] for noun in sense.others]) for sense in fields]
    plane = Plane.of(*known)
    at = [plane(found) for found in known]
    least = 0.05 * np.ptp(np.concatenate([y for _, y in at]))  # between two names
    for sense, (x, y), colour in zip(fields, at, COLOURS, strict=True):
        axes.scatter(x, y, s=36, color=colour, zorder=2)
        names = [f"{noun} ({gloss})" for noun, gloss in sense.others.items()]
        for i, height in zip(np.argsort(y), apart(np.sort(y), least), strict=True):
            axes.text(x[i] + 0.06, height, names[i], color=colour, fontsize=9.5, va="center")
    x, y = plane(vectors([of_noun[word]]))
    axes.scatter(x, y, s=190, marker="*", color=INK, zorder=3)
    axes.text(x[0] + 0.08, y[0], word, color=INK, fontsize=13, fontweight="bold", va="center", zorder=4)


def _sentences(axes: Any, learned: Any, word: str, senses: dict[int, Any]) -> None:
    parts, vectors = learned.data.parts, learned.kinds[CONTEXT]
    plane = Plane.of(*(vectors([e for e in parts["train"] if e.sense == i and e.noun != word]) for i in senses))
    for (i, sense), colour in zip(senses.items(), COLOURS, strict=True):
        others = [each for each in parts["test"] if each.sense == i and each.noun != word]
        own = [each for each in parts["test"] if each.sense == i and each.noun == word]
        name = f"{word} ({sense.name}): {min((each.text for each in own), key=len)}"
        axes.scatter(
            *plane(vectors(others)), s=16, color=colour, alpha=PALE, linewidths=0, label=", ".join(sense.others)
        )
        style = {"marker": "*", "edgecolor": INK, "linewidth": 0.5, "zorder": 3}
        axes.scatter(*plane(vectors(own)), s=95, color=colour, label=name, **style)


def apart(heights: np.ndarray, least: float) -> np.ndarray:
    """Ascending heights, moved up until none is nearer than `least` to the one below."""
    found = heights.copy()
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] + least)
    return found
