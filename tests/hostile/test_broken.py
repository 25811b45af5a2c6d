"""A7: whatever a file holds, the answer is a sentence that names file and fault, without much memory, and at once."""

import json
import struct
import zipfile

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tests.hostile.conftest import OF_CHECKPOINT, OF_DATA, OF_FOLDER, OF_YAML
from tests.hostile.files import CONFIG, SETTINGS, make_run, repack, set_model, set_weights, weights, write_checkpoint
from zoo.cli import main

READS_WEIGHTS = {name: door for name, door in OF_FOLDER.items() if not name.startswith("info")}
DOORS = OF_FOLDER | OF_CHECKPOINT | OF_YAML
GAT = {"_target_": "zoo.models.gat.GAT", "in_dim": 1, "num_classes": 2, "head_dim": 1, "num_heads": 1}
ATTENTION = {"_target_": "zoo.attention.Attention", "_partial_": True}


def config_json(run):
    return run / "model" / "config.json"


def change(run, **content):
    config_json(run).write_text(json.dumps(json.loads(config_json(run).read_text()) | content))


def prepared(**fields):
    return {"preprocess": {"size": 8, "in_chans": 1, "mean": [0.3], "std": [0.4]} | fields}


# ---- config.json ------------------------------------------------------------------------------------------------------------

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
        config_json(run).write_bytes(text if isinstance(text, bytes) else text.encode())
        (run / "config.yaml").touch()
        said = refused(door)
        assert sentence in said and "config.json" in said


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
@pytest.mark.parametrize("door", [zoo.load, READS_WEIGHTS["predict"]], ids=["zoo.load", "predict"])
def test_misshapen_facts(run, refused, kind, door):
    for name, content in FACTS[kind]:
        change(run, **(prepared() | {"classes": None} | content))
        said = refused(door)
        assert kind in said and "config.json" in said, (name, said)


# ---- sizes ------------------------------------------------------------------------------------------------------------------

SIZES = {
    "dim": {**CONFIG, "dim": 1_000_000},
    "dim within a whole number": {**CONFIG, "dim": 1024, "mlp_ratio": 1000.0},
    "depth": {**CONFIG, "depth": 1_000_000_000},
    "depth within": {**CONFIG, "depth": 1_000_000},
    "img_size": {**CONFIG, "img_size": 1_000_000},
    "img_size and patch_size": {**CONFIG, "img_size": 1_000_000, "patch_size": 1_000_000},
    "classes": {**CONFIG, "num_classes": 1_000_000},
    "registers": {**CONFIG, "reg_tokens": 10**6},
    "heads of ALiBi": {**CONFIG, "position": {"_target_": "zoo.attention.ALiBi", "_partial_": True, "num_heads": 10**9}},
    "a float": {**CONFIG, "depth": 1e9},
    "infinite ratio": {**CONFIG, "mlp_ratio": 1e300},
    "negative": {**CONFIG, "dim": -8},
    "zero": {**CONFIG, "patch_size": 0},
    "more bits": {**CONFIG, "dim": 10**30},
    "a norm": {**CONFIG, "norm": {"_target_": "torch.nn.LayerNorm", "_partial_": True, "device": "cuda"}},
    "a table": {
        **CONFIG, "attention": {**ATTENTION, "position": {"_target_": "zoo.attention.RelativeBias", "_partial_": True,
                                                          "num_buckets": 10**9}},
    },
    "layers without weights": {
        **GAT, "depth": 10**6, "attention": {"_target_": "zoo.attention.Attention", "dim": 1, "num_heads": 1},
    },
    "widths": {"_target_": "zoo.models.cnn.CNN", "in_chans": 1, "widths": [1] * 10_000},
    "a part as text": {**CONFIG, "norm": "LayerNorm"},
    "no model": {"_target_": "zoo.attention.Full"},
    "a function": {"_target_": "zoo.layers.pre_norm"},
    "another model": {"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 8},
    "other names": {**CONFIG, "depth": 2},
}  # fmt: skip
#: what no weights are needed to see
ALONE = {
    "depth", "depth within", "a float", "negative", "zero", "more bits", "a norm", "a part as text", "no model", "a function",
    "heads of ALiBi", "layers without weights",
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_sizes_that_the_weights_are_not_of(run, refused, door):
    """Built without memory first, and compared."""
    needs_weights = "info" not in str(next(name for name, each in DOORS.items() if each is door))
    for name, config in SIZES.items():
        if needs_weights or name in ALONE:
            set_model(run, config)
            assert refused(door), name


def test_sizes_at_the_datas_size_stay_within_reason(run, refused):
    """The position table of a file's patch size, at the size of the user's images."""
    from zoo.pretrained import initialise

    model = zoo.build({**CONFIG, "img_size": 1, "patch_size": 1, "dim": 64})
    set_model(run, model.config)
    set_weights(run, model.state_dict())
    change(run, preprocess=None)
    assert "numbers" in refused(lambda run: initialise(CONFIG, str(run), {"img_size": 4096}))


# ---- weights ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", (READS_WEIGHTS | OF_CHECKPOINT).values(), ids=[*READS_WEIGHTS, *OF_CHECKPOINT])
def test_nan_among_the_weights_is_named(run, refused, door):
    state = weights(run)
    for number in (float("nan"), float("inf")):
        state["head.weight"][1, 2] = state["cls_token"][0, 0, 0] = number
        set_weights(run, state)
        said = refused(door)
        assert "NaN or infinite in" in said and "cls_token (1)" in said and "head.weight (1)" in said
        assert "model.safetensors" in said or "best.ckpt" in said


@pytest.mark.parametrize("door", (READS_WEIGHTS | OF_CHECKPOINT).values(), ids=[*READS_WEIGHTS, *OF_CHECKPOINT])
def test_weights_of_another_kind(run, refused, door):
    state = weights(run)
    for change in (
        {"head.weight": state["head.weight"].long()},
        {"head.weight": state["head.weight"].bool()},
        {"head.weight": torch.zeros(0)},
        {"head.weight": state["head.weight"][:, :3]},
        {"more": torch.zeros(3)},
    ):
        set_weights(run, state | change)
        assert next(iter(change)) in refused(door)
    set_weights(run, {})
    assert refused(door)


HEADERS = {
    "a header of 1 GB": struct.pack("<Q", 10**9) + b"{}",
    "a header of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 5000) + b"{}",
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "no JSON": struct.pack("<Q", 2) + b"ab",
    "deep": struct.pack("<Q", 400_000) + b"[" * 200_000 + b"]" * 200_000,
    "a tensor beyond the file": struct.pack("<Q", 70)
    + b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'[:70],
}


@pytest.mark.parametrize("door", READS_WEIGHTS.values(), ids=READS_WEIGHTS)
def test_broken_safetensors(run, refused, door):
    path = run / "model" / "model.safetensors"
    good = path.read_bytes()
    for content in (*HEADERS.values(), good[:-1], good + b"\0", good[: len(good) // 2]):
        path.write_bytes(content)
        assert "model.safetensors" in refused(door)
    path.unlink()
    assert "There is no file" in refused(door)
    path.mkdir()
    assert "There is no file" in refused(door)


def large_header(run):
    """Three million names in a header that the library would read."""
    names = ",".join(f'"{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(100_000))
    content = ("{" + names + "}").encode()
    (run / "model" / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content)


def test_a_header_of_many_names(run, refused):
    large_header(run)
    assert "its header is longer" in refused(zoo.load)


def checkpoint(run):
    return run / "checkpoints" / "best.ckpt"


def save(run, content):
    torch.save(content, checkpoint(run))


def packed(run):
    """A few MB that inflate to 2 GB."""
    repack(checkpoint(run), method=zipfile.ZIP_DEFLATED, more=[("best/data/99", b"\0" * 10**8)])


def packed_pickle(run):
    def change(name, content):
        return b"\x80\x02" + b"]" * 50_000_000 + b"." if name.endswith("data.pkl") else content

    repack(checkpoint(run), change, zipfile.ZIP_DEFLATED)


def long_pickle(run):
    repack(checkpoint(run), lambda name, c: b"\x80\x02" + b"]" * 3_000_000 + b"." if name.endswith(".pkl") else c)


def said_twice(run):
    repack(checkpoint(run))
    with zipfile.ZipFile(checkpoint(run)) as archive:
        name, content = archive.namelist()[0], archive.read(archive.namelist()[0])
    with pytest.warns(UserWarning, match="Duplicate"):
        repack(checkpoint(run), more=[(name, content)])


def with_a_comment(run):
    """Readers differ in which end record they find."""
    content = checkpoint(run).read_bytes()
    checkpoint(run).write_bytes(content[:-2] + struct.pack("<H", 30) + b"PK\5\6" + b"\0" * 26)


def shifted(run):
    """A directory that one reader finds by the end record, another by what it says."""
    checkpoint(run).write_bytes(b"\0" * 100 + checkpoint(run).read_bytes())


def repeated(run):
    state = weights(run) | {"head.weight": torch.zeros(1).expand(10**6, 10**6)}
    write_checkpoint(run, SETTINGS | {"model": {**CONFIG, "num_classes": 10**6}}, state)


def named_many_times(run):
    """One storage under the names of a model that would be large."""
    config = {**CONFIG, "dim": 512, "depth": 12}
    zeros = torch.zeros(512 * 4 * 512)
    state = {name: zeros[: t.numel()].view(t.shape) for name, t in zoo.build(config).state_dict().items()}
    write_checkpoint(run, SETTINGS | {"model": config}, state)


def strange(tensor):
    def damage(run):
        write_checkpoint(run, SETTINGS | {"model": CONFIG}, weights(run) | {"head.bias": tensor()})

    return damage


def given(hyper_parameters):
    return lambda run: write_checkpoint(run, hyper_parameters, weights(run))


def circle():
    circle = {"_target_": "zoo.models.vit.ViT"}
    circle["norm"] = circle
    return circle


def doubled():
    """2^40 values in forty lists."""
    inner: list = []
    for _ in range(40):
        inner = [inner, inner]
    return inner


CHECKPOINTS = {
    "packed": packed, "a packed pickle": packed_pickle, "a long pickle": long_pickle, "said twice": said_twice,
    "a comment": with_a_comment, "shifted": shifted, "a view that repeats": repeated,
    "one storage, many names": named_many_times,
    "sparse": strange(lambda: torch.zeros(10).to_sparse()),
    "csr": strange(lambda: torch.zeros(10, 10).to_sparse_csr()),
    "meta": strange(lambda: torch.zeros(10, device="meta")),
    "quantised": strange(lambda: torch.quantize_per_tensor(torch.zeros(10), 1.0, 0, torch.qint8)),
    "complex": strange(lambda: torch.zeros(10, dtype=torch.complex64)),
    "float8": strange(lambda: torch.zeros(10).to(torch.float8_e4m3fn)),
    "no tensor": strange(lambda: 3),
    "hyper-parameters that are a list": given([1, 2]),
    "hyper-parameters that are null": given(None),
    "hyper-parameters that are text": given("model"),
    "a model that is a list": given(SETTINGS | {"model": [CONFIG]}),
    "a model that is text": given(SETTINGS | {"model": "zoo.models.vit.ViT"}),
    "a model that is null": given(SETTINGS | {"model": None}),
    "a tensor in the config": given(SETTINGS | {"model": {**CONFIG, "dim": torch.tensor(8)}}),
    "a set in the config": given(SETTINGS | {"model": {**CONFIG, "widths": {1, 2}}}),
    "bytes in the config": given(SETTINGS | {"model": {**CONFIG, "pool": b"token"}}),
    "keys that are numbers": given(SETTINGS | {"model": {**CONFIG, 3: 4}}),
    "a circle": given(SETTINGS | {"model": circle()}),
    "doubled": given(SETTINGS | {"model": {**CONFIG, "norm": doubled()}}),
    "a long number": given(SETTINGS | {"model": {**CONFIG, "dim": 10**5000}}),
    "a list": lambda run: save(run, [1, 2]),
    "a tensor": lambda run: save(run, torch.zeros(3)),
    "no state": lambda run: save(run, {"hyper_parameters": {"model": CONFIG}}),
    "a state that is a list": lambda run: save(run, {"state_dict": [1], "hyper_parameters": {"model": CONFIG}}),
    "numbers for names": lambda run: save(run, {"state_dict": {1: torch.zeros(3)}, "hyper_parameters": {"model": CONFIG}}),
    "empty": lambda run: checkpoint(run).write_bytes(b""),
    "half": lambda run: checkpoint(run).write_bytes(checkpoint(run).read_bytes()[:5000]),
    "without an end": lambda run: checkpoint(run).write_bytes(checkpoint(run).read_bytes()[:-1]),
    "of before torch 1.6": lambda run: torch.save({"state_dict": {}}, checkpoint(run), _use_new_zipfile_serialization=False),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support", "ignore:.*quantize_per_tensor", "ignore:.*[Qq]uantiz")
@pytest.mark.parametrize("damage", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_broken_checkpoints(run, refused, damage):
    damage(run)
    for name, door in OF_CHECKPOINT.items():
        if damage is CHECKPOINTS["a model that is null"] and name.startswith("init"):
            continue  # the command line's config is taken then
        assert "best.ckpt" in refused(door), name


def test_an_archive_that_was_packed_and_unpacked_loads(run):
    """The checks look at what is wrong, not at which program wrote it."""
    repack(checkpoint(run))
    for door in OF_CHECKPOINT.values():
        door(run)


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


# ---- what is read -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_loaded_like_a_folder(run):
    a, b = zoo.load(run), zoo.load(run / "checkpoints" / "best.ckpt")
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(a(x), b(x)) and not b.training
    assert (a.config, a.preprocess, a.classes) == (b.config, b.preprocess, b.classes)
    alone = run.parent / "alone.ckpt"
    checkpoint(run).rename(alone)
    assert torch.equal(zoo.load(alone)(x), a(x)) and zoo.load(alone).preprocess is None
    assert torch.equal(zoo.load(run / "model" / "model.safetensors")(x), a(x))


def test_other_files_are_named(run, refused):
    from zoo.pretrained import initialise

    weights_alone = run.parent / "alone.safetensors"
    (run / "model" / "model.safetensors").rename(weights_alone)
    assert f"init={weights_alone}" in refused(lambda run: zoo.load(weights_alone))
    other = run.parent / "x.pth"
    other.write_bytes(b"x")
    for door in (zoo.load, lambda path: initialise(CONFIG, str(path), {})):
        said = refused(lambda run, door=door: door(other))
        assert "is a file of another kind" in said and ".safetensors or .ckpt" in said


def test_loading_takes_no_memory_for_what_is_not_looked_at(run):
    """The states of optimizers, which are twice the weights, stay in their file."""
    from zoo.checked.tensors import read

    tensor = read(checkpoint(run))["state_dict"]["model.head.weight"]
    assert tensor.untyped_storage().filename is not None or not tensor.untyped_storage().resizable()
    assert load_file(run / "model" / "model.safetensors")["head.weight"].shape == tensor.shape


def test_make_run_is_whole(tmp_path):
    assert main(["info", str(make_run(tmp_path / "run"))]) == 0
