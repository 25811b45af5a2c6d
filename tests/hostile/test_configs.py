"""A7: whatever config.json, config.yaml and summary.json hold, the answer is a sentence that names file and fault."""

import pytest

import zoo
from tests.hostile.conftest import OF_DATA, OF_FOLDER, OF_YAML
from tests.hostile.files import change_config

TEXTS = {
    "a list": ("[]", "holds a list"),
    "null": ("null", "holds a NoneType"),
    "a number": ("3", "holds a int"),
    "nothing": ("", "cannot be read"),
    "deep": ("[" * 200_000 + "]" * 200_000, "nested"),
    "deep in the model": ('{"format": 1, "model": {"a": ' + "[" * 900 + "]" * 900 + "}}", "nested deeper than 50"),
    "NaN": ('{"format": 1, "model": {"depth": NaN}}', "NaN is not a number of JSON"),
    "too large a number": ('{"format": 1, "model": {"depth": 1e999}}', "not a finite number"),
    "too many digits": ('{"format": 1, "model": {"depth": ' + "9" * 5000 + "}}", "cannot be read"),
    "many bits": ('{"format": 1, "model": {"depth": ' + "9" * 100 + "}}", "bits"),
    "large": ('{"format": 1, "model": {}, "x": [' + "[]," * 2_000_000 + "[]]}", "is larger than 4 MB"),
    "many values": ('{"format": 1, "model": {}, "x": [' + "0," * 300_000 + "0]}", "values"),
    "no text": (b"\xff\xfe\x00", "cannot be read"),
    "no format": ('{"model": {}}', "describes no model"),
    "a format that is true": ('{"format": true, "model": {}}', "describes no model"),
    "a model that is a list": ('{"format": 1, "model": []}', "describes no model"),
    "an empty model": ('{"format": 1, "model": {}}', "no _target_"),
}


@pytest.mark.parametrize("door", OF_FOLDER.values(), ids=OF_FOLDER)
def test_a_config_that_is_none(run, refused, door):
    for text, sentence in TEXTS.values():
        (run / "model" / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        (run / "config.yaml").touch()
        said = refused(door)
        assert sentence in said and "config.json" in said


def prepared(**fields):
    return {"preprocess": {"size": 8, "in_chans": 1, "mean": [0.3], "std": [0.4]} | fields}


FACTS = {
    "preprocess": [
        ("text", {"preprocess": "x"}), ("a list", {"preprocess": [1]}), ("empty", {"preprocess": {}}),
        ("unknown", prepared(colour="red")), ("size", prepared(size="8")), ("huge", prepared(size=10**6)),
        ("negative", prepared(size=-1)), ("true", prepared(size=True)), ("crop 0", prepared(crop=0)),
        ("tiny crop", prepared(crop=1e-9)), ("crop", prepared(crop="x")), ("mean", prepared(mean=0.3)),
        ("means", prepared(mean=[0.3, 0.3])), ("no numbers", prepared(mean=["x"])), ("std 0", prepared(std=[0])),
        ("mode", prepared(interpolation="x")), ("mode of another kind", prepared(interpolation=[1])),
        ("channels", prepared(in_chans=3, mean=[0.1] * 3, std=[0.1] * 3)), ("another size", prepared(size=16)),
        ("a flag", prepared(exif_orientation="no")),
    ],
    "class": [
        ("text", {"classes": "abc"}), ("a mapping", {"classes": {"a": 1}}), ("numbers", {"classes": [1] * 10}),
        ("too few", {"classes": ["a"]}), ("nested", {"classes": [["a"]] * 10}),
        ("a terminal's", {"classes": ["\x1b[2Ja"] * 10}),
        ("too long", {"classes": ["a" * 2000] * 10}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", FACTS)
@pytest.mark.parametrize("door", [zoo.load, OF_FOLDER["predict"]], ids=["zoo.load", "predict"])
def test_misshapen_facts(run, refused, kind, door):
    for name, content in FACTS[kind]:
        change_config(run, **(prepared() | {"classes": None} | content))
        said = refused(door)
        assert kind in said and "config.json" in said, (name, said)


@pytest.mark.parametrize(
    "text", ["{", "[1, 2]", "null", "model: *a", "a: &a [1]\nb: [*a, *a]", "[" * 200_000, "a: !!python/name:os.system"]
)
def test_a_config_yaml_that_is_none(run, refused, text):
    (run / "config.yaml").write_text(text)
    for door in (*OF_YAML.values(), *OF_DATA.values()):
        assert "config.yaml" in refused(door)


@pytest.mark.parametrize("text", ["[]", "null", '{"metrics": 3}', '{"metrics": {"a": "b"}}', "{", "[" * 200_000])
def test_a_summary_that_is_none(run, refused, text):
    (run / "summary.json").write_text(text)
    assert "summary.json" in refused(OF_YAML["info"])
