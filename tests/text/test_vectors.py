"""Vectors of words for tokens: files of them, whole, broken and hostile, and Word2Vec."""

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.text import train_tokenizer
from zoo.text.vectors import from_file, learned, spelled

TEXTS = ["Die Katze schläft, die Maus nicht.", "Eine Maus und eine Katze schlafen nicht."] * 20


@pytest.fixture(scope="module")
def wordpiece():
    return train_tokenizer("wordpiece", TEXTS, 400)


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer("bpe", TEXTS, 330)


@pytest.fixture
def written(tmp_path):
    def write(content, name="a.vec"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_token_has_the_vector_of_the_word_that_it_spells(written, wordpiece):
    glove = "the 9 9\nKatze 1 2\nkatze 3 4\nschläft -1e-3 0.5\nMaus 5 6\nmaus 7 8\nmaus 0 0\n, 1 1\n"
    found = from_file(written(glove), wordpiece, 2)
    by_name = {wordpiece.token(id): vector.tolist() for id, vector in found.items()}
    # An uncased tokenizer reads Katze and schläft as these tokens; words as they stand come first, and the first of two.
    assert by_name["katze"] == [3, 4] and by_name["maus"] == [7, 8] and by_name[","] == [1, 1]
    assert by_name["schlaft"] == pytest.approx([-1e-3, 0.5]) and "the" not in by_name


def test_of_pieces_those_that_are_words_have_vectors(written, bpe):
    assert {"Katze", "Maus"} <= set(spelled(bpe).values())
    found = from_file(written("2 3\nkatze 1 2 3\nMaus 4 5 6\n"), bpe, 3)
    names = {bpe.token(id): vector.tolist() for id, vector in found.items()}
    assert names == {" Katze": [1, 2, 3], " Maus": [4, 5, 6]}  # Katze by its small letters: the file has no other


def test_the_header_line_of_vec_is_none_of_the_words(written, bpe):
    with_header = from_file(written("2 2\nKatze 1 2\nMaus 3 4 \n"), bpe, 2)
    without = from_file(written("Katze 1 2\r\nMaus\t3 4\r\n"), bpe, 2)
    assert with_header.keys() == without.keys()
    assert all(np.array_equal(with_header[id], without[id]) for id in without)


def test_words_of_several_parts_are_read_over(written, bpe):
    assert len(from_file(written("Katze 1 2\n. . . 5 6\nat name@domain.com 1 1\n"), bpe, 2)) == 1


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("Katze 1 2 3\n", "has vectors of 3 numbers, and the model has model.dim=2; set model.dim=3, or take vectors of 2"),
        ("1000000000000 300\nKatze 1 2\n", "has vectors of 300 numbers, and the model has model.dim=2"),
        ("999999999999999999 2\nKatze 1 2\n", "says that it has 999,999,999,999,999,999 words, and has 1: it is not whole"),
        ("Katze 1 2\nMaus 1\n", "line 2 has 1 numbers behind its word, not 2: 'Maus 1'"),
        ("Katze 1 2\nMaus 1 2 3\n", "line 2 has 3 numbers behind its word, not 2"),
        ("Katze 1 2\n\nMaus 1 2\n", "line 2 is empty; remove it"),
        ("Katze 1 x\n", "line 1: 'x' is not a number"),
        ("2 2\nKatze 1 nan\nMaus 1 2\n", "line 2: 'nan' is not a finite number"),
        ("Katze 1 1e39\n", "line 1: '1e39' is not a finite number of 32 bits"),
        ("Katze 1 -inf\n", "'-inf' is not a finite number"),
        ("Hund 1 2\n", r"has a vector for none of the \d+ tokens \(bpe\)"),
        ("", "has a vector for none"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no file of vectors: its first line is"),
        (b"Katze 1 2\n" + b"M" * 200_000 + b" 1 2\n", "line 2 is longer than a word and 2 numbers can be"),
    ],
)  # fmt: skip
def test_files_that_are_broken_or_hostile_are_a_sentence_with_the_line(content, sentence, written, bpe):
    """A header is not believed, and no line is held that is longer than one can be."""
    with pytest.raises(ZooError, match=sentence):
        from_file(written(content), bpe, 2)


def test_what_is_no_file_is_told(tmp_path, bpe):
    with pytest.raises(ZooError, match="is no file; give word2vec, or a file of vectors"):
        from_file(tmp_path / "a.vec", bpe, 2)
    with pytest.raises(ZooError, match="is a folder"):
        from_file(tmp_path, bpe, 2)


def test_word2vec_has_a_vector_for_each_token_of_the_texts_and_repeats_itself(wordpiece):
    pytest.importorskip("gensim")
    ids = [wordpiece.document(text) for text in TEXTS]
    first, again, other = (learned(lambda: ids, wordpiece, 4, seed, epochs=2) for seed in (0, 0, 1))
    seen = {id for text in ids for id in text} - wordpiece.special
    assert first.keys() == seen and all(np.array_equal(first[id], again[id]) for id in seen)
    assert any(not np.array_equal(first[id], other[id]) for id in seen)
    with pytest.raises(ZooError, match="the texts have no two"):
        learned(lambda: [[5]], wordpiece, 4)


def test_without_gensim_there_is_a_sentence(wordpiece, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gensim.models", None)
    with pytest.raises(ZooError, match=r"gensim, which is not installed; pip install \"attention-zoo\[word2vec\]\""):
        learned(lambda: [[5, 6]], wordpiece, 4)
