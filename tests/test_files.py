"""Files and folders that are whole or not there."""

import os

import pytest

from zoo.files import replacing, write_text


def test_a_file_is_replaced_at_the_end(tmp_path):
    target = tmp_path / "new" / "file.txt"
    write_text(target, "old")
    with replacing(target) as beside:
        beside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and list(target.parent.iterdir()) == [target]


def test_a_folder_is_made_or_replaced_file_by_file(tmp_path):
    target = tmp_path / "folder"
    for content in ("one", "two"):
        with replacing(target) as beside:
            beside.mkdir()
            (beside / "a").write_text(content)
        (target / "mine").write_text("kept")
        assert (target / "a").read_text() == content
    assert list(tmp_path.iterdir()) == [target] and (target / "mine").read_text() == "kept"


def test_what_tells_of_the_others_goes_first_and_comes_last(tmp_path, monkeypatch):
    """Killed at any step, it tells of no file that is not there."""
    target, seen = tmp_path / "folder", []
    target.mkdir()
    for name in ("a", "card", "z"):
        (target / name).write_text("old")
    replace = os.replace

    def watched(old, new):
        seen.append((old.name, (target / "card").exists()))
        replace(old, new)

    monkeypatch.setattr(os, "replace", watched)
    with replacing(target, last="card") as beside:
        beside.mkdir()
        for name in ("card", "z", "a"):
            (beside / name).write_text("new")
    assert seen[-1] == ("card", False) and not any(there for _, there in seen) and len(seen) == 3


@pytest.mark.parametrize("folder", [True, False])
def test_an_interrupted_block_leaves_nothing(tmp_path, folder):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as beside:
        beside.mkdir() if folder else beside.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
