"""E8: what is wrong with a table is one sentence that names the line of the file, the stamp and the column."""

import gzip

import pytest

from datamodules.series import Csv
from tests.datamodules.series.tables import Frame, hourly
from zoo.errors import ZooError
from zoo.series import from_frame

HEAD = "date,station,a,b,u"


def rows(count=40, station="x", first=0):
    """Lines of a good table, from line 2 on: an hour a row."""
    return [
        f"2020-01-{1 + at // 24:02} {at % 24:02}:00,{station},{at % 7},{at * 0.5},{at % 3}"
        for at in range(first, first + count)
    ]


def loaded(path, lines, **settings):
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    data = Csv(**{"path": str(path), "time": "date", "targets": ["a", "b"], "lookback": 6, "horizon": 2} | settings)
    data.setup()
    return data


def changed(line, old, new):
    """Good lines, one of them changed; lines count from 1, the names' included."""
    lines = rows()
    assert old in lines[line - 2]
    lines[line - 2] = lines[line - 2].replace(old, new)
    return lines


def without(*gone):
    return [line for at, line in enumerate(rows(), 2) if at not in gone]


#: what is wrong: the table's lines, settings, and what the sentence says
BAD = {
    "text": (changed(9, ",0,3.5,", ",zero,3.5,"), {}, ["line 9 (2020-01-01 07:00)", "column 'a'", "'zero'"]),
    "true": (changed(9, ",0,3.5,", ",True,3.5,"), {}, ["line 9 (2020-01-01 07:00)", "column 'a'", "'True'"]),
    "infinity": (changed(11, ",4.5,", ",inf,"), {}, ["line 11 (2020-01-01 09:00)", "column 'b'", "inf"]),
    "too large a number": (changed(11, ",4.5,", ",1e999,"), {}, ["line 11", "column 'b'", "inf"]),
    "an empty cell": (changed(11, ",4.5,", ",,"), {}, ["line 11 (2020-01-01 09:00)", "column 'b'", "data.gaps=mask"]),
    "NA": (changed(11, ",4.5,", ",NA,"), {}, ["line 11 (2020-01-01 09:00)", "column 'b' is empty"]),
    "an empty covariate": (changed(9, ",3.5,1", ",3.5,"), {"future": ["u"]}, ["line 9", "column 'u'"]),
    "a gap": (without(10, 11, 20), {}, ["line 10 (2020-01-01 10:00)", "2 steps of h", "3 in the whole", "data.gaps=mask"]),
    "a doubled stamp": (changed(12, "10:00", "09:00"), {}, ["line 12 (2020-01-01 09:00)", "is there twice"]),
    "not in order": (changed(12, "2020-01-01 10", "2020-01-01 02"), {}, ["line 12 (2020-01-01 02:00)", "before", "09:00"]),
    "between steps": (changed(12, "10:00", "10:07"), {}, ["line 12 (2020-01-01 10:07)", "steps of h"]),
    "an unreadable stamp": (changed(12, "2020-01-01 10:00", "yesterday"), {}, ["line 12", "'date'", "'yesterday'", "01-31"]),
    "no such day": (changed(12, "2020-01-01", "2020-02-30"), {}, ["line 12", "'2020-02-30 10:00'"]),
    "an empty stamp": (changed(12, "2020-01-01 10:00", ""), {}, ["line 12", "'date' is empty"]),
    "a wrong year": (changed(41, "2020-", "2920-"), {"gaps": "mask"}, ["line 41 (2920-01-02 15:00)", "would be empty"]),
    "an empty id": (changed(12, ",x,", ",,"), {"id": "station"}, ["line 12", "'station' is empty"]),
    "an id that is no text": (changed(12, ",x,", ",\x1b[2J,"), {"id": "station"}, ["line 12", "'station'", "no name"]),
    "values without a scale": (changed(3, ",0.5,", ",1e300,"), {}, ["column 'b'", "1e+300", "too large"]),
    "a static that changes": (changed(12, ",x,", ",y,"), {"static": ["station"]}, ["line 12 (2020-01-01 10:00)", "'y'", "'x'"]),
    "no such target": (rows(), {"targets": ["aa"]}, ["no column 'aa' (data.targets)", "did you mean 'a'"]),
    "no such time": (rows(), {"time": "day"}, ["no column 'day' (data.time)", "date"]),
    "two roles": (rows(), {"past": ["a"]}, ["'a'", "data.targets and data.past"]),
    "twice": (rows(), {"targets": ["a", "a"]}, ["'a'", "twice in data.targets"]),
    "no names": (rows(), {"targets": [1]}, ["data.targets=[1]", "not the name of a column"]),
    "too many cells": (changed(12, ",x,", ",x,1,2,"), {}, ["not a table", "12"]),
    "too few rows": (rows(9), {}, ["the training part", "needs 8 rows", "has 6"]),
    "too few to test": (rows(40), {"split": [0.9, 0.08, 0.02]}, ["the test part", "needs 2 rows (data.horizon=2)", "has 0"]),
    "too few rows of a split": (rows(40), {"split": [30, 10, 10]}, ["data.split=[30, 10, 10]", "50 rows", "40"]),
    "no split": (rows(40), {"split": [0.5, 0.5]}, ["data.split=[0.5, 0.5]"]),
    "negative split": (rows(40), {"split": [50, -5, 5]}, ["data.split=[50, -5, 5]"]),
    "no training rows": (rows(40), {"split": [0, 20, 20]}, ["data.split=[0, 20, 20]", "the first above 0"]),
    "a frequency": (rows(), {"freq": "fortnight"}, ["data.freq=fortnight", "unknown frequency", "15min"]),
    "another frequency": (rows(), {"freq": "15min"}, ["3 steps of 15min are missing"]),
    "too coarse a frequency": (rows(), {"freq": "2h"}, ["line 3 (2020-01-01 01:00)", "steps of 2h"]),
    "freq without time": (rows(), {"time": None, "freq": "h"}, ["data.freq=h", "data.time=date"]),
    "horizon 0": (rows(), {"horizon": 0}, ["data.horizon=0", "1 or more"]),
    "lookback 0": (rows(), {"lookback": 0}, ["data.lookback=0"]),
    "a stride of 0": (rows(), {"stride": 0}, ["data.stride=0"]),
    "an eval stride of 1.5": (rows(), {"eval_stride": 1.5}, ["data.eval_stride=1.5"]),
    "season 0": (rows(), {"season": 0}, ["data.season=0"]),
    "gaps": (rows(), {"gaps": "fill"}, ["data.gaps=fill", "mask", "refuse"]),
    "no rows": ([], {}, ["no rows"]),
    "no numbers": (rows(), {"targets": None, "past": ["a", "b", "u"]}, ["no column of numbers"]),
    "nothing observed in training": (
        [",".join([*line.split(",")[:3], "" if at < 35 else "1", "0"]) for at, line in enumerate(rows())],
        {"gaps": "mask"},
        ["column 'b' has no value in the training rows"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_sentence(tmp_path, name):
    lines, settings, says = BAD[name]
    with pytest.raises(ZooError) as error:
        loaded(tmp_path / "my.csv", lines, **settings)
    said = str(error.value)
    assert not [word for word in says if word not in said], said
    assert "\n" not in said and len(said) < 500 and said.endswith((".", ")", "]", "'")), said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"1,2,3\n4,5,6\n", "begins with numbers"),
        (b"date,a,a\n2020-01-01,1,2\n", "two columns 'a'"),
        (b"date,a\n2020-01-01,\xff\n", "no UTF-8"),
        (b"date,a\x1b[2J\n2020-01-01,1\n", "is no name"),
        (b"date;x\n", "no rows"),
        (b'date,a\n2020-01-01,"1\n', "not a table"),
        (b"\0" * 200_000, "not a table|is no name"),  # by csv's own limit of a field, which other packages raise
        (b",".join(b"c%d" % i for i in range(20_001)) + b"\n", "more than 20,000 columns"),
        (b"a" * (1 << 20) + b"\n1\n", "more than 20,000 columns or 1,048,576 letters"),
    ],
)
def test_what_is_no_table(tmp_path, content, says):
    (tmp_path / "my.csv").write_bytes(content)
    with pytest.raises(ZooError, match=says) as error:
        Csv(path=str(tmp_path / "my.csv"), time="date").setup()
    assert "my.csv" in str(error.value) and "\n" not in str(error.value) and "\x1b" not in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(ZooError, match="no such file"):
        Csv(path=str(tmp_path / "my.csv")).setup()
    with pytest.raises(ZooError, match="is a folder; name a"):
        Csv(path=str(tmp_path)).setup()
    with pytest.raises(ZooError, match=r"data\.path="):
        Csv().setup()
    (tmp_path / "my.csv.gz").write_bytes(b"not compressed")
    with pytest.raises(ZooError, match="cannot be read"):
        Csv(path=str(tmp_path / "my.csv.gz")).setup()


def test_lines_are_those_of_the_file(tmp_path):
    """Empty lines and cells of several lines count as an editor counts them."""
    lines = changed(12, ",5.0,", ",five,")
    lines.insert(3, "")
    lines[5] = lines[5].replace(",x,", ',"x\nof two lines",')
    with pytest.raises(ZooError, match=r"line 14 \(2020-01-01 10:00\): column 'b' holds 'five'"):
        loaded(tmp_path / "my.csv", lines)


def test_a_row_of_a_later_chunk(tmp_path, monkeypatch):
    from zoo.series import reading

    monkeypatch.setattr(reading, "CHUNK", 7)
    with pytest.raises(ZooError, match=r"line 33 \(2020-01-02 07:00\): column 'a' holds 'x'"):
        loaded(tmp_path / "my.csv", changed(33, ",x,3,", ",x,x,"))
    assert len(loaded(tmp_path / "my.csv", rows()).windows("train")) == 21


def test_long_tables_name_the_series(tmp_path):
    lines = [line for pair in zip(rows(), rows(station="y"), strict=True) for line in pair]
    del lines[21]  # line 23: y at 10:00
    with pytest.raises(ZooError, match=r"line 24 \(2020-01-01 11:00\), station=y: 1 steps of h are missing"):
        loaded(tmp_path / "my.csv", lines, id="station")


def test_other_forms_of_the_same_table(tmp_path):
    """Compressed, separated by semicolons or tabs, with a byte order mark: the same windows."""
    want = loaded(tmp_path / "my.csv", rows()).source
    text = "\n".join([HEAD, *rows()])
    forms = {
        "semicolons.csv": text.replace(",", ";").encode(),
        "tabs.tsv": text.replace(",", "\t").encode(),
        "mark.csv": b"\xef\xbb\xbf" + text.encode(),
        "zone.csv": text.replace(":00,", ":00Z,").encode(),
        "windows.csv": text.replace("\n", "\r\n").encode(),
        "european.csv": text.replace("2020-01-01", "30/06/2020").replace("2020-01-02", "01/07/2020").encode(),
        "american.csv": text.replace("2020-01-01", "1/1/2020").replace("2020-01-02", "1/2/2020").encode(),
        "packed.csv.gz": gzip.compress(text.encode()),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        data = Csv(path=str(tmp_path / name), time="date", targets=["a", "b"], lookback=6, horizon=2)
        data.setup()
        arrays, european = data.source.arrays, name == "european.csv"
        assert arrays.values.equal(want.arrays.values), name
        assert arrays.time.equal(want.arrays.time) != european, name
        assert str(data.windows("train").stamp(24)).startswith("2020-07-01T00" if european else "2020-01-02T00"), name


@pytest.mark.parametrize("block", [b"0" * (1 << 20), b"\n" * (1 << 20), b"2020-01-01,1\n" * 80_000])
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path, block):
    with gzip.open(tmp_path / "my.csv.gz", "wb") as file:
        file.write(b"date,a\n")
        for _ in range(70):
            file.write(block)
    with pytest.raises(ZooError, match=r"my\.csv\.gz unpacks to more than 100 times its size"):
        Csv(path=str(tmp_path / "my.csv.gz"), time="date").setup()


def test_a_value_beyond_the_scale_of_a_run_is_refused():
    source = Frame.of(hourly(150, 1), lookback=16, horizon=4, split=[0.6, 0.2, 0.2], targets=["a"])
    frame = hourly(60, 1)
    frame.loc[3, "a"] = 1e300
    with pytest.raises(ZooError, match="column 'a' has a value too large to be scaled"):
        source.spec.preprocess.encode(from_frame(frame, source.spec.preprocess.roles))
