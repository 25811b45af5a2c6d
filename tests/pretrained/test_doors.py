"""One loader: every kind of place, at every door, is the same model (issue 11, point 2)."""

import contextlib
import io
import re
import shutil

import pytest
import torch
from PIL import Image

import zoo
from tests.catalog import hub_server
from tests.catalog.server import serve
from tests.hostile.files import CONFIG
from tests.pretrained.places import of_graphs, of_images, of_series, of_texts, of_timm
from tests.training.compose import fit
from zoo.cli import main
from zoo.conf import options
from zoo.pretrained import initialise, peek, tokenizer_of

#: family -> its places, and the name of a model of its kind
FAMILIES = {
    "images": (of_images, "vit_mini_patch2_8"), "texts": (of_texts, "gpt2"), "timm": (of_timm, "vit_mini_patch2_8"),
    "graphs": (of_graphs, "gatv2"), "series": (of_series, "patchtst"),
}  # fmt: skip
PLACES = {
    "images": (
        "run", "model folder", "safetensors", "another safetensors", "checkpoint", "of a compiled run", "of several processes",
        "of both", "name", "https", "https, a file", "hf",
    ),
    "texts": (
        "model folder", "transformers", "transformers, a file", "name", "https", "https, transformers", "hf, transformers",
    ),
    **dict.fromkeys(("graphs", "series"), ("run", "model folder", "checkpoint", "name", "https")),
    "timm": ("model folder", "timm", "timm, a file", "timm://@", "https, timm", "hf, timm"),
}  # fmt: skip
PAIRS = [(family, kind) for family in PLACES for kind in PLACES[family]]
EVERY = pytest.mark.parametrize("family, kind", PAIRS)
#: Verbs load by zoo.load, so of places that differ by it alone, and of timm's, one verb by verb is enough for every day.
ALIKE = ("another safetensors", "of a compiled run", "of several processes", "https, a file", "transformers, a file")
SPARED = [
    pytest.param(*pair, marks=[pytest.mark.slow] * (pair[1] in ALIKE or (pair[0] == "timm" and pair[1] != "timm")))
    for pair in PAIRS
]


class Family:
    """A model in all its places; `folder` is its model folder, which all others are compared with."""

    def __init__(self, name, here):
        place, self.kind = FAMILIES[name]
        self.here, self.places = here, place(here)
        self.folder = self.places["model folder"]
        self.model = zoo.load(self.folder)
        self.config = self.model.config  # of the command line


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
    if kind.startswith("https"):
        servers = serve(one.here)
        yield one, next(servers).url + one.places[kind]
        next(servers, None)
    elif kind.startswith("hf"):
        hubs = hub_server.serve(monkeypatch, tmp_path / "hub")
        files = {file.name: file.read_bytes() for file in (one.here / one.places[kind]).iterdir()}
        yield one, f"hf://me/it@{next(hubs).commit('me/it', files)}"
        next(hubs, None)
    else:
        yield one, one.places[kind]


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
def test_the_same_model_at_every_door_of_python(place, kind):
    one, source = place
    loaded = zoo.load(source)
    assert same(loaded, one) and not loaded.training
    begun, changes = initialise(one.config, source, {})
    assert same(begun, one) and not changes
    if one.kind not in options("model") or kind == "name":  # those are composed, which takes a while
        assert same(zoo.create_model(one.kind, pretrained=source), one)
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


@pytest.mark.parametrize("family, kind", SPARED)
def test_the_same_answer_of_every_verb(place, family, tmp_path):
    one, source = place

    def answers(each):
        if family == "texts":
            (tmp_path / "text.txt").write_text("abc" * 20)
            yield said("generate", each, "a", "--temperature", "0", "--max-new-tokens", "8")
            yield (
                said("report", "perplexity", f"run={each}", f"path={tmp_path / 'text.txt'}")
                .partition(" loss ")[2]
                .partition("predicted")[0]
            )
        elif "image" in one.model.reads:
            Image.new("L", (20, 30), 99).save(tmp_path / "image.png")
            said("predict", each, str(tmp_path / "image.png"), "--to", str(tmp_path / "out.jsonl"))
            yield (tmp_path / "out.jsonl").read_text()
            (tmp_path / "out.jsonl").unlink()
        assert f"{sum(p.numel() for p in one.model.parameters()):,}" in said("info", each)

    assert list(answers(source)) == list(answers(one.folder))


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


def test_create_model_without_classes_gives_features(named):
    """As in timm: num_classes=0 leaves the trained classifier out."""
    model, whole = zoo.create_model("vit.small", pretrained=True, num_classes=0).eval(), zoo.load("vit.small")
    whole.head = torch.nn.Identity()
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(model(x), whole(x))


def test_create_model_of_a_name_with_its_weights_adapts(named):
    """As init= does: the head begins anew, the grid is resampled, the stem takes other channels."""
    model = zoo.create_model("vit.small", pretrained=True, num_classes=3, img_size=16, in_chans=3)
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 3) and model.origin.source == "vit.small"
    wanted, _ = initialise(CONFIG, "vit.small", {"num_classes": 3, "img_size": 16, "in_chans": 3})
    kept = model.state_dict().keys() - {"head.weight", "head.bias"}
    assert all(torch.equal(model.state_dict()[name], wanted.state_dict()[name]) for name in kept)
    with pytest.raises(zoo.ZooError, match=r"'dim': 16} cannot be changed"):
        zoo.create_model("vit.small", pretrained=True, dim=16)
    with pytest.raises(zoo.ZooError, match=r"ViT takes no 'drop_pth'; did you mean 'drop_path'"):
        zoo.create_model("vit.small", pretrained=True, drop_pth=0.1)
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


def test_a_training_begins_with_a_name(named, tmp_path):
    """Fed as the model was: its preprocessing, its tokenizer, which the data take over."""
    images = fit(tmp_path / "a", "init=vit.small", "data=digits", "trainer.fast_dev_run=true")
    model, wanted = images.lightning_module.model, named("images").model
    assert model.origin.source == "vit.small" and model.config["dim"] == wanted.config["dim"]
    assert images.datamodule.spec.preprocess.mean == wanted.preprocess.mean
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40)
    path = (f"data.path={tmp_path / 'text.txt'}", f"data.cache={tmp_path}", "data.context=16")
    texts = fit(tmp_path / "b", "model=gpt", "init=gpt.small", "data=textfile", *path, "trainer.fast_dev_run=true")
    assert texts.datamodule.spec.tokenizer == named("texts").model.tokenizer == texts.lightning_module.model.tokenizer


def test_an_adapter_by_its_address(families, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    base = families("images").folder
    zoo.save_adapter(zoo.adapt(zoo.load(base), "lora", rank=1), tmp_path / "adapter")
    servers = serve(tmp_path)
    address = f"{next(servers).url}/adapter"
    assert zoo.load_adapter(zoo.load(base), address).adapter is not None
    assert zoo.load(address, base=base).adapter is not None
    next(servers, None)


# ---- bad input


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("gpt.small", "cat.jpg"), "gpt.small is a GPT, which reads text, and cat.jpg is an image; give a sentence"),
        (("gpt.small", "graph.npz"), "graph.npz is a graph; give a sentence"),
        (("vit.small", "graph.npz"), "ViT takes no graph, and graph.npz is one"),
        (("vit.smal", "cat.jpg"), "'vit.smal' is no.*did you mean 'vit.small'"),
    ],
)
def test_inputs_of_another_kind(named, words, sentence, capsys):
    assert main(["predict", *words]) == 2
    assert re.search(sentence, capsys.readouterr().err)


@pytest.mark.parametrize(
    "source, sentence",
    [
        ("ftp://x/y", "an address of a kind that is not known; give https://, hf:// or timm://"),
        ("a" * 5000, "has 5,000 letters, more than a path can have"),
        ("x\0y", "There is no folder"),
        ("nowhere/vit.safetensors", "There is no file 'nowhere/vit.safetensors'"),
    ],
)
def test_sources_that_can_be_none(source, sentence):
    for door in (zoo.load, peek, lambda s: zoo.create_model("vit_mini_patch2_8", pretrained=s)):
        with pytest.raises(zoo.ZooError, match=sentence) as error:
            door(source)
        assert len(str(error.value)) < 1500
