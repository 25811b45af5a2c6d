"""A7: whatever a checkpoint holds, the answer is a sentence that names file and fault; and what is whole is read."""

import struct
import zipfile

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tests.hostile.conftest import OF_CHECKPOINT
from tests.hostile.files import CONFIG, SETTINGS, make_run, packed, repack, weights, write_checkpoint
from zoo.checked.texts import check_plain
from zoo.cli import main
from zoo.errors import ZooError


def checkpoint(run):
    return run / "checkpoints" / "best.ckpt"


def save(run, content):
    torch.save(content, checkpoint(run))


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
    "a view of the right shape": lambda run: write_checkpoint(
        run, SETTINGS | {"model": CONFIG}, weights(run) | {"head.weight": torch.zeros(1).expand(10, 8)}
    ),
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


#: which of the guards it is that refuses, where others would too, later and at a cost
SAID = {
    "packed": "its entries are packed", "a long pickle": "the part beside its tensors is larger",
    "said twice": "or one twice", "shifted": "its directory is not where the archive says",
    "a view that repeats": "shows more numbers than are stored",
    **dict.fromkeys(("sparse", "csr", "meta", "quantised", "complex", "float8"), "weights are plain tensors"),
}  # fmt: skip


@pytest.mark.filterwarnings(
    "ignore:.*per sparse tensor and may be slow",
    "ignore:Sparse CSR tensor support",
    "ignore:TypedStorage is deprecated",
    "ignore:.*quantize_per_tensor",
    "ignore:.*[Qq]uantiz",
)
@pytest.mark.parametrize("damage", CHECKPOINTS)
def test_broken_checkpoints(run, refused, damage):
    CHECKPOINTS[damage](run)
    for name, door in OF_CHECKPOINT.items():
        if damage == "a model that is null" and name.startswith("init"):
            continue  # the command line's config is taken then
        said = refused(door)
        assert "best.ckpt" in said and SAID.get(damage, "") in said, (name, said)


@pytest.mark.parametrize("key", [3, 0, None, False, ("a",)])
def test_keys_are_texts(key):
    with pytest.raises(ZooError, match="is not a text"):
        check_plain({"a": [{key: 1}]}, "a checkpoint")


def test_an_archive_that_was_packed_and_unpacked_loads(run):
    """The checks look at what is wrong, not at which program wrote it."""
    repack(checkpoint(run))
    for door in OF_CHECKPOINT.values():
        door(run)


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
