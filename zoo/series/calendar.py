"""What the calendar says of a stamp, as numbers in [-0.5, 0.5]: which ones, is decided by the frequency."""

import numpy as np

from zoo.series.frequencies import DAY, SECOND, Frequency

#: Features of a unit, finest first; each is 0 to `most`, and divided by it.
HOURLY = ("hour of day", "day of week", "day of month", "day of year")
BY_UNIT = {
    **dict.fromkeys(("us", "ms", "s"), ("second of minute", "minute of hour", *HOURLY)),
    "min": ("minute of hour", *HOURLY),
    "h": HOURLY,
    "D": HOURLY[1:],
    "B": HOURLY[1:],
    "W": ("day of month", "week of year"),
    "M": ("month of year",),
    "Q": ("month of year",),
    "Y": (),
}
MOST = {
    "second of minute": 59, "minute of hour": 59, "hour of day": 23, "day of week": 6, "day of month": 30, "day of year": 365,
    "week of year": 52, "month of year": 11,
}  # fmt: skip


def names(frequency: Frequency | None) -> tuple[str, ...]:
    """The features that rows of this frequency have; none without stamps, and none of years."""
    return BY_UNIT[frequency.unit] if frequency else ()


def features(stamps: np.ndarray, frequency: Frequency) -> np.ndarray:
    """float32 [T, F] of int64 stamps [T]: each feature counted from 0, divided by the most it can be, minus a half.

    Source: those of Informer's reference code and of GluonTS (hours of days, days of weeks, months and years for hourly rows).
    """
    wanted = names(frequency)
    made = np.empty((len(stamps), len(wanted)), np.float32)
    for column, name in enumerate(wanted):
        made[:, column] = _counted(name, stamps) / MOST[name] - 0.5
    return made


def _counted(name: str, stamps: np.ndarray) -> np.ndarray:
    if name in ("second of minute", "minute of hour"):
        return stamps // (SECOND if name.startswith("second") else 60 * SECOND) % 60
    if name == "hour of day":
        return stamps // (3600 * SECOND) % 24
    days = stamps // DAY
    if name == "day of week":
        return (days + 3) % 7  # the first of January 1970 was a Thursday
    dates = days.astype("datetime64[D]")
    year = dates.astype("datetime64[Y]")
    if name == "day of month":
        return (dates - dates.astype("datetime64[M]")).astype(np.int64)
    if name == "month of year":
        return (dates.astype("datetime64[M]") - year).astype(np.int64)
    if name == "week of year":  # ISO 8601: the week of its Thursday
        dates = dates + 3 - (days + 3) % 7
        return (dates - dates.astype("datetime64[Y]")).astype(np.int64) // 7
    return (dates - year).astype(np.int64)
