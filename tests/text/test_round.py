"""Text comes back exactly, stays text, and is shown as it becomes complete."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import ZooError
from zoo.text import Decoding, Tokenizer, gpt2, train_tokenizer

TEXT = "Attention looks at some keys, compares itself with each, takes the mean. Ünïcode, 漢字, 🙂!\n\n  def f(x):\n\treturn x"
EXACT = ("byte", "bpe", "unigram", "gpt2")


@pytest.fixture(scope="session")
def tokenizers(request):
    """Kind -> tokenizer, those trained of a small text; gpt2 where its files are."""
    made = {
        kind: train_tokenizer(kind, [TEXT] * 3, 400)
        for kind in ("byte", "char", "bpe", "unigram", "wordpiece", "words")
    }
    folder = request.getfixturevalue("shared_data") / "gpt2-bpe"
    return {**made, "gpt2": gpt2(folder / "encoder.json", folder / "vocab.bpe")}


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
mixed = st.one_of(anything, st.text(" \n\tab'sé漢🙂<|endoftext|>0", max_size=60))


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=150, deadline=None)
@given(text=mixed)
def test_any_text_comes_back(tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.exact and tokenizer.decode(ids) == text
    assert not set(ids) & tokenizer.special  # text is text, whatever it says
    assert tokenizer.decode(tokenizer.document(text)) == text


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=100, deadline=None)
@given(text=mixed)
def test_bytes_of_tokens_add_up(tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    ids, sizes = tokenizer.measured(text)
    assert ids.tolist() == tokenizer.encode(text)
    assert sizes.sum() == len(text.encode()) and (len(ids) == 0 or sizes.min() > 0)
    for found in tokenizer.measured_many([text, text]):
        assert (found[0] == ids).all() and (found[1] == sizes).all()


@pytest.mark.parametrize("kind", ["byte", "char", "bpe", "unigram", "wordpiece", "words", "gpt2"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_streaming_is_decoding(tokenizers, kind, data):
    """Whatever ids come, also bytes that are no text: the parts are the whole, and no part ends within a character."""
    tokenizer = tokenizers[kind]
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    decoding = Decoding(tokenizer)
    parts = [decoding.push([id]) for id in ids]
    assert not any(part.endswith("\ufffd") for part in parts)
    assert "".join(parts) + decoding.rest() == tokenizer.decode(ids)


def test_streaming_waits_for_a_character(tokenizers):
    decoding = Decoding(tokenizers["byte"])
    assert [decoding.push([id]) for id in "aé漢".encode()] == ["a", "", "é", "", "", "漢"]
    assert decoding.push([0xE6]) == "" and decoding.rest() == "\ufffd"


@pytest.mark.parametrize("kind", ["byte", "char", "bpe", "unigram", "wordpiece", "words", "gpt2"])
def test_saved_and_back(tokenizers, kind, tmp_path):
    tokenizer = tokenizers[kind]
    tokenizer.save(tmp_path)
    for again in (
        Tokenizer.load(tmp_path),
        Tokenizer.load(tmp_path / "tokenizer.json"),
        pickle.loads(pickle.dumps(tokenizer)),
    ):
        assert again.encode(TEXT) == tokenizer.encode(TEXT) and again.decode(again.encode(TEXT)) == tokenizer.decode(
            tokenizer.encode(TEXT)
        )
        assert again.vocab_size == tokenizer.vocab_size == len(again)
        for role in ("bos", "eos", "unk"):
            assert getattr(again, role) == getattr(tokenizer, role)
    assert pickle.loads(pickle.dumps(tokenizer)) == tokenizer != Tokenizer


@pytest.mark.parametrize("kind", ["byte", "char", "bpe", "unigram", "wordpiece", "words", "gpt2"])
def test_outside_the_vocabulary(tokenizers, kind):
    size = tokenizers[kind].vocab_size
    for id in (-1, size):
        with pytest.raises(ZooError, match=f"id {id} is outside the tokenizer's vocabulary of {size}"):
            tokenizers[kind].decode([0, id])


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram", "wordpiece", "words", "gpt2"])
def test_half_a_pair_is_no_text(tokenizers, kind):
    with pytest.raises(ZooError, match=r"character 2 is U\+D800"):
        tokenizers[kind].encode("ab\ud800")


def test_characters_never_seen(tokenizers):
    with pytest.raises(ZooError, match=r"never saw 'ß' \(U\+00DF, character 1 of the text\)"):
        tokenizers["char"].encode("aß")


def test_tokens_of_plots(tokenizers):
    assert [tokenizers["gpt2"].token(id) for id in (15496, 995, 50256)] == ["Hello", " world", "<|endoftext|>"]
    assert [tokenizers["byte"].token(id) for id in (65, 200, 256)] == ["A", "<C8>", "<|endoftext|>"]
    word = tokenizers["wordpiece"]
    assert [word.token(id) for id in word.document("keys")][:1] == ["[CLS]"] and word.token(word.mask) == "[MASK]"
    assert word.prompt("keys") == [word.bos, *word.encode("keys"), word.eos][:-1]
    assert tokenizers["byte"].prompt("") == [256] and tokenizers["byte"].prompt("a") == [97]
