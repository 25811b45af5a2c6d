"""Tables for the tests of series."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datamodules.series import SeriesData
from zoo.series import Table
from zoo.series.reading import from_frame


def hourly(rows: int, channels: int = 2, seed: int = 0, start: str = "2020-01-01") -> pd.DataFrame:
    """Noise in columns a, b, ... beside stamps an hour apart."""
    values = np.random.default_rng(seed).normal(3, 2, (rows, channels))
    stamps = pd.date_range(start, periods=rows, freq="h")
    return pd.DataFrame({"time": stamps, **{chr(97 + at): values[:, at] for at in range(channels)}})


@dataclass(kw_only=True, eq=False, repr=False)
class Frame(SeriesData):
    """A data frame as a set of series."""

    frame: Any = None
    time: str | None = "time"
    folder: str = "."

    def load(self) -> Table:
        return from_frame(self.frame, self.roles)

    @classmethod
    def of(cls, frame: pd.DataFrame, **settings: Any) -> "Frame":
        """One that is ready."""
        made = cls(frame=frame, **settings)
        made.setup()
        return made
