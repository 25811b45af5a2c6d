"""llama2.c's files: the logits of its model, computed here in plain steps; its tokenizer; and no file of another size."""

import struct

import pytest
import torch

import zoo
from tests.pretrained.llama2c_files import encode, logits, pieces, write, write_tokenizer

IDS = torch.tensor([1, 7, 3, 44, 12, 12, 30, 5])


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("sizes", [{}, {"kv_heads": 4}, {"kv_heads": 1, "context": 8}])
def test_same_logits(version, tied, sizes, tmp_path):
    """C14; and again as a model folder of ours."""
    tensors, s = write(tmp_path / "model.bin", version, tied, **sizes)
    model = zoo.load(tmp_path / "model.bin")
    with torch.no_grad():
        torch.testing.assert_close(model(IDS[None])[0], logits(tensors, s, IDS), rtol=1e-4, atol=1e-4)
        again = zoo.load(zoo.save(model, tmp_path / "ours"))
        assert torch.equal(again(IDS[None]), model(IDS[None]))
    assert (model.context, model.vocab_size, model.end_tokens) == (s["context"], 50, (1, 2)) == (
        again.context, again.vocab_size, again.end_tokens,
    )  # fmt: skip
    assert (model.head.weight is model.embed.weight) == tied and not model.training


def test_names_of_the_published_sizes():
    """llama_15m: its config is that of a file of those sizes."""
    model = zoo.create_model("llama_15m")
    assert sum(p.numel() for p in model.parameters()) == 15_191_712


# ---- tokenizer.bin ---------------------------------------------------------------------------------------------------------

TEXTS = [
    "once there",
    "the the  the",
    " there",
    "Once, on a",
    "héllo there é",
    "a\nb\t",
    "日本 on",
    "",
    "<s> </s> <0x41>",
    "in'er",
]


@pytest.mark.parametrize("old", [False, True])
def test_the_tokenizer_is_llama2cs(old, tmp_path):
    scored = pieces(old)
    write(tmp_path / "model.bin", vocab=len(scored))
    model = zoo.load(tmp_path / "model.bin", tokenizer=write_tokenizer(tmp_path / "tokenizer.bin", scored))
    tokenizer = model.tokenizer
    for text in TEXTS:
        assert tokenizer.encode(text) == encode(scored, text), text
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert (tokenizer.bos, tokenizer.eos, tokenizer.vocab_size) == (1, 2, len(scored))
    assert tokenizer.prompt("on a") == [1, *encode(scored, "on a")] and tokenizer.prompt("") == [1]
    again = zoo.load(zoo.save(model, tmp_path / "ours")).tokenizer
    assert again == tokenizer and [again.encode(text) for text in TEXTS] == [encode(scored, text) for text in TEXTS]


@pytest.mark.parametrize("name", ["tokenizer.bin", "tok295.bin"])
def test_a_folder_of_a_model_and_its_tokenizer(name, tmp_path):
    scored = pieces()
    write(tmp_path / "stories.bin", 0, vocab=len(scored))
    assert zoo.load(tmp_path).tokenizer is None
    write_tokenizer(tmp_path / name, scored)
    assert zoo.load(tmp_path).tokenizer.encode("the") == encode(scored, "the")


def test_a_folder_of_several_is_not_guessed(tmp_path):
    write(tmp_path / "a.bin"), write(tmp_path / "b.bin")
    with pytest.raises(zoo.ZooError, match=r"a\.bin, b\.bin: 2 models and 0 tokenizers"):
        zoo.load(tmp_path)


def test_a_tokenizer_of_another_size_is_refused(tmp_path):
    write(tmp_path / "model.bin")
    path = write_tokenizer(tmp_path / "tok.bin", pieces())
    with pytest.raises(zoo.ZooError, match=f"is of 50 tokens, and the tokenizer of {len(pieces())}"):
        zoo.load(tmp_path / "model.bin", tokenizer=path)
    write(tmp_path / "model.bin", vocab=len(pieces()) + 1)
    with pytest.raises(zoo.ZooError, match=f"is of {len(pieces()) + 1} tokens, and the tokenizer of {len(pieces())}"):
        zoo.load(tmp_path)


# ---- files that are none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("tied", [True, False])
def test_missing_and_left_over_bytes_are_refused_with_both_sizes(version, tied, tmp_path):
    path = tmp_path / "model.bin"
    write(path, version, tied)
    content = path.read_bytes()
    for more, word in (
        (-1, "1 are missing"),
        (-4000, "4,000 are missing"),
        (1, "1 are left over"),
        (400, "400 are left over"),
    ):
        path.write_bytes(content[:more] if more < 0 else content + bytes(more))
        with pytest.raises(zoo.ZooError) as refusal:
            zoo.load(path)
        assert word in str(refusal.value)
        assert f"{len(content) + more:,}" in str(refusal.value) and f"{len(content):,}" in str(refusal.value)


def header(path, at, number):
    content = bytearray(path.read_bytes())
    content[at : at + 4] = struct.pack("<i", number)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("at", "number", "words"),
    [
        (4, 2, "version 2, int8 weights"),
        (4, 7, "version 7; versions 0 and 1"),
        (8, 0, "dim cannot be"),
        (8, -24, "dim cannot be"),
        (8, 2**31 - 1, "cannot be"),
        (16, 2**31 - 1, "are missing"),
        (20, 5, "n_heads, n_kv_heads cannot be"),
        (24, 3, "n_kv_heads cannot be"),
        (28, -50, "vocab_size cannot be"),
        (32, 2**31 - 1, "context=2147483647 is larger than anything in the weights"),
        (36, 9, "is 9, not 0 or 1"),
    ],
)
def test_headers_that_cannot_be(at, number, words, tmp_path):
    path = tmp_path / "model.bin"
    write(path)
    header(path, at, number)
    with pytest.raises(zoo.ZooError, match=words):
        zoo.load(path)


def test_nan_is_refused(tmp_path):
    path = tmp_path / "model.bin"
    write(path)
    path.write_bytes(path.read_bytes()[:-4] + struct.pack("<f", float("nan")))
    with pytest.raises(zoo.ZooError, match="NaN"):
        zoo.load(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"PK\3\4" + bytes(400), bytes(28), bytes(300)])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(zoo.ZooError, match=r"model\.bin"):
        zoo.load(tmp_path / "model.bin")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-1], "cut off"),
        (lambda content: content + b"\0", "pieces take"),
        (lambda content: content[:4], "0 pieces"),
        (lambda content: b"", "0 pieces"),
        (lambda content: content[:8] + struct.pack("<I", 2**32 - 1) + content[12:], "cut off"),
        (lambda content: content[:4] + struct.pack("<f", float("nan")) + content[8:], "score of nan"),
        (lambda content: content[:12] + b"\xff\xfe" + content[14:], "no UTF-8"),
        (lambda content: content + struct.pack("<fI", 0.0, 3) + b" th", "stands there twice"),
        (lambda content: content + struct.pack("<fI", 0.0, 5000) + b"a" * 5000, "5000 bytes"),
        (lambda content: content * 3000, "larger than 8 MB"),
    ],
)
def test_tokenizers_that_are_none(change, words, tmp_path):
    write(tmp_path / "model.bin", vocab=400)
    path = write_tokenizer(tmp_path / "tok.bin", [*pieces(), (" th", -30.5)])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(zoo.ZooError, match=words):
        zoo.load(tmp_path / "model.bin", tokenizer=path)
