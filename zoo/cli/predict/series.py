"""What follows the last observed row of a table: forecasts in the data's units, and where the model looked.

The CSV has the columns that the run was trained on; columns known beforehand stand in further rows, with empty targets.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.console import console, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor

WHAT, OPTIONS = "a table", ()
PREFIX = "forecast"  # of the files that are written
ROWS = 24  # of a series that the terminal shows; the file has all
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TOLD = 4  # series that the terminal shows
BATCH = 256
DRAWN = 4  # rows of a figure: channels, series by series


class Said(NamedTuple):
    """What a model forecasts of one series, in the data's units.

    series: its name, None of a table of one. stamps: of the H steps. history: [L, C], NaN where nothing was observed. mean:
    [H, C]. quantiles: [H, C, LEVELS] or None.
    """

    series: str | None
    stamps: list[str]
    history: Tensor
    mean: Tensor
    quantiles: Tensor | None


def options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def name(source: str) -> tuple[str, ...]:
    """The file and its folders."""
    return Path(source).with_suffix("").parts


def check(model: Any, source: str, run: str) -> None:
    """Raises: ZooError for what is no table, or not there, and for a model that was never told what its columns are."""
    if not source.lower().endswith((".csv", ".tsv", ".txt", ".csv.gz")):
        raise ZooError(f"{type(model).__name__} forecasts tables, and {source} is none; give a .csv file.")
    if not Path(source).is_file():
        raise ZooError(f"{source} does not exist; give a .csv with the columns that the run was trained on.")
    if not getattr(model, "forecasts", False):
        raise ZooError(
            f"{run} holds a {type(model).__name__} that fills in what was hidden and forecasts nothing; go on from it: "
            "python train.py init=<run> finetune=full."
        )
    if model.preprocess is None:
        raise ZooError(
            f"{run} does not say which columns it reads, nor their mean and deviation: its model was never trained on a table."
        )


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> None:
    """Print a table a series, write all as CSV, draw the first."""
    from zoo.series import read_csv

    if options.top is not None:
        raise ZooError(f"--top {options.top} is for classes and tokens, and a forecast has neither; leave it out.")
    names = tuple(model.preprocess.targets)
    encoded = model.preprocess.encode(read_csv(source, model.preprocess.roles))
    said = answers(model, encoded, options.run)
    for each in said[:TOLD]:
        _tell(each, names)
    if len(said) > TOLD:
        console().print(f"and {len(said) - TOLD:,} more series in the file", markup=False)
    file = _write(said, names, png.with_suffix(".csv"))
    _draw(model, encoded, said, names, png)
    print(file.absolute())
    print(png.absolute())


def answers(model: Any, encoded: Any, run: str) -> list[Said]:
    """What a model says of each series (`zoo.series.preprocess.Encoded`)."""
    from zoo.cli._model import check_answer

    found, stamps = list[Said](), stamps_of(encoded, model.horizon)
    for first in range(0, len(encoded.ids), BATCH):
        part = slice(first, first + BATCH)
        batch = {key: value[part] for key, value in encoded.inputs.items()}
        for said in forecasts(model, batch, encoded.ids[part], stamps[part]):
            check_answer(said.mean, model, run)
            found.append(said)
    return found


def forecasts(
    model: Any, batch: Mapping[str, Tensor], ids: Sequence[str | None], stamps: Sequence[list[str]]
) -> Iterator[Said]:
    """What a model says of a batch of windows, series by series."""
    from zoo.inspect.series.looks import forecast_of

    decode, forecast = model.preprocess.decode, forecast_of(model, batch)
    quantiles = model.intervals(forecast, LEVELS)
    histories = decode(batch["past_values"]).where(batch["past_observed_mask"], float("nan"))
    bands = None if quantiles is None else decode(quantiles.movedim(-1, 1)).movedim(1, -1)
    for i, (history, mean) in enumerate(zip(histories, decode(forecast.mean), strict=True)):
        yield Said(ids[i], stamps[i], history, mean, None if bands is None else bands[i])


def stamps_of(encoded: Any, horizon: int) -> list[list[str]]:
    """Of each series the stamps of the steps that are forecast; without a clock the numbers of the rows, from 1."""

    if encoded.stamps is not None:
        stamps = encoded.stamps.astype("datetime64[us]")
        unit = next((u for u in ("D", "m", "s") if (stamps.astype(f"datetime64[{u}]") == stamps).all()), "us")
        return [
            [text.replace("T", " ") for text in row]
            for row in stamps.astype(f"datetime64[{unit}]").astype(str).tolist()
        ]
    return [[f"row {row + step + 1}" for step in range(horizon)] for row in encoded.rows.tolist()]


def rows_of(said: Said) -> Iterator[list[float]]:
    """A row a step: of each column the mean, then its quantiles."""
    for step in range(len(said.mean)):
        row = list[float]()
        for c in range(said.mean.shape[1]):
            row.append(float(said.mean[step, c]))
            if said.quantiles is not None:
                row += said.quantiles[step, c].tolist()
        yield row


def columns(names: Sequence[str], quantiles: bool) -> list[str]:
    """The names of `rows_of`: temp, temp_q0.1, temp_q0.2, ..."""
    own = ["", *(f"_q{level:g}" for level in LEVELS)] if quantiles else [""]
    return [f"{name}{end}" for name in names for end in own]


def _tell(said: Said, names: Sequence[str]) -> None:
    title = "forecast, in the data's units" + (", .1 ... .9" if said.quantiles is not None else "")
    lines = []
    for step, stamp in enumerate(said.stamps[:ROWS]):
        cells = [f"{value:.4g}" for value in said.mean[step].tolist()]
        if said.quantiles is not None:
            ends = said.quantiles[step][:, [0, -1]].tolist()
            cells = [f"{cell}  {low:.4g} ... {high:.4g}" for cell, (low, high) in zip(cells, ends, strict=True)]
        lines.append((stamp, *cells))
    table(lines, f"{said.series}: {title}" if said.series is not None else title, ("", *names))
    if len(said.stamps) > ROWS:
        console().print(f"  and {len(said.stamps) - ROWS} more steps in the file", markup=False)


def _write(said: Sequence[Said], names: Sequence[str], file: Path) -> Path:
    """All steps of all series as CSV, numbers as they are."""
    from zoo.files import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = said[0].series is not None
    writer.writerow([*["series"] * several, "stamp", *columns(names, said[0].quantiles is not None)])
    for each in said:
        for stamp, values in zip(each.stamps, rows_of(each), strict=True):
            writer.writerow([each.series] * several + [stamp, *(f"{value:.7g}" for value in values)])
    write_text(file, text.getvalue())
    return file


def _draw(model: Any, encoded: Any, said: Sequence[Said], names: Sequence[str], png: Path) -> Path:
    """The first channels, series by series."""
    from zoo.inspect.series.answers import plot_answers
    from zoo.inspect.series.looks import by_kind, read
    from zoo.inspect.series.plots import Window

    rows = []
    for i, each in enumerate(said[: -(-DRAWN // len(names))]):
        _, recorded = read(model, {key: value[i : i + 1] for key, value in encoded.inputs.items()})
        where = f"{each.series}, " if each.series is not None else ""
        low, high = (None, None) if each.quantiles is None else (each.quantiles[..., 0], each.quantiles[..., -1])
        title = f"{where}{each.stamps[0]} to {each.stamps[-1]}"
        window = Window(title, each.history, None, each.mean, low, high)
        maps = by_kind(model, recorded, names)
        rows += [(window, name, c, maps) for c, name in enumerate(names)]
    return plot_answers(rows[:DRAWN], png, len(said) * len(names))
