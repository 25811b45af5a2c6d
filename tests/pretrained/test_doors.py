"""One loader: every kind of place, at every door, is the same model (issue 11, point 2)."""

import contextlib
import io
import shutil

import pytest
import torch
from PIL import Image

import zoo
from tests.catalog.server import serve
from tests.hostile.files import CONFIG
from tests.pretrained.places import GPT, of_images, of_texts, of_timm
from zoo.cli import main
from zoo.pretrained import initialise, peek, tokenizer_of

FAMILIES = {"images": (of_images, CONFIG), "texts": (of_texts, GPT), "timm": (of_timm, CONFIG)}
PLACES = {
    "images": (
        "run", "model folder", "safetensors", "another safetensors", "checkpoint", "of a compiled run", "of several processes",
        "of both", "name", "https", "https, a file",
    ),
    "texts": ("model folder", "transformers", "transformers, a file", "name", "https", "https, transformers"),
    "timm": ("model folder", "timm", "timm, a file", "timm://@", "https, timm"),
}  # fmt: skip
EVERY = pytest.mark.parametrize("family, kind", [(family, kind) for family in PLACES for kind in PLACES[family]])


class Family:
    """A model in all its places; `folder` is its model folder, which all others are compared with."""

    def __init__(self, name, here):
        place, self.config = FAMILIES[name]
        self.here, self.places = here, place(here)
        self.folder = self.places["model folder"]
        self.model = zoo.load(self.folder)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Family(name, tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture
def place(families, family, kind, tmp_path, monkeypatch):
    """(the family, a place of its as the text that a door takes)."""
    one = families(family)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_INDEX", str(one.here / "zoo") if (one.here / "zoo").is_dir() else "")
    if not kind.startswith("https"):
        yield one, one.places[kind]
        return
    servers = serve(one.here)
    yield one, next(servers).url + one.places[kind]
    next(servers, None)


def same(model, one):
    wanted = one.model.state_dict()
    assert model.state_dict().keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())
    assert (model.preprocess, model.classes, model.targets) == (
        one.model.preprocess, one.model.classes, one.model.targets,
    )  # fmt: skip
    assert getattr(model, "tokenizer", None) == getattr(one.model, "tokenizer", None)
    return True


@EVERY
def test_the_same_model_at_every_door_of_python(place):
    one, source = place
    loaded = zoo.load(source)
    assert same(loaded, one) and not loaded.training
    begun, changes = initialise(one.config, source, {})
    assert same(begun, one) and not changes
    name = "vit_mini_patch2_8" if "image" in one.model.reads else "gpt2"
    assert same(zoo.create_model(name, pretrained=source), one)
    prepared = peek(source)
    if prepared is not None:  # a checkpoint alone does not tell
        assert prepared == peek(one.folder)
    assert tokenizer_of(source) == getattr(one.model, "tokenizer", None)


def said(*words):
    """What a verb prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(list(words)) == 0, err.getvalue()
    return out.getvalue()


@EVERY
def test_the_same_answer_of_every_verb(place, family, tmp_path):
    one, source = place
    if family == "texts":
        words = ("a", "--temperature", "0", "--max-new-tokens", "8")
        assert said("generate", source, *words) == said("generate", one.folder, *words)
        return
    image = tmp_path / "image.png"
    Image.new("L", (20, 30), 99).save(image)
    answers = []
    for each in (source, one.folder):
        said("predict", each, str(image), "--to", str(tmp_path / "out.jsonl"))
        answers.append((tmp_path / "out.jsonl").read_text())
        (tmp_path / "out.jsonl").unlink()
    assert answers[0] == answers[1]


# ---- names


@pytest.fixture
def named(families, monkeypatch):
    """vit.small and gpt.small in zoos of ZOO_INDEX."""
    monkeypatch.setenv("ZOO_INDEX", f"{families('images').here / 'zoo'},{families('texts').here / 'zoo'}")
    return families


def test_create_model_of_a_name_is_untrained(named):
    trained, untrained = zoo.load("vit.small"), zoo.create_model("vit.small", num_classes=3, dim=16)
    assert untrained.config == {**trained.config, "num_classes": 3, "dim": 16} and untrained.training
    torch.manual_seed(0)
    drawn = zoo.create_model("vit.small")
    torch.manual_seed(0)
    assert all(map(torch.equal, drawn.parameters(), zoo.build(trained.config).parameters()))
    with pytest.raises(zoo.ZooError, match=r"depht.*did you mean 'depth'"):
        zoo.create_model("vit.small", depht=3)


def test_create_model_of_a_name_with_its_weights_adapts(named):
    """As init= does: the head begins anew, the grid is resampled, the stem takes other channels."""
    model = zoo.create_model("vit.small", pretrained=True, num_classes=3, img_size=16, in_chans=3)
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 3) and model.origin.source == "vit.small"
    wanted, _ = initialise(CONFIG, "vit.small", {"num_classes": 3, "img_size": 16, "in_chans": 3})
    kept = model.state_dict().keys() - {"head.weight", "head.bias"}
    assert all(torch.equal(model.state_dict()[name], wanted.state_dict()[name]) for name in kept)
    with pytest.raises(zoo.ZooError, match=r"'dim': 16} cannot be changed"):
        zoo.create_model("vit.small", pretrained=True, dim=16)
    with pytest.raises(zoo.ZooError, match=r"init=gpt.small is a GPT, which is for text, and ViT is for images"):
        zoo.create_model("vit.small", pretrained="gpt.small")


@pytest.mark.parametrize(
    "door",
    [
        zoo.load,
        lambda s: initialise(CONFIG, s, {}),
        zoo.create_model,
        peek,
        lambda s: zoo.create_model("vit", pretrained=s),
    ],
)
def test_an_unknown_name_is_told_the_nearest(named, door):
    with pytest.raises(zoo.ZooError, match=r"'vit.smalll' is no.*did you mean 'vit.small'\?"):
        door("vit.smalll")


def test_a_name_wins_over_a_folder(named, tmp_path, monkeypatch):
    """And ./vit.small is the folder, which has no card: loaded, and called unverified."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    zoo.save(zoo.build(CONFIG), tmp_path / "vit.small")
    (tmp_path / "vit.small" / "card.json").unlink()
    of_zoo, of_folder = zoo.load("vit.small"), zoo.load("./vit.small")
    assert same(of_zoo, named("images")) and not torch.equal(of_zoo.head.weight, of_folder.head.weight)
    assert of_folder.origin.source == str(tmp_path / "vit.small")


def test_an_adapter_knows_its_base_by_name(named, tmp_path, monkeypatch):
    """Where the adapter lies does not matter; a zoo without that name is told."""
    model = zoo.adapt(zoo.load("vit.small"), "lora", rank=1)
    zoo.save_adapter(model, tmp_path / "a" / "adapter")
    (tmp_path / "a").rename(tmp_path / "b")
    assert same(zoo.merge(zoo.load(tmp_path / "b" / "adapter")), named("images"))
    monkeypatch.delenv("ZOO_INDEX")
    with pytest.raises(zoo.ZooError, match=r"adapter of vit.small .* not where it was \(vit.small\).*base="):
        zoo.load(tmp_path / "b" / "adapter")


def test_what_a_card_tells_is_compared(families, tmp_path, caplog):
    folder = tmp_path / "model"
    shutil.copytree(families("images").folder, folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    for door in (zoo.load, lambda s: initialise(CONFIG, s, {}), lambda s: zoo.create_model("vit", pretrained=s)):
        with pytest.raises(zoo.ZooError, match=r"model.safetensors' has other content than card.json says"):
            door(str(folder))
    (folder / "card.json").unlink()
    with caplog.at_level("INFO", logger="zoo.pretrained"):
        assert zoo.load(folder) is not None
    assert "has no card.json: its files are not verified" in caplog.text
