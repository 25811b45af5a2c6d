"""Every notebook runs from top to bottom, and what is kept of the last run is fit to be read."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook):
    return [out for cell in notebook.cells for out in cell.get("outputs", [])]


def pictures(notebook):
    return sum("image/png" in out.get("data", {}) for out in outputs(notebook))


@pytest.mark.filterwarnings("ignore")  # jupyter's own machinery, outside the code under test
@each
def test_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_NOTEBOOK", "small")
    monkeypatch.setenv("ZOO_DATA", os.environ.get("ZOO_DATA", str(ROOT.parent / "shared" / "data")))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))  # without data at hand, a notebook takes what needs none
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    assert pictures(notebook) >= 4


@each
def test_what_is_kept(path):
    """Pictures, no warnings or errors, nothing of the machine it ran on, and not much of it."""
    notebook = nbformat.read(path, as_version=4)
    assert pictures(notebook) >= 4
    kept = [out for out in outputs(notebook) if out.output_type == "error" or out.get("name") == "stderr"]
    assert not kept
    words = "".join(
        out.get("text", "") + "".join(map(str, (v for k, v in out.get("data", {}).items() if k.startswith("text/"))))
        for out in outputs(notebook)
    )
    assert not [part for part in ("site-packages", "/home/", "/tmp/", "/Users/", str(ROOT)) if part in words]
    assert path.stat().st_size < 1_000_000
