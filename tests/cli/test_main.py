"""The door itself: verbs are files, help is light, errors are sentences."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import zoo as library
import zoo.cli
from zoo.preprocess import Preprocess

LONG = "a" * 5000


def test_a_verb_is_a_file_or_a_room(zoo):
    here = Path(sys.modules["zoo.cli"].__file__).parent
    found = {path.stem for path in (*here.glob("*.py"), *(path.parent for path in here.glob("*/__init__.py")))}
    files = {name for name in found if name[0] != "_"}
    code, out, _ = zoo("--help")
    assert code == 0
    for verb in files:
        assert f"    {verb} " in out or f"    {verb}\n" in out
        assert zoo(verb, "--help")[0] == 0
    assert files >= {"list", "info", "show", "predict"}


def test_help_does_not_wait_for_torch(root):
    code = "import sys; from zoo.cli import main; main(['--help']); print(sys.modules.keys() & {'torch', 'hydra'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


def test_a_bad_input_ends_the_process_with_2(root):
    done = subprocess.run([sys.executable, "-m", "zoo", "lst"], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr.startswith("error: 'lst' is not a command; did you mean 'list'?") and "Traceback" not in done.stderr
    )


def test_what_argparse_refuses_is_a_sentence_too(refused):
    assert "required" in refused("predict")
    assert "unrecognized arguments: --tpo" in refused("predict", "run", "image", "--tpo", "3")
    assert "'x'" in refused("predict", "run", "image", "--top", "x")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_a_verb_says_its_exit_code(zoo, monkeypatch, returned, code):
    monkeypatch.setattr("zoo.cli.list.run", lambda options: returned)
    assert zoo("list")[0] == code


def test_the_whole_traceback_on_demand(zoo, monkeypatch):
    from zoo.errors import ZooError

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ZooError, match="not a command"):
        zoo("lst")


def test_our_own_mistakes_are_not_dressed_up(zoo, monkeypatch):
    monkeypatch.setattr("zoo.cli.list.run", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        zoo("list")


def test_without_the_conf_folder_it_says_where_it_should_be(refused, monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.__file__", str(tmp_path / "zoo" / "__init__.py"))
    error = refused("list", "data")
    assert str(tmp_path / "conf") in error and "pip install -e ." in error
    assert zoo.cli is not None


@pytest.mark.parametrize(
    "words",
    [
        ("info", LONG),
        ("info", f"gat.{LONG}"),
        ("check", f"gat.{'a' * 300}"),
        ("publish", LONG, "vit.mine", "--to", "z"),
    ],
)
def test_a_path_that_can_be_none_is_a_sentence(refused, words):
    assert "letters, more than a path can have" in refused(*words)


def test_an_error_of_several_lines_is_one_sentence(refused, tmp_path):
    """Its ends of lines were printed as a backslash and an n."""
    attention = {"_target_": "zoo.attention.Attention", "_partial_": True, "kernel": "lsh"}
    sizes = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 3, "dim": 8, "depth": 1, "num_heads": 2}
    model = library.build({"_target_": "zoo.models.vit.ViT", **sizes, "attention": attention})
    model.preprocess = Preprocess(8, 1, (0.3,), (0.4,))
    Image.new("L", (8, 8)).save("i.png")
    said = refused("predict", library.save(model, tmp_path / "model"), "i.png")
    assert "for the automatic choice: sdpa: " in said and "; reference: runs" in said and "\\n" not in said
