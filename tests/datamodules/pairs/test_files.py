"""data=pairs: files of one's own, split by source; whatever is wrong with them is told."""

import gzip

import pytest

from datamodules.pairs import PairFiles
from datamodules.splits import STAGES
from zoo.errors import ZooError

READ = [f"ein Satz {i % 30}" for i in range(40)]
SAID = [f"a sentence {i}" for i in range(40)]


@pytest.fixture
def made(tmp_path):
    def make(**how):
        files = {key: str(value) for key, value in how.items() if key in ("source", "target", "path")}
        rest = {key: value for key, value in how.items() if key not in files}
        data = PairFiles(cache=str(tmp_path / "cache"), **{"tokenizer": {"kind": "byte"}, **files, **rest})
        data.setup()
        return data

    return make


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(READ) + "\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("\r\n".join(SAID).encode()))
    (tmp_path / "both.tsv").write_text("".join(f"{a}\t{b}\tCC-BY\n" for a, b in zip(READ, SAID, strict=True)))
    return tmp_path


def test_two_files_or_one(made, files):
    two = made(source=files / "a.txt", target=files / "b.txt.gz")
    one, named = made(path=files / "both.tsv"), made(path=f"{files / 'a.txt'},{files / 'b.txt.gz'}")
    at = files / "both.tsv"
    told = made(path=at, source=at, target=at)  # as `check --data` says it
    for data in (two, one, named, told):
        assert data.source.corpus.targets == SAID and data.digest("test") == two.digest("test")
        assert data.train_size + data.val_size + data.test_size == 40 and data.title == "pairs"
    assert not list(files.glob("*.json")) and data.reference is None


def test_no_source_is_in_two_parts(made, files):
    """Pairs of one source come into one part: what was trained on is not tested."""
    data = made(path=files / "both.tsv", split=[0.5, 0.25, 0.25])
    parts = [set(data.sources(stage)) for stage in STAGES]
    assert sum(map(len, parts)) == 30 == len(set().union(*parts)) and 11 < len(parts[0]) < 19
    assert data.digest("test") != made(path=files / "both.tsv", split=[0.5, 0.25, 0.25], split_seed=1).digest("test")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("a\tb\nc\nd\te\nf\n", r"lines 2, 4 have no tab between what is read and what is said"),
        ("a\tb\n\nc\td\n", r"line 2 has no tab"),
        ("a\tb\n \tx\nc\t\n", r"lines 2, 3 have an empty side; remove these pairs"),
        ("a\tb\n", r"data.split=\[0.9, 0.05, 0.05\] makes 3 parts, and there are 1 different sources"),
        ("", r"there are 0 different sources"),
    ],
)
def test_broken_tables(content, match, made, tmp_path):
    (tmp_path / "x.tsv").write_text(content)
    with pytest.raises(ZooError, match=match):
        made(path=tmp_path / "x.tsv")


def test_bad_settings_are_sentences(made, files):
    for how, match in (
        ({}, r"data=pairs needs data.source=<a file of lines> and data.target"),
        ({"source": files / "a.txt"}, r"data=pairs needs data.source"),
        (
            {"source": files / "a.txt", "path": files / "both.tsv"},
            r"data.path=.* is in place of data.source and data.target",
        ),
        ({"source": files / "a.txt", "target": files / "c.txt"}, r"There is no file .*c.txt"),
        ({"path": files / "no.tsv"}, r"There is no file .*no.tsv"),
        ({"path": files}, r"cannot be read"),
        ({"path": files / "both.tsv", "split": [0.5, 0.5]}, r"is not three shares that add up to 1"),
    ):
        with pytest.raises(ZooError, match=match):
            made(**how)


def test_lines_that_are_missing(made, files):
    (files / "b.txt").write_text("x\n" * 39)
    with pytest.raises(ZooError, match=r"a.txt has 40 lines and .*b.txt has 39"):
        made(source=files / "a.txt", target=files / "b.txt")
    (files / "b.txt").write_text("x\n" * 38 + "\nx\n")
    with pytest.raises(ZooError, match=r"a.txt and .*b.txt: line 39 has an empty side"):
        made(source=files / "a.txt", target=files / "b.txt")
