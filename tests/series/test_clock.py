"""Frequencies, clocks and the calendar, against pandas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import ZooError
from zoo.series import calendar
from zoo.series.frequencies import Clock, Frequency, commonest, parse, shown

#: ours -> pandas'
KINDS = {
    "s": "s", "30s": "30s", "min": "min", "15min": "15min", "h": "h", "6h": "6h", "D": "D", "2D": "2D", "B": "B", "W": "7D",
    "M": "MS", "Q": "QS", "Y": "YS", "3M": "3MS", "ms": "ms",
}  # fmt: skip
ENDS = {"M": "ME", "Q": "QE", "Y": "YE", "2M": "2ME"}


def stamps(start, freq, periods=60):
    return pd.date_range(start, periods=periods, freq=freq).as_unit("us").asi8


@pytest.mark.parametrize(("ours", "theirs"), [*KINDS.items(), *ENDS.items()])
@pytest.mark.parametrize("start", ["2019-12-30 05:00:00", "2020-02-29", "1968-07-01 23:00:00"])
def test_a_clock_counts_as_pandas(ours, theirs, start):
    found = stamps(start, theirs)
    clock = Clock.of(parse(ours), found)
    assert clock.ordinals(found).tolist() == list(range(60))
    np.testing.assert_array_equal(clock.stamps(np.arange(60)), found)
    more = stamps(start, theirs, 90)
    np.testing.assert_array_equal(clock.stamps(np.arange(90)), more)


@pytest.mark.parametrize(("ours", "theirs"), [*KINDS.items(), ("M", "ME"), ("Q", "QE"), ("Y", "YE")])
def test_the_commonest_step_is_the_frequency(ours, theirs):
    found = stamps("2019-01-01 05:00:00", theirs)
    if ours not in ("B", "3M"):  # days, of which some are missing; a quarter
        assert commonest(np.diff(found), found) == parse(ours)
        gone = np.delete(found, [5, 20])
        assert commonest(np.diff(gone), gone) == parse(ours)


@pytest.mark.parametrize(
    ("text", "season"),
    [("h", 24), ("2h", 12), ("7h", 1), ("15min", 96), ("60min", 24), ("min", 1440), ("s", 3600), ("D", 7), ("24h", 7), ("B", 5),
     ("W", 52), ("M", 12), ("Q", 4), ("Y", 1), ("ms", 1), ("H", 24), ("ME", 12)],
)  # fmt: skip
def test_seasons(text, season):
    assert parse(text).season == season and parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize("text", ["", "x", "0h", "-1h", "1.5h", 3, None, "h2", "9999999h", ["h"]])
def test_unknown_frequencies(text):
    with pytest.raises(ZooError, match="unknown frequency"):
        parse(text)


def test_one_stamp_tells_no_frequency():
    with pytest.raises(ZooError, match="less than two stamps"):
        commonest(np.array([], np.int64), np.array([0]))


@settings(max_examples=40, deadline=None)
@given(st.integers(-(10**9), 4 * 10**9))
def test_the_calendar_is_pandas(second):
    """As GluonTS and Informer's code have them; the week of the year by ISO 8601."""
    at = pd.Timestamp(second, unit="s")
    stamp = np.array([second * 10**6])

    def found(unit):
        return dict(
            zip(calendar.names(Frequency(1, unit)), calendar.features(stamp, Frequency(1, unit))[0], strict=True)
        )

    fine = {
        "second of minute": at.second / 59, "minute of hour": at.minute / 59, "hour of day": at.hour / 23,
        "day of week": at.day_of_week / 6, "day of month": (at.day - 1) / 30, "day of year": (at.day_of_year - 1) / 365,
    }  # fmt: skip
    assert found("s") == pytest.approx({name: value - 0.5 for name, value in fine.items()}, abs=1e-6)
    assert found("W")["week of year"] == pytest.approx((at.week - 1) / 52 - 0.5, abs=1e-6)
    assert found("M") == pytest.approx({"month of year": (at.month - 1) / 11 - 0.5}, abs=1e-6) and not found("Y")


def test_features_of_the_published_sets():
    """Hourly: hour, weekday, day of month, day of year, in this order, each within half of 0."""
    made = calendar.features(stamps("2016-07-01", "h", 9000), parse("h"))
    assert made.dtype == np.float32 and made.shape == (9000, 4) and abs(made).max() == 0.5
    assert made[0].tolist() == pytest.approx([-0.5, 4 / 6 - 0.5, -0.5, 182 / 365 - 0.5])


def test_stamps_as_people_write_them():
    assert shown(stamps("2013-01-01 05:00", "h", 1)[0]) == "2013-01-01 05:00"
    assert shown(stamps("2013-01-01", "h", 1)[0]) == "2013-01-01"
    assert shown(stamps("2013-01-01 05:00:07.5", "h", 1)[0]) == "2013-01-01 05:00:07.500000"
