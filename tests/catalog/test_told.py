"""`list pretrained` and `info NAME`: what a card says, on the terminal and on a page, without torch."""

import subprocess
import sys

import pytest

import zoo
from tests.catalog.shelf import model_folder, shelf
from zoo.catalog import page
from zoo.cli import main


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return shelf(tmp_path_factory.mktemp("told") / "zoo")


@pytest.fixture(autouse=True)
def told(mine, monkeypatch):
    monkeypatch.setenv("ZOO_INDEX", str(mine))


@pytest.fixture
def say(capsys):
    def call(*words: str) -> tuple[int, str]:
        code = main(list(words))
        found = capsys.readouterr()
        return code, found.out + found.err

    return call


def test_trained_models_are_listed(say):
    code, out = say("list", "pretrained", "vit.m*")
    (line,) = (line for line in out.splitlines() if line.lstrip().startswith("vit.mine"))
    assert code == 0
    for part in ("test/accuracy 0.9875", "digits", "MIT", "kB"):
        assert part in line


@pytest.mark.parametrize("words", [
    ("--task", "image_classification"), ("--modality", "image"), ("--licence", "MIT"), ("--max-parameters", "100000"),
])  # fmt: skip
def test_they_are_chosen_by_what_the_card_says(say, words):
    assert "vit.mine" in say("list", "pretrained", *words, "vit.mine")[1]


@pytest.mark.parametrize(("words", "sentence"), [
    (("vit.mien",), "did you mean 'vit.mine'?"),
    (("vit.mine", "--licence", "MIT2"), "No trained model has licence=MIT2; did you mean 'MIT'?"),
    (("vit.mine", "--max-parameters", "3"), "No trained model of 'vit.mine' has max_parameters=3"),
    (("vit.mine", "--max-parameters", "few"), "invalid int value: 'few'"),
])  # fmt: skip
def test_nothing_that_fits_is_an_error(say, words, sentence):
    code, out = say("list", "pretrained", *words)
    assert code == 2 and sentence in out


def test_choices_are_for_trained_models(say):
    code, out = say("list", "models", "--licence", "MIT")
    assert code == 2 and "--licence is for trained models: python -m zoo list pretrained --licence" in out


def test_a_card_is_told(say):
    code, out = say("info", "vit.mine")
    assert code == 0
    for part in (
        "image_classification on digits", "0.9875 (360 samples, more is better)", "mean of 2 seeds", "0.98 ± 0.004",
        "softmax regression", "a paper", "UCI", "CC-BY-4.0", "zoo.models.vit.ViT", "MIT", "seed 0, before any was tested",
        "To be read by tests.", "Digits of 8 x 8 pixels alone.", 'zoo.load("vit.mine")', "python -m zoo check vit.mine", "12 s",
    ):  # fmt: skip
        assert part in out, part


def test_info_of_a_folder_says_whether_it_is_verified(say, mine, tmp_path):
    out = say("info", str(mine / "vit.mine"))[1]
    assert "0.9875" in out and "img_size" in out
    folder = model_folder(tmp_path / "model")
    (folder / "card.json").unlink()
    code, out = say("info", str(folder))
    assert code == 0 and "its files are not verified" in out and "img_size" in out


def test_info_of_a_name_that_is_none(say):
    code, out = say("info", "vit.mien")
    assert code == 2 and "did you mean 'vit.mine'?" in out
    code, out = say("info", "vit.mine", "model.depth=3")
    assert code == 2 and "is trained already" in out


def test_a_zoo_that_is_not_there_is_told(say, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path))
    code, out = say("list", "pretrained")
    assert code == 2 and "there is no index.json in such a folder; correct or unset it" in out


@pytest.mark.parametrize("words", [("list", "pretrained"), ("info", "vit.mine")])
def test_no_torch_is_imported(mine, words):
    heavy = "sys.modules.keys() & {'torch', 'hydra', 'timm'}"
    code = f"import sys; from zoo.cli import main; main({list(words)}); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "vit.mine" in done.stdout and done.stdout.splitlines()[-1] == "set()"


def test_a_page_is_written_from_the_cards(say, tmp_path):
    path = tmp_path / "zoo.md"
    path.write_text(f"# Mine\n\n{page.BEGIN}\n\nold\n{page.END}\n\nThe end.\n")
    for _ in range(2):
        code, out = say("list", "pretrained", "vit.mine", "--markdown", str(path))
        assert code == 0 and "1 models" in out
        text = path.read_text()
        assert text.startswith("# Mine\n") and text.endswith("The end.\n") and "old" not in text
    for part in ("| `vit.mine` | test/accuracy **0.9875** | 0.98 ± 0.004 (2) | softmax regression: 0.94 | 0.99 |",
                 "### `vit.mine`", "- Data: digits, UCI, CC-BY-4.0", "- Made by: `python train.py`"):  # fmt: skip
        assert part in text
    assert say("list", "pretrained", "vit.mine", "--markdown", str(tmp_path / "new.md"))[0] == 0
    path.write_text("mine")
    code, out = say("list", "pretrained", "vit.mine", "--markdown", str(path))
    assert code == 2 and "name another file" in out and path.read_text() == "mine"


def test_info_is_a_plain_dict(mine):
    assert type(zoo.info("vit.mine")) is dict and zoo.info("vit.mine") == zoo.info(str(mine / "vit.mine"))
    with pytest.raises(zoo.ZooError, match="There is no 'nowhere'"):
        zoo.info("nowhere")
