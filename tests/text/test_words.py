"""Words to tokens, the first of each known."""

import pytest

from zoo.text import train_tokenizer
from zoo.text.words import encode_words, split_words

TEXT = 'The "assert" statement is naïve: x[i] == __debug__ or 42'
KINDS = ["byte", "char", "bpe", "wordpiece", "unigram"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_token_of_each_word_is_its_own(kind):
    """The tokens from one place to the next decode to the word, whatever the tokenizer does with spaces."""
    more = {} if kind in ("byte", "char") else {"vocab_size": 300}
    tokenizer = train_tokenizer(kind, [TEXT] * 4, **more)
    words = [word.text for word in split_words(TEXT)]
    pieces = encode_words(tokenizer, words)
    assert len(pieces.places) == len(words) and min(pieces.places) >= 0 and pieces.places[0] == 0
    for word, first, end in zip(words, pieces.places, [*pieces.places[1:], len(pieces.ids)], strict=True):
        said = tokenizer.decode(pieces.ids[first:end]).strip()
        wanted = word if tokenizer.exact else "naive" if word == "naïve" else word.lower()
        assert said.replace(" ", "") == wanted, kind


def test_words_know_where_they_stand():
    found = split_words(TEXT)
    assert [TEXT[word.start : word.end] for word in found] == [word.text for word in found]


def test_brackets_stay_with_a_word_that_has_both():
    said = {
        "f(x), (f(x)).": ["f(x)", ",", "(", "f(x)", ")", "."],
        "“ok” () a) (b don't 3.8:": ["“", "ok", "”", "()", "a", ")", "(", "b", "don't", "3.8", ":"],
        "(a)(b) ((a), b)": ["(a)(b)", "(", "(", "a", ")", ",", "b", ")"],
    }
    for text, words in said.items():
        assert [word.text for word in split_words(text)] == words


def test_a_word_without_a_token_has_no_place():
    """WordPiece makes nothing of a control character."""
    tokenizer = train_tokenizer("wordpiece", [TEXT] * 4, vocab_size=300)
    assert encode_words(tokenizer, ["The", "\x01", "statement"]).places[1] == -1
