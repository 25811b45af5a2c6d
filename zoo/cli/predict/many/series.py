"""Many series: tables, each of one series or of several with ids, and all tables in folders.

A table is read whole, as its series may stand in any order of rows; what is forecast is written as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.cli.predict import series as one
from zoo.cli.predict.many import Entry, found
from zoo.cli.predict.many.table import Row, rounded
from zoo.errors import ZooError

BATCH = 256
ENDS = (".csv", ".tsv", ".csv.gz")


def files(source: str) -> list[Path]:
    """Raises: ZooError for what is no table, and no folder with such."""
    if not (these := found(source, ENDS)):
        raise ZooError(f"{source} is not there, or no .csv file or folder of such.")
    return these


def entries(model: Any, file: Path, run: str) -> Iterator[Entry]:
    """The last window of each series; where the table is refused as a whole, of each series by itself."""
    from zoo.series import read_csv

    one.check(model, str(file), run)
    table = read_csv(file, model.preprocess.roles)
    try:
        yield from windows(model, str(file), table)
    except ZooError:
        if len(table.ids) == 1:
            raise
        for series in range(len(table.ids)):
            try:
                yield from windows(model, str(file), table.of(series))
            except ZooError as error:
                yield Entry(str(file), error=str(error))


def windows(model: Any, name: str, table: Any) -> Iterator[Entry]:
    """An entry a series: its window [1, ...], its name and its stamps."""
    encoded = model.preprocess.encode(table)
    for i, (id, stamps) in enumerate(zip(encoded.ids, one.stamps_of(encoded, model.horizon), strict=True)):
        yield Entry(name, ({key: value[i : i + 1] for key, value in encoded.inputs.items()}, id, stamps))


def columns(model: Any, top: int | None) -> list[str]:
    """Series (where the table has several), stamp, and the means and quantiles of each target."""
    if top is not None:
        raise ZooError(f"--top {top} is for classes and tokens, and a forecast has neither; leave it out.")
    series = ["series"] * (model.preprocess.id is not None)
    return [*series, "stamp", *one.columns(model.preprocess.targets, model.head.ready)]


def answers(model: Any, items: Sequence[Any], top: int | None) -> list[list[Row]]:
    """A row a step, in the data's units."""
    import torch

    batch = {key: torch.cat([window[key] for window, _, _ in items]) for key in items[0][0]}
    names, found = columns(model, top), []
    for said in one.forecasts(model, batch, [id for _, id, _ in items], [stamps for _, _, stamps in items]):
        if not said.mean.isfinite().all():
            raise ZooError("the model's forecast is NaN or infinite")
        series = [said.series] * (names[0] == "series")
        rows = zip(said.stamps, one.rows_of(said), strict=True)
        found.append([dict(zip(names, [*series, stamp, *map(rounded, values)], strict=True)) for stamp, values in rows])
    return found
