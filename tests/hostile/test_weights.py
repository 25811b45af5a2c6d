"""A7: whatever a file of weights holds, the answer is a sentence that names file and fault, at once, in little memory."""

import struct

import pytest
import torch

import zoo
from tests.hostile.conftest import OF_CHECKPOINT, OF_FOLDER
from tests.hostile.files import set_weights, weights

READS_WEIGHTS = {name: door for name, door in OF_FOLDER.items() if not name.startswith("info")}


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
    """A hundred thousand names in a header that the library would read."""
    names = ",".join(f'"{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(100_000))
    content = ("{" + names + "}").encode()
    (run / "model" / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content)


def test_a_header_of_many_names(run, refused):
    large_header(run)
    assert "its header is longer" in refused(zoo.load)
