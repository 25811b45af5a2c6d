"""Files of lines: what is none is told."""

import gzip

import pytest

from datamodules.pairs.lines import check_filled, read_both, read_lines
from zoo.errors import ZooError


def test_lines(tmp_path):
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    text = "\ufeffeins\r\nzwei\u2028drei\n\nvier"
    plain.write_bytes(text.encode())
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_lines(plain) == read_lines(packed) == ["eins", "zwei\u2028drei", "", "vier"]
    plain.write_bytes(b"")
    assert read_lines(plain) == []


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.gz", b"no gzip", "cannot be read .*copy it again"),
        ("a.gz", gzip.compress(b"a\n" * 1000, mtime=0)[:-20], "cannot be read .*copy it again"),
        ("a.gz", gzip.compress(b"a\n" * 1000, mtime=0)[:20] + b"\xff" * 9, "cannot be read .*copy it again"),
        ("a.txt", b"ab\ncd\nM\xe4nner\n", "is no UTF-8: line 3 has byte 0xe4; save it as UTF-8"),
        ("a.txt", None, "There is no file"),
    ],
)
def test_broken_files(name, content, match, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ZooError, match=match):
        read_lines(tmp_path / name)


def test_different_line_counts_are_both_told(tmp_path):
    (tmp_path / "a").write_text("x\n" * 1200)
    (tmp_path / "b").write_text("y\n" * 1199)
    with pytest.raises(ZooError, match=r"a has 1,200 lines and .*b has 1,199: line n of one"):
        read_both(tmp_path / "a", tmp_path / "b")


def test_empty_lines_are_numbered():
    check_filled([["a", "b"], ["c", "d"]], "x")
    with pytest.raises(ZooError, match="x: line 2 has an empty side; remove"):
        check_filled([["a", "b"], ["c", " "]], "x")
    with pytest.raises(ZooError, match=r"x: lines 1, 2, 3, 4, 5 and 2 more have an empty side"):
        check_filled([[""] * 7, ["a"] * 7], "x")
