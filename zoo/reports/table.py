"""Means and standard deviations over seeds, as a table and as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import Any

KEY = ("variant", "depth")
#: key of a run -> (title of its column, how a mean is written, factor)
SHOWN = {
    "accuracy": ("accuracy %", ".1f", 100),
    "val_accuracy": ("validation %", ".1f", 100),
    "train_accuracy": ("training %", ".1f", 100),
    "mad": ("MAD", ".3f", 1),
    "mad_gap": ("MADGap", ".3f", 1),
    "energy": ("energy", ".3g", 1),
    "mad_of_logits": ("MAD of logits", ".3f", 1),
}


def over_seeds(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a variant and depth, in order of variant, then depth: `seeds` (how many), and (mean, standard deviation) of
    everything else; the deviation of one seed is 0. `dead` is the largest."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(tuple(run[name] for name in KEY), []).append(run)
    names = [name for name, _ in groups]
    rows = []
    for key, group in sorted(groups.items(), key=lambda item: (names.index(item[0][0]), item[0][1])):
        row: dict[str, Any] = {**dict(zip(KEY, key, strict=True)), "seeds": len(group)}
        for name in group[0].keys() - {*KEY, "seed"}:
            values = [run[name] for run in group]
            row[name] = max(values) if name == "dead" else (mean(values), stdev(values) if len(values) > 1 else 0.0)
        rows.append(row)
    return rows


def as_text(row: dict[str, Any], plus: str = " ± ") -> list[str]:
    """The cells of a row: variant, depth, then the columns of SHOWN and the dead nodes."""
    cells = [row["variant"], str(row["depth"])]
    for name, (_, form, factor) in SHOWN.items():
        middle, spread = (factor * value for value in row[name])
        cells.append(f"{middle:{form}}{plus}{spread:{form}}")
    return [*cells, str(row["dead"])]


def header() -> list[str]:
    """The titles of these columns."""
    return ["variant", "depth", *(title for title, _, _ in SHOWN.values()), "dead"]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """On the terminal."""
    from zoo.console import table

    seeds = "/".join(sorted({str(row["seeds"]) for row in rows}))
    table(map(as_text, rows), f"mean ± standard deviation over {seeds} seeds", header())


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """variant, depth, seeds, dead, and two columns for each figure."""
    figures = [name for name in rows[0] if isinstance(rows[0][name], tuple)]
    figures.sort(key=lambda name: (name not in SHOWN, list(SHOWN).index(name) if name in SHOWN else 0, name))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*KEY, "seeds", "dead", *(f"{name}_{part}" for name in figures for part in ("mean", "std"))])
    for row in rows:
        writer.writerow([*(row[name] for name in (*KEY, "seeds", "dead")), *(v for name in figures for v in row[name])])
    return text.getvalue()
