"""Series: tables on a clock, calendar features, the preprocessing that a forecaster is saved with.

from zoo.series import read_csv
encoded = model.preprocess.encode(read_csv("my.csv", model.preprocess.roles))    # what follows the last observed row
model.preprocess.decode(model(*model.inputs(encoded.inputs)).mean)               # in the data's units
"""

from typing import Any

from zoo.series.arrays import Arrays
from zoo.series.frequencies import Clock, Frequency, parse
from zoo.series.panel import Panel, panel
from zoo.series.preprocess import Encoded, SeriesPreprocess
from zoo.series.roles import Roles
from zoo.series.scaling import fit, mase_scale
from zoo.series.table import Table

__all__ = [
    "Arrays", "Clock", "Encoded", "Frequency", "Panel", "Roles", "SeriesPreprocess", "Table", "fit", "from_frame",
    "mase_scale", "panel", "parse", "read_csv",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("from_frame", "read_csv"):  # pandas takes half a second
        from zoo.series import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
