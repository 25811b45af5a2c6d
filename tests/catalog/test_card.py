"""A7: card.json is written with every model folder, read as somebody else's file, and compared with the files beside it."""

import json

import pytest

import zoo
from tests.catalog.shelf import WHOLE, model_folder
from zoo.catalog import card
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("card") / "model", **WHOLE)


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to write into."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_saved_model_says_what_it_is(tmp_path):
    told = card.read(model_folder(tmp_path / "model"))
    assert told["architecture"] == "zoo.models.vit.ViT" and told["modality"] == "image" and told["dtype"] == "float32"
    assert told["parameters"] == sum(p.numel() for p in zoo.load(tmp_path / "model").parameters())
    assert told["files"].keys() == {"config.json", "model.safetensors"} and "torch" in told["versions"]
    assert told["licence"] is None and told["name"] is None and told["metric"] is None


def test_what_a_publication_needs_is_named(saved, tmp_path):
    assert card.missing(card.read(saved)) == []
    lacking = card.missing(card.read(model_folder(tmp_path / "model", data="digits", metric={"value": 0.5})))
    assert {"name", "licence", "data.source", "data.licence", "metric.name", "probe", "limits"} <= set(lacking)
    assert not {"data.name", "metric.value", "parameters", "files", "baseline", "published"} & set(lacking)


def test_what_is_not_plain_is_told_by_its_text_and_what_is_not_finite_as_unknown(tmp_path):
    import numpy

    about = {"metrics": {"a": numpy.float32(0.5), "b": float("nan")}, "note": tmp_path, "seed": numpy.int64(3)}
    told = card.read(model_folder(tmp_path / "model", **about))
    assert told["metrics"] == {"a": 0.5, "b": None} and told["note"] == str(tmp_path) and told["seed"] == 3


def test_the_hub_reads_the_readme(saved):
    from huggingface_hub import ModelCard

    found = ModelCard.load(saved / "README.md").data
    assert (found.license, found.library_name, found.model_name) == ("mit", "attention-zoo", "vit.mine")
    (result,) = found.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("accuracy", 0.9875, "digits")
    assert result.task_type == found.pipeline_tag == "image-classification"


def test_the_readme_says_what_the_card_says(saved):
    text = (saved / "README.md").read_text()
    for part in (
        'zoo.load("vit.mine")', "| test/accuracy | 0.9875 (360 samples, more is better) |",
        "| mean of 2 seeds | 0.98 ± 0.004 |",
        "| baseline: softmax regression | 0.94 |", "| published (a paper) | 0.99 |", "| licence | CC-BY-4.0 |",
        "    python train.py", "To be read by tests.", "Digits of 8 x 8 pixels alone.", "seed 0, before any was tested",
    ):  # fmt: skip
        assert part in text, part


def test_a_model_that_fills_in_is_not_said_to_write(tmp_path):
    from huggingface_hub import ModelCard

    about = {key: WHOLE[key] for key in ("data", "metric")} | {"task": "language_modelling"}
    for name, kind in (("gpt_mini", "text-generation"), ("bert_mini", "fill-mask")):
        model = zoo.create_model(name, vocab_size=16, dim=8, depth=1, num_heads=2)
        found = ModelCard.load(zoo.save(model, tmp_path / name, **about) / "README.md").data
        assert found.pipeline_tag == found.eval_results[0].task_type == kind


def test_a_licence_in_words_and_markup_in_texts_break_nothing(tmp_path):
    from huggingface_hub import ModelCard

    about = {
        "licence": "ask: me\n---\n# first",
        "data": {"name": "a | b\nc: d"},
        "task": "x: [y",
        "metric": {"name": "test/a: b", "value": 1},
    }
    found = ModelCard.load(model_folder(tmp_path / "model", **about) / "README.md").data
    assert (found.license, found.license_name) == ("other", "ask: me\n---\n# first")
    assert found.eval_results[0].dataset_name == "a | b\nc: d"


def test_files_are_as_the_card_says(folder):
    card.verify(folder, card.read(folder))
    assert not (folder / ".card.json").exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a flipped bit": (lambda f: flip(f / "model.safetensors"), r"model.safetensors' has other content than card.json"),
    "a shorter file": (
        lambda f: (f / "model.safetensors").write_bytes(b"x"),
        r"model.safetensors' has 1 bytes, and card.json says [\d,]+; copy it again, or delete card.json if the change is yours",
    ),
    "a missing file": (lambda f: (f / "config.json").unlink(), "config.json' is missing, which card.json lists"),
    "a file that the card does not know": (
        lambda f: (f / "tokenizer.json").write_text("{}"),
        "tokenizer.json' is not among the files of card.json",
    ),
    "a folder in a file's place": (
        lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()),
        "config.json' is missing",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE.values(), ids=DAMAGE)
def test_changed_files_are_named(folder, damage, sentence):
    damage(folder)
    with pytest.raises(ZooError, match=sentence):
        card.verify(folder, card.read(folder))


def test_readme_is_for_people_and_may_be_edited(folder):
    (folder / "README.md").write_text("mine")
    card.verify(folder, card.read(folder))


BROKEN = {
    "a list": ([], "is not a card of a model"),
    "no format": ({"files": {}}, "is not a card of a model"),
    "format true": ({"format": True, "files": {}}, "is not a card of a model"),
    "newer": ({"format": 99, "files": {}}, "has format 99, this version reads up to 1: update attention-zoo"),
    "no files": ({"format": 1}, "files is 'None', not a mapping"),
    "a path": ({"format": 1, "files": {"../config.json": {"bytes": 1, "sha256": "a" * 64}}}, "lists the file '../config.json'"),
    "an absolute path": (
        {"format": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": "a" * 64}}}, "lists the file '/etc/passwd'",
    ),
    "itself": ({"format": 1, "files": {"card.json": {"bytes": 1, "sha256": "a" * 64}}}, "lists the file 'card.json'"),
    "no hash": ({"format": 1, "files": {"config.json": {"bytes": 1}}}, "64 hexadecimal digits"),
    "a negative size": ({"format": 1, "files": {"config.json": {"bytes": -1, "sha256": "a" * 64}}}, "64 hexadecimal digits"),
    "a name that is a path": ({"format": 1, "files": {}, "name": "../x"}, "name='../x' is not <model>.<tag>"),
    "a metric that is a text": ({"format": 1, "files": {}, "metric": "0.9"}, "metric is a str, not a dict"),
    "a value that is true": ({"format": 1, "files": {}, "metric": {"value": True}}, "metric.value is a bool"),
    "another direction": ({"format": 1, "files": {}, "metric": {"direction": "up"}}, "neither max nor min"),
    "a long text": ({"format": 1, "files": {}, "limits": "x" * 200_000}, "200000 letters"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_card_of_somebody_else_is_refused_by_a_sentence(tmp_path, content, sentence):
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match=sentence) as error:
        card.read(tmp_path)
    assert "card.json" in str(error.value)


@pytest.mark.parametrize(
    "text", ["{", '{"format": 1, "a": NaN}', "[" * 10_000, '"' + "x" * 5_000_000 + '"', "\xff\xfe"]
)
def test_a_card_that_is_no_json(tmp_path, text):
    (tmp_path / "card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ZooError, match=r"card\.json"):
        card.read(tmp_path)


def test_no_card_is_none_and_a_link_into_nowhere_is_an_error(tmp_path):
    assert card.read(tmp_path) is None
    (tmp_path / "card.json").symlink_to("nowhere")
    with pytest.raises(ZooError, match="There is no file"):
        card.read(tmp_path)


def test_a_folder_that_is_saved_over_is_verified_with_what_stays(folder):
    """What stays of the older model is in the new card, so that nothing in the folder goes unverified."""
    (folder / "tokenizer.json").write_text("{}")
    model_folder(folder)
    told = card.read(folder)
    assert "tokenizer.json" in told["files"] and told["name"] is None
    card.verify(folder, told)
