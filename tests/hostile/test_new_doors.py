"""A7, A8: models that come by a name, an address, or in a folder of another library; their hashes fit, and each attack fails.

Whoever can write a card can write its hashes: so card and index are made anew after each attack, and vouch for nothing.
"""

import json
import socket
import struct
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tests.catalog.server import serve
from tests.hostile.conftest import verb
from tests.hostile.files import CONFIG, change_config
from tests.hostile.test_code import ATTACKS, WORDS
from tests.hostile.test_sizes import SIZES
from tests.pretrained.places import publish
from zoo.catalog import card
from zoo.catalog.files import sha256
from zoo.pretrained import initialise, peek

NAME = "vit.small"
DOORS = {
    "zoo.load": lambda source: zoo.load(source),
    "init=": lambda source: initialise(CONFIG, source, {}),
    "create_model(pretrained=)": lambda source: zoo.create_model("vit_mini_patch2_8", pretrained=source),
    "predict": lambda source: verb("predict", source, "{here}/image.png", "--out", "{here}/out.png"),
}
OF_NAME = {
    "create_model, untrained": lambda source: zoo.create_model(source, num_classes=3),
    "create_model(pretrained=True)": lambda source: zoo.create_model(source, pretrained=True, num_classes=3),
}
HUGE = struct.pack("<Q", 10**9)
WEIGHTS = "model.safetensors"


@pytest.fixture
def sealed(run, tmp_path, monkeypatch):
    """Put the run's model folder, as it is now, into a zoo with a card and an index that tell its hashes."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))

    def seal():
        shelf = tmp_path / f"shelf{len(list(tmp_path.iterdir()))}"
        card.write(run / "model", {})
        publish(run / "model", shelf, NAME)
        (run / "model" / "card.json").unlink()
        monkeypatch.setenv("ZOO_INDEX", str(shelf))
        return shelf

    return seal


def at(door, source):
    """A door of these, with its source, as `refused` calls it."""

    def call(run):
        made = door(source)
        if callable(made) and not isinstance(made, torch.nn.Module):
            made(run)

    return call


def node(**part):
    return {"model": {**CONFIG, "attention": {"_target_": "zoo.attention.Attention", "_partial_": True, **part}}}


def safetensors(run, content=None, **tensors):
    path = run / "model" / WEIGHTS
    if content is not None:
        path.write_bytes(content)
    else:
        save_file({**load_file(path), **tensors}, path)


#: What is done to the folder, and what the sentence says.
FOLDER = {
    "_recursive_": (lambda run: change_config(run, **node(_recursive_=False)), "_recursive_"),
    "_args_": (lambda run: change_config(run, **node(_args_=["os.system"])), "_args_"),
    "_convert_": (lambda run: change_config(run, **node(_convert_="all")), "_convert_"),
    "an interpolation": (lambda run: change_config(run, **node(kernel="${oc.env:SECRET}")), "not interpolated"),
    "a command": (lambda run: change_config(run, model=ATTACKS["a command"]), "may not be instantiated"),
    "a resolver": (lambda run: change_config(run, model={**CONFIG, "norm": WORDS["resolved twice"]}), "not interpolated"),
    "a class of the file's": (lambda run: change_config(run, model=ATTACKS["an import of the file's"]), "declared"),
    "10^12 parameters": (lambda run: change_config(run, model={**CONFIG, "dim": 2**20, "mlp_ratio": 0.5}), "would hold"),
    "a million layers": (lambda run: change_config(run, model=SIZES["depth within"]), "more tensors"),
    "a device": (lambda run: change_config(run, model=SIZES["a norm"]), "not the file's to say"),
    "a header of 1 GB": (lambda run: safetensors(run, HUGE + b"{}"), WEIGHTS),
    "a list for a config": (lambda run: (run / "model" / "config.json").write_text("[]"), "holds a list"),
    "a bomb of JSON": (lambda run: (run / "model" / "config.json").write_text("[" * 10**6), "nested"),
    "a later format": (lambda run: change_config(run, format=99), "update attention-zoo"),
    "preprocessing of nobody": (lambda run: change_config(run, preprocess={"size": 8, "exec": "x"}), "preprocess.exec"),
}  # fmt: skip
NUMBERS = {
    "NaN": (lambda run: safetensors(run, cls_token=torch.full((1, 1, 8), float("nan"))), "NaN or infinite"),
    "infinity": (lambda run: safetensors(run, cls_token=torch.full((1, 1, 8), float("inf"))), "NaN or infinite"),
}


@pytest.mark.parametrize("attack", FOLDER | NUMBERS)
def test_a_folder_of_a_zoo_whose_hashes_fit(run, refused, sealed, attack):
    damage, sentence = (FOLDER | NUMBERS)[attack]
    damage(run)
    sealed()
    for door in (DOORS | OF_NAME).values():
        if attack in NUMBERS and door is OF_NAME["create_model, untrained"]:
            continue  # which takes no number of it
        assert sentence in refused(at(door, NAME))
    assert not (run.parent / "trace").exists()


@pytest.mark.parametrize("attack", ["a command", "_args_", "10^12 parameters", "a header of 1 GB", "infinity"])
def test_behind_an_address_it_is_the_same(run, refused, sealed, attack):
    damage, sentence = (FOLDER | NUMBERS)[attack]
    damage(run)
    servers = serve(sealed())
    address = f"{next(servers).url}/{NAME}"
    for door in DOORS.values():
        assert sentence in refused(at(door, address))
    next(servers, None)


# ---- the index, the card


def entries(shelf, change):
    path = shelf / "index.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def renamed(name):
    return lambda shelf: entries(shelf, lambda content: content["models"].update({name: content["models"][NAME]}))


def listing(file, **facts):
    given = {"bytes": 1, "sha256": "0" * 64, **facts}
    return lambda shelf: entries(shelf, lambda content: content["models"][NAME]["files"].update({file: given}))


def linked(file):
    def link(shelf):
        path = shelf / NAME / file if file else shelf / NAME
        path.rename(shelf.parent / "elsewhere")
        path.symlink_to(shelf.parent / "elsewhere")

    return link


def replaced(path):
    path.unlink()
    path.symlink_to("/dev/zero")


INDEX = {
    "a path": (renamed("../run"), "no name of a model"),
    "an absolute path": (renamed("/etc/passwd"), "no name of a model"),
    "a path behind a dot": (renamed("vit.x/../../run"), "no name of a model"),
    "a drive": (renamed("c:\\vit.x"), "no name of a model"),
    "an end of line": (renamed("vit.x\n"), "no name of a model"),
    "a terminal's": (renamed("\x1b]0;owned\x07.x"), "no name of a model"),
    "a file elsewhere": (listing("../../../etc/passwd"), "it may list"),
    "a file at the root": (listing("/etc/passwd"), "it may list"),
    "pickle": (listing("pytorch_model.bin"), "it may list"),
    "a negative size": (listing(WEIGHTS, bytes=-1), "bytes and sha256"),
    "no hash": (listing(WEIGHTS, sha256="../x"), "bytes and sha256"),
    "a link to a folder outside": (linked(None), "a link to outside"),
    "a link to a file outside": (linked(WEIGHTS), "a link to outside"),
    "a list": (lambda shelf: (shelf / "index.json").write_text("[]"), "not the index of a zoo"),
    "a bomb": (lambda shelf: (shelf / "index.json").write_text('{"a":' * 10**5), "nested"),
    "a device": (lambda shelf: replaced(shelf / "index.json"), "no index.json"),
    "a later format": (lambda shelf: entries(shelf, lambda content: content.update(format=2)), "update attention-zoo"),
}  # fmt: skip
CARDS = {
    "a list": (lambda content: [content], "not a card"),
    "a later format": (lambda content: content | {"format": 2}, "update attention-zoo"),
    "a file elsewhere": (
        lambda content: content | {"files": {"../x": {"bytes": 1, "sha256": "0" * 64}}},
        "it may list",
    ),
    "a file less": (lambda content: content | {"files": {}}, "not among the files"),
    "a file more": (
        lambda content: content | {"files": {**content["files"], "tokenizer.json": {"bytes": 1, "sha256": "0" * 64}}},
        "is missing",
    ),
    "text for a number": (lambda content: content | {"parameters": "${oc.env:SECRET}"}, "parameters is a str"),
}


@pytest.mark.parametrize("attack", INDEX)
def test_an_index_leads_nowhere_else(run, refused, sealed, attack):
    damage, sentence = INDEX[attack]
    damage(sealed())
    for door in (DOORS | OF_NAME).values():
        said = refused(at(door, NAME))
        assert sentence in said and "\x1b" not in said


@pytest.mark.parametrize("attack", CARDS)
def test_a_card_that_is_none(run, refused, sealed, attack):
    damage, sentence = CARDS[attack]
    path = sealed() / NAME / "card.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    digest, size = sha256(path), path.stat().st_size
    entries(path.parents[1], lambda content: content["models"][NAME].update(card=digest))
    listing("card.json", bytes=size, sha256=digest)(path.parents[1])
    for door in (DOORS | OF_NAME).values():
        assert sentence in refused(at(door, NAME))


# ---- a folder of timm's


@pytest.fixture(scope="module")
def timm_vit(tmp_path_factory):
    """A folder as timm saves it."""
    import timm
    from timm.models import save_for_hf

    folder = tmp_path_factory.mktemp("timm") / "timm"
    model = timm.create_model("test_vit", num_classes=3).eval()
    save_for_hf(model, str(folder), safe_serialization=True)
    return folder


@pytest.fixture
def timm_folder(timm_vit, run):
    """A copy beside the run, and a way to write into its config."""
    folder = run.parent / "timm"
    folder.mkdir()
    (folder / WEIGHTS).symlink_to(timm_vit / WEIGHTS)
    content = json.loads((timm_vit / "config.json").read_text())

    def write(**changes):
        cfg = {**content["pretrained_cfg"], **changes.pop("pretrained_cfg", {})}
        (folder / "config.json").write_text(json.dumps({**content, "pretrained_cfg": cfg, **changes}))
        return str(folder)

    return write


ARCHITECTURES = {
    "another hub's": "hf-hub:somebody/else", "a folder's": "local-dir:/tmp", "a path": "../run", "a function": "os.system",
    "a number": 3, "a list": ["test_vit"], "long": "v" * 10**5, "a terminal's": "\x1b]0;x\x07",
    "of no kind here": "test_resnet", "of the users own": "evil", "larger than its weights": "vit_giant_patch14_224",
}  # fmt: skip
OPTIONS = {
    "a file": {"checkpoint_path": "evil.bin"}, "weights elsewhere": {"pretrained_cfg": {"url": "http://localhost:9/"}},
    "an overlay": {"pretrained_cfg_overlay": {"file": "evil.bin"}}, "a cache": {"cache_dir": "/"},
    "a class": {"block_fn": "os.system"},
    "a norm by path": {"norm_layer": "os.system"}, "10^12 numbers": {"embed_dim": 10**6}, 
    "wide": {"embed_dim": 16384, "depth": 500},
    "layers": {"depth": 10**9}, "a size": {"img_size": 10**9}, "sizes": {"img_size": [2] * 10**4}, "text": {"depth": "12"},
    "true": {"depth": True}, "a rate": {"drop_path_rate": 1e9}, "no options": [1],
}  # fmt: skip
PREPARED = {
    "mean": {"mean": ["x"]}, "std": {"std": [0, 0, 0]}, "no std": {"std": []}, "size": {"input_size": [3, 10**9, 10**9]},
    "two": {"input_size": [3, 8]}, "crop": {"crop_pct": 0}, "mode": {"interpolation": "exec"},
    "a terminal's": {"interpolation": "\x1b]0;x\x07"},
}  # fmt: skip


def test_a_folder_of_timms_chooses_no_code_and_no_size(run, refused, timm_folder):
    given = [{"architecture": value} for value in ARCHITECTURES.values()]
    given += [{"num_classes": -1}, {"label_names": ["\x1b[2Ja"] * 3}]
    given += [{"model_args": value} for value in OPTIONS.values()]
    given += [{"pretrained_cfg": value} for value in PREPARED.values()]
    for changes in given:
        source = timm_folder(**changes)
        for door in [DOORS["predict"]] if "pretrained_cfg" in changes else [DOORS["zoo.load"], DOORS["init="]]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # timm's own, of names that it calls deprecated
                said = refused(at(door, source))
            assert "\x1b" not in said
    assert not (run.parent / "trace").exists()


def test_where_a_folder_of_timms_says_that_its_weights_are_is_not_looked_at(run, timm_folder, monkeypatch):
    """url, file, hf_hub_id, source, custom_load: of pretrained_cfg what describes is read; its own file is taken."""
    wanted = zoo.load(timm_folder()).state_dict()
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a request went out"))
    for elsewhere in (
        {"url": "http://localhost:9/x.bin", "custom_load": True, "first_conv": "__class__", "classifier": "__dict__"},
        {"hf_hub_id": "somebody/else", "source": "hf-hub", "hf_hub_filename": "evil.bin", "custom_load": "hf",
         "label_offset": 1},
        {"file": str(run / "checkpoints" / "best.ckpt"), "source": "local-dir", "state_dict": {"a": 1}, "tag": "../../x",
         "architecture": "resnet50", "pool_size": [10**9] * 2},
    ):  # fmt: skip
        source = timm_folder(pretrained_cfg=elsewhere)
        assert peek(source)["size"] == 160
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in zoo.load(source).state_dict().items())


def test_code_of_a_repositorys_own_is_refused(run, refused):
    """transformers' auto_map, and remote code beside it."""
    folder = run.parent / "gpt2"
    folder.mkdir()
    (folder / "modeling_evil.py").write_text("import evil")
    told = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": 8,
        "n_layer": 1,
        "n_head": 2,
        "vocab_size": 9,
    }
    (folder / "config.json").write_text(json.dumps({**told, "auto_map": {"AutoModel": "modeling_evil.Evil"}}))
    save_file({"a": torch.zeros(1)}, folder / WEIGHTS)
    for name in ("zoo.load", "init=", "predict"):
        assert "auto_map" in refused(at(DOORS[name], str(folder)))


PICKLES = {
    "ours": ({"format": 1, "model": CONFIG}, "model.pt"),
    "timm's": ({"architecture": "test_vit", "pretrained_cfg": {}}, "weights.pth"),
    "transformers'": ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 8, "n_layer": 1, "n_head": 2,
                       "vocab_size": 9}, "model.pkl"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PICKLES)
def test_a_repository_with_pickle_only(run, refused, kind):
    content, file = PICKLES[kind]
    folder = run.parent / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(content))
    (folder / file).write_bytes(b"cos\nsystem\n(S'touch trace'\ntR.")
    for name in ("zoo.load", "init=", "predict"):
        said = refused(at(DOORS[name], str(folder)))
        assert f"{file}, which is pickle" in said and "safetensors" in said
