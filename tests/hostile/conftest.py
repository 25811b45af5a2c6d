"""The doors through which a file comes in, each as a function of a run folder; and that nothing else happened."""

import contextlib
import io
import resource
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import zoo
from tests.hostile.files import CONFIG, make_run
from zoo.cli import main
from zoo.errors import ZooError
from zoo.pretrained import initialise
from zoo.tasks.image_classification import ImageClassification


def verb(*words):
    """A verb of `python -m zoo`; its sentence is raised again."""

    def call(run: Path) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main([word.format(run=run, here=run.parent) for word in words])
        if code:
            assert code == 2 and said.getvalue().count("\n") == 1 and said.getvalue().startswith("error: ")
            raise ZooError(said.getvalue())

    return call


def without_config_yaml(run: Path) -> None:
    (run / "config.yaml").unlink()
    verb("info", "{run}")(run)


OF_FOLDER = {
    "zoo.load": zoo.load,
    "init=": lambda run: initialise(CONFIG, str(run), {}),
    "create_model(pretrained=)": lambda run: zoo.create_model("vit_mini_patch2_8", pretrained=str(run)),
    "predict": verb("predict", "{run}", "{here}/image.png", "--out", "{here}/out.png"),
    "info of a model folder": without_config_yaml,
}
OF_CHECKPOINT = {
    "zoo.load of a checkpoint": lambda run: zoo.load(run / "checkpoints" / "best.ckpt"),
    "init= of a checkpoint": lambda run: initialise(CONFIG, str(run / "checkpoints" / "best.ckpt"), {}),
    "load_from_checkpoint": lambda run: ImageClassification.load_from_checkpoint(run / "checkpoints" / "best.ckpt"),
}
OF_YAML = {"info": verb("info", "{run}")}
OF_DATA = {"predict test:17": verb("predict", "{run}", "test:17", "--out", "{here}/out.png")}


@pytest.fixture(scope="session")
def good_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    Image.fromarray(torch.zeros(8, 8, dtype=torch.uint8).numpy()).save(folder / "image.png")
    return make_run(folder / "run")


@pytest.fixture
def run(good_run, tmp_path, monkeypatch) -> Path:
    """A copy of a good run to write into, beside an image and a folder that nobody may touch; the working folder holds a module
    that leaves a trace where it is imported."""
    here = tmp_path / "here"
    shutil.copytree(good_run.parent, here)
    (here / "precious").mkdir()
    (here / "precious" / "file").write_text("mine")
    (here / "evil.py").write_text("import pathlib\npathlib.Path(__file__).with_name('trace').touch()\n")
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("SECRET", "told to nobody")
    return here / "run"


@pytest.fixture
def refused(run):
    """Call a door, which must refuse in a sentence, leave every file as it was and take less than 500 MB; the sentence."""

    def look() -> dict[str, bytes]:
        # What Python itself writes beside what it imports, and what a door takes away on purpose, is not looked at.
        found = {str(path): path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}
        return {name: content for name, content in found.items() if not name.endswith("config.yaml")}

    def call(door) -> str:
        before = look()
        with contextlib.suppress(OSError):  # from here on the process's peak is that of the door; Linux alone has this
            Path("/proc/self/clear_refs").write_text("5")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ZooError) as error:
            door(run)
        assert look() == before
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 500_000  # kB
        sentence = str(error.value)
        assert "\n" not in sentence.strip() and "told to nobody" not in sentence and len(sentence) < 2000
        return sentence

    return call
