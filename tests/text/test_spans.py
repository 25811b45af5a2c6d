"""Characters to tokens and back, windows of a long context: against brute force, for every kind of tokenizer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.text import train_tokenizer
from zoo.text.base import Located
from zoo.text.spans import room_for, stacked, tokens_of, window_starts, windows

TEXT = "O João foi à cozinha, e Zoë (3 anos) não: 'naïve' 日本 🙂 foi\tpara\n\na sala."
KINDS = ("byte", "char", "bpe", "unigram", "wordpiece")
LETTERS = sorted(set(TEXT))


@pytest.fixture(scope="module")
def tokenizers():
    sizes = {"bpe": 300, "unigram": 300, "wordpiece": 120}
    return {kind: train_tokenizer(kind, [TEXT] * 3, sizes.get(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_each_span_of_characters_is_found_again(kind, tokenizers, data):
    """The tokens of a span are the fewest whose characters hold it; where tokens and span agree, it comes back exactly."""
    text = data.draw(st.text(st.sampled_from(LETTERS), min_size=1, max_size=30))
    located = tokenizers[kind].located(text)
    assert located.ids.tolist() == tokenizers[kind].encode(text)
    assert (np.diff(located.starts) >= 0).all() and (np.diff(located.ends) >= 0).all()
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    if text[start].isspace() or text[end - 1].isspace():
        return
    first, last = tokens_of(located, start, end)
    a, b = located.starts[first], located.ends[last]
    assert a <= start and end <= b
    holding = [
        (j - i, i)
        for i in range(len(located.ids))
        for j in range(i, len(located.ids))
        if located.starts[i] <= start and end <= located.ends[j]
    ]
    least = min(located.ends[i + n] - located.starts[i] for n, i in holding)
    assert b - a == least, "no tokens hold the span with less beside it"
    if kind in ("byte", "char"):
        assert text[a:b] == text[start:end]
    assert text[a:b] == text[a:b].strip()


def test_spans_of_words():
    """What is around a word is not its token's: spaces of a BPE, a character of several bytes as the whole."""
    bpe = train_tokenizer("bpe", ["foi para a sala " * 9], 300)
    text = "foi para a  sala"
    located = bpe.located(text)
    words = [text[a:b] for a, b in zip(located.starts, located.ends, strict=True)]
    assert "para" in words and "sala" in words
    byte = train_tokenizer("byte", ()).located("né")
    assert byte.starts.tolist() == [0, 1, 1] and byte.ends.tolist() == [1, 2, 2]
    assert tokens_of(byte, 1, 2) == (1, 2)
    assert tokens_of(Located(*[np.array([], int)] * 3), 0, 1) is None
    assert tokens_of(train_tokenizer("wordpiece", ["a b"], 70).located("a\u0000b"), 1, 2) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 30), st.integers(0, 6))
def test_every_token_of_a_context_is_asked_once_in_its_widest_window(length, room, stride, asked):
    byte = train_tokenizer("byte", ())
    context, question = np.arange(length), list(range(100, 100 + asked))
    size = room + asked + 3
    assert room_for(byte, question, size) == room
    found = windows(byte, question, context, size, stride)
    starts = window_starts(length, room, min(stride, room))
    assert len(found.rows) == len(starts) and all(len(row) <= size for row in found.rows)
    for row, at in zip(found.rows, starts, strict=True):
        assert row.tolist() == [byte.bos, *question, byte.eos, *context[at : at + room], byte.eos]
    assert starts[-1] + room >= length and (len(starts) == 1 or starts[-2] + room < length)
    for token in range(length):
        holding = [i for i, at in enumerate(starts) if at <= token < at + room]
        far = [min(token - starts[i], min(starts[i] + room, length) - 1 - token) for i in holding]
        assert found.row[token] == holding[far.index(max(far))]
        assert found.rows[found.row[token]][found.column[token]] == token


def test_half_a_window_is_the_usual_step():
    byte = train_tokenizer("byte", ())
    many, few = (windows(byte, [1], np.arange(40), 14, stride) for stride in (None, 99))
    assert [row[3] for row in many.rows] == list(range(0, 35, 5)) and [row[3] for row in few.rows] == [0, 10, 20, 30]


def test_rows_of_several_questions():
    byte = train_tokenizer("byte", ())
    found = [windows(byte, question, np.arange(n), 10, 4) for question, n in (([7], 3), ([8, 9], 13))]
    made = stacked(found, byte.pad)
    assert made["ids"].shape == made["mask"].shape == made["segments"].shape == (1 + len(found[1].rows), 10)
    assert made["question"].tolist() == [0, *[1] * len(found[1].rows)]
    assert (made["ids"][~made["mask"]] == byte.pad).all() and (made["segments"][~made["mask"]] == 0).all()
    assert made["segments"][0].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    for i, n in enumerate((3, 13)):
        assert made["ids"].ravel()[made["places"][i, :n]].tolist() == list(range(n))
        assert (made["places"][i, n:] == -1).all()
