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


#: between two notebooks: names, the environment and settings of others are those of a new kernel
AFRESH = """
import os, warnings
from matplotlib import pyplot, rcdefaults
kept = get_ipython().__dict__.setdefault("begun_with", (dict(os.environ), warnings.filters[:]))
os.environ.clear(), os.environ.update(kept[0])
warnings.filters[:] = kept[1]
pyplot.close("all")
rcdefaults()
%matplotlib inline
%reset -f
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """One kernel for all notebooks, as what each would do first is to import the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_NOTEBOOK", "small")
        patch.setenv("ZOO_DATA", os.environ.get("ZOO_DATA", str(ROOT.parent / "shared" / "data")))
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))  # a notebook takes what needs no data at hand
        where = {"metadata": {"path": ROOT / "notebooks"}}
        made = NotebookClient(nbformat.v4.new_notebook(), timeout=300, kernel_name="python3", resources=where)
        made.execute(cleanup_kc=False)
    yield made
    made._cleanup_kernel()


@pytest.mark.filterwarnings("ignore")  # jupyter's own machinery, outside the code under test
@each
def test_runs(path, client):
    client.nb = notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(AFRESH))
    client.execute(cleanup_kc=False)
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
