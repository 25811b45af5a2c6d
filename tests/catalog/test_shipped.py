"""What the package ships is what its cards say: each probe by default, each figure on its data with -m slow."""

from pathlib import Path

import pytest

import zoo
from zoo.catalog import FolderZoo
from zoo.training import checking

SHIPPED = Path(zoo.__file__).resolve().parent / "shipped"
NAMES = sorted(FolderZoo(str(SHIPPED)).index()) if SHIPPED.is_dir() else []


@pytest.fixture(autouse=True)
def no_other_zoo(monkeypatch):
    monkeypatch.delenv("ZOO_INDEX", raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_hashes_and_probe(name):
    rows = list(checking.check(name, metric=False))
    assert [row.what for row in rows][:4] == ["index", "files", "weights", "probe, float32"]
    assert not [row for row in rows if row.verdict != checking.EQUAL]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_figure(name, monkeypatch, shared_data):
    monkeypatch.setenv("ZOO_DATA", str(shared_data))
    rows = [row for row in checking.check(name) if row.what not in ("files",) and not row.what.startswith("probe")]
    if skipped := [row.why for row in rows if row.verdict == checking.SKIPPED]:
        pytest.skip(skipped[0])
    assert not [row for row in rows if row.verdict != checking.EQUAL]
