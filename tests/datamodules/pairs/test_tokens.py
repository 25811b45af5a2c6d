"""Tokenizers of pairs: one for both sides or one for each, words, lower case; what is left out, and what is told of a row."""

import logging

import pytest
import torch

from datamodules.pairs import PairCorpus, PairData
from zoo.errors import ZooError
from zoo.text import train_tokenizer

GERMAN = ["Ein Mann läuft.", "Ein Hund läuft, ein Mann nicht.", "Eine Frau.", "Ein Mann.", "Ein Hund."]
ENGLISH = ["A man runs.", "A dog runs, a man doesn't.", "A woman.", "A man.", "A dog."]


class Mine(PairData):
    def load(self):
        splits = {"train": torch.arange(3), "val": torch.tensor([3]), "test": torch.tensor([4])}
        return PairCorpus(GERMAN, ENGLISH, splits, getattr(self, "several", None))


@pytest.fixture
def made(tmp_path):
    def make(**how):
        data = Mine(cache=str(tmp_path), **{"tokenizer": {"kind": "bpe", "vocab_size": 280}, **how})
        data.setup()
        return data

    return make


def test_one_tokenizer_or_two(made):
    joint, two, words = made(), made(joint=False), made(tokens="words", min_count=1)
    assert joint.source.source_tokenizer is None and joint.spec.usual() == {"joint": True}
    for data in (two, words):
        spec, found = data.spec, data.source
        assert spec.source_tokenizer is found.source_tokenizer is not None and spec.usual() == {"joint": False}
        assert (spec.source_vocab, spec.target_vocab) == (found.source_tokenizer.vocab_size, found.tokenizer.vocab_size)
        batch = data.test_rows(1)
        assert found.source_tokenizer.decode(batch.source[0].tolist()) == GERMAN[4]
        assert found.tokenizer.decode(batch.target[0].tolist()) == ENGLISH[4]
    assert words.source.tokenizer.id("Mann") is None and words.source.source_tokenizer.id("Mann") is not None
    assert "words of 15 tokens read, words of 16 said" in words.describe()
    assert made(tokens="words", joint=True).source.source_tokenizer is None
    own = made(source_tokenizer={"kind": "byte"}).source
    assert own.source_tokenizer.kind == "byte" and own.tokenizer.kind == "bpe"


def test_lower_case_is_the_tokenizers_so_it_travels(made):
    for how in ({"lower": True}, {"lower": True, "tokens": "words", "min_count": 1}):
        found = made(**how).source
        assert found.tokenizer.decode(found.tokenizer.encode("A MAN.")) == "a man."
    assert made(lower=True).references("test") == [["A dog."]]  # raw
    assert made(lower=True, tokenizer={"kind": "wordpiece", "vocab_size": 80}).lower
    with pytest.raises(ZooError, match=r"data.lower=true is of no tokenizer=char; take one of bpe, unigram, words"):
        made(lower=True, tokenizer={"kind": "char"})


def test_long_training_pairs_are_left_out_and_told(made, caplog):
    with caplog.at_level(logging.INFO):
        data = made(tokens="words", min_count=1, max_tokens=5)
    assert "1 of 3 training pairs have more than 5 tokens on a side, and are left out" in caplog.text
    assert data.train_size == 2 and data.sources("train") == [GERMAN[0], GERMAN[2]]
    assert data.references("train") == [[ENGLISH[0]], [ENGLISH[2]]]
    with pytest.raises(ZooError, match=r"data.max_tokens=1 leaves out all training pairs"):
        made(max_tokens=1)


def test_references_are_all_that_would_be_right(made, monkeypatch):
    several = [[text, text.upper()] for text in ENGLISH]
    one = made()
    monkeypatch.setattr(Mine, "several", several, raising=False)
    data = made()
    assert one.references("test") == [["A dog."]] and data.references("test") == [["A dog.", "A DOG."]]
    assert data.sources("test") == ["Ein Hund."] and data.digest("test") != one.digest("test")


def test_words_come_back_as_plain_text():
    text = 'A man\'s t-shirt says "stop!" (now) at 3.5...'
    tokenizer = train_tokenizer("words", [text], min_count=1)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode("A dog <s> stop")) == "A <unk> <unk>s <unk> <unk>"
    assert {tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.unk, tokenizer.mask} == set(range(5))
    lower = train_tokenizer("words", [text], min_count=1, lower=True, special=False)
    assert lower.bos is None and lower.decode(lower.encode(text)) == text.lower()
    with pytest.raises(ZooError, match="finds no word 2 times"):
        train_tokenizer("words", ["b"])
    with pytest.raises(ZooError, match="min_count=0 is not how often"):
        train_tokenizer("words", [text], min_count=0)


def test_a_models_tokenizers_feed_it(made):
    theirs = [train_tokenizer("words", texts, min_count=1) for texts in (GERMAN, ENGLISH)]
    data = Mine(cache=made().cache)
    data.use_tokenizer(theirs[1], theirs[0])
    data.setup()
    assert (data.source.tokenizer, data.source.source_tokenizer) == (theirs[1], theirs[0])
    with pytest.raises(ZooError, match="made into tokens already"):
        data.use_tokenizer(theirs[1])
    asked = Mine(cache=data.cache, tokenizer=train_tokenizer("byte", []))
    with pytest.raises(ZooError, match=r"data.tokenizer is a tokenizer of 259 tokens, and the weights were"):
        asked.use_tokenizer(theirs[1])
    with pytest.raises(
        ZooError, match=r"data.tokens=words, and the weights were trained on tokens of another kind \(byte\)"
    ):
        Mine(cache=data.cache, tokens="words").use_tokenizer(train_tokenizer("byte", []))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (dict(tokens="word"), "data.tokens=word is unknown: did you mean 'words'"),
        (dict(max_tokens=0), "data.max_tokens=0 is not such a number; give 1 or more"),
        (dict(buckets=-1), "data.buckets=-1 is not such a number; give 0 or more"),
        (dict(source_tokenizer="bpee"), "data.tokenizer=bpee is unknown"),
    ],
)
def test_bad_settings_are_sentences(how, match, made):
    with pytest.raises(ZooError, match=match):
        made(**how)
