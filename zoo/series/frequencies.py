"""How far apart the rows of a series are: fixed steps, weekdays, months. Stamps are int64, microseconds since 1970."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import ZooError

SECOND = 10**6
DAY = 86_400 * SECOND
#: Microseconds of a unit that is always as long.
FIXED = {"us": 1, "ms": 1000, "s": SECOND, "min": 60 * SECOND, "h": 3600 * SECOND, "D": DAY, "W": 7 * DAY}
#: Months of the others; B are the days from Monday to Friday.
MONTHS = {"M": 1, "Q": 3, "Y": 12}
#: Rows after which a series is usually as before. What is not here has no season that is known.
SEASONS = {"s": 3600, "min": 1440, "h": 24, "D": 7, "B": 5, "W": 52, "M": 12, "Q": 4}
ALIASES = {
    "S": "s", "sec": "s", "T": "min", "t": "min", "H": "h", "d": "D", "b": "B", "w": "W", "m": "M", "MS": "M", "ME": "M",
    "q": "Q", "QS": "Q", "QE": "Q", "y": "Y", "A": "Y", "a": "Y", "YS": "Y", "YE": "Y",
}  # fmt: skip
NAMES = (*FIXED, "B", *MONTHS)


@dataclass(frozen=True)
class Frequency:
    """`number` units from one row to the next: 15 min, 1 h, 1 M. Written as pandas does: "15min", "h", "M"."""

    number: int
    unit: str

    def __str__(self) -> str:
        return f"{self.number if self.number > 1 else ''}{self.unit}"

    @property
    def season(self) -> int:
        """Rows of a season: of hours or minutes a day, of seconds an hour, of days a week, of weeks or months a year."""
        whole = SEASONS.get(self.unit, 1)
        return whole // self.number if whole % self.number == 0 else 1

    @property
    def step(self) -> int | None:
        """Microseconds between rows; None where they are not always as many."""
        return FIXED[self.unit] * self.number if self.unit in FIXED else None


def parse(text: object, option: str = "data.freq") -> Frequency:
    """The frequency that a text means; as many of a unit as make a larger one are that one (60min: h).

    Raises: ZooError for an unknown one.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})?([A-Za-z]+)", text) if isinstance(text, str) else None
    unit = ALIASES.get(found[2], found[2]) if found else None
    if found is None or unit not in NAMES:
        raise ZooError(
            f"{option}={text} is an unknown frequency; give one of {', '.join(NAMES)}, with a number in front of it "
            "where there are several: 15min."
        )
    number = int(found[1] or 1)
    return of_step(number * FIXED[unit]) if unit in FIXED else Frequency(number, unit)


def of_step(step: int) -> Frequency:
    """The frequency of so many microseconds, in the largest unit that there are whole ones of."""
    unit = max((unit for unit in FIXED if step % FIXED[unit] == 0), key=lambda unit: FIXED[unit])
    return Frequency(step // FIXED[unit], unit)


def commonest(steps: np.ndarray, stamps: np.ndarray) -> Frequency:
    """The frequency of the commonest step; of steps as long as a month, a quarter or a year: that.

    Args:
        steps: from a row to the next of its series, in microseconds; those that are not forward are left out.
        stamps: int64.
    """
    if (steps <= 0).any():
        steps = steps[steps > 0]
    if not len(steps):
        raise ZooError("The frequency cannot be told from less than two stamps; give it: data.freq=h.")
    step = int(steps[0])
    if not (steps == step).all():
        values, counts = np.unique(steps, return_counts=True)
        step = int(values[counts.argmax()])
    for unit, least, most in (("M", 28, 31), ("Q", 90, 92), ("Y", 365, 366)):
        if not least * DAY <= step <= most * DAY:
            continue
        days = stamps.astype("datetime64[us]").astype("datetime64[D]")
        within = _day_of_month(days)
        if len(np.unique(within)) == 1 or (days + 1 == _next_month(days)).all():
            return Frequency(1, unit)
    return of_step(step)


@dataclass(frozen=True)
class Clock:
    """Rows numbered by their stamps: `ordinals` of stamps, and `stamps` of ordinals.

    Args:
        frequency: of the rows.
        origin: a stamp that is on the clock.
        day: of months, quarters and years: the day in the month, 31 its last.
    """

    frequency: Frequency
    origin: int
    day: int = 1

    @classmethod
    def of(cls, frequency: Frequency, stamps: np.ndarray) -> "Clock":
        """The clock that shows the first of the stamps; of months: on their last day, if all stamps are."""
        if frequency.unit not in MONTHS:
            return cls(frequency, int(stamps[0]))
        days = stamps.astype("datetime64[us]").astype("datetime64[D]")
        last = bool((days + 1 == _next_month(days)).all())
        return cls(frequency, int(stamps[0]), 31 if last else int(_day_of_month(days).max()))

    def ordinals(self, stamps: np.ndarray) -> np.ndarray:
        """Rows from the origin, int64; `stamps(ordinals)` differs from stamps that are not on the clock."""
        if (step := self.frequency.step) is not None:
            return (stamps - self.origin) // step
        units = self._units(stamps) - self._units(np.array([self.origin]))
        return units // self._number

    def stamps(self, ordinals: np.ndarray) -> np.ndarray:
        """int64 stamps of ordinals."""
        if (step := self.frequency.step) is not None:
            return self.origin + ordinals * step
        within = self.origin % DAY
        units = self._units(np.array([self.origin]))[0] + ordinals * self._number
        if self.frequency.unit == "B":
            days = units // 5 * 7 + units % 5 - 3  # Monday the 29th of December 1969 is day -3
        else:
            months = units.astype("datetime64[M]")
            start = months.astype("datetime64[D]")
            length = ((months + 1).astype("datetime64[D]") - start).astype(np.int64)
            days = start.astype(np.int64) + np.minimum(self.day, length) - 1
        return days * DAY + within

    @property
    def _number(self) -> int:
        return self.frequency.number * MONTHS.get(self.frequency.unit, 1)

    def _units(self, stamps: np.ndarray) -> np.ndarray:
        """Weekdays or months since about 1970."""
        days = stamps // DAY
        if self.frequency.unit == "B":
            return (days + 3) // 7 * 5 + np.minimum((days + 3) % 7, 4)
        return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def shown(stamp: Any) -> str:
    """A stamp as people write it: 2013-01-01 05:00."""
    text = str(np.datetime64(int(stamp), "us")).replace("T", " ")
    for end in (".000000", ":00"):
        text = text.removesuffix(end)
    return text.removesuffix(" 00:00")


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("datetime64[M]")).astype(np.int64) + 1


def _next_month(days: np.ndarray) -> np.ndarray:
    return (days.astype("datetime64[M]") + 1).astype("datetime64[D]")
