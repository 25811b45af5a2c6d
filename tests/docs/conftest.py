"""A folder in which the pages' snippets and commands may run: with a run, an image and folders of their names."""

import shutil

import pytest
from PIL import Image

from tests.docs.pages import ROOT


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tests" / "old" / "vit", tmp_path / "runs" / "my-run")
    Image.new("L", (8, 8)).save(tmp_path / "digit.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
