"""Where a text ends, and what may be shown of it before."""

import pytest
import torch

import zoo
from tests.generation.tiny import prompt, tiny
from zoo.errors import ZooError
from zoo.generation.stopping import Stop, Tail
from zoo.text import Bytes, Characters


@pytest.fixture(scope="module")
def speaking():
    """A model of bytes, and what it says greedily after a prompt: all bytes are likely, so few characters are whole."""
    model = tiny("llama", vocab_size=259, spread=0.5)
    model.tokenizer = Bytes()
    return model, list(b"ab"), model.generate([list(b"ab")], 30, temperature=0, stop=[]).ids[0].tolist()


def cut(ids, *ends):
    """Up to the first of the ends, it included."""
    return ids[: min((ids.index(end) for end in ends if end in ids), default=len(ids) - 1) + 1]


def test_none_is_the_models_own_end(speaking):
    model, start, said = speaking
    assert model.end_tokens == (256,)
    got = model.generate([start], 30, temperature=0)
    assert got.ids[0].tolist() == cut(said, 256)
    model.end_tokens = (said[4], said[9])
    assert model.generate([start], 30, temperature=0).ids[0].tolist() == cut(said, said[4], said[9])
    assert model.generate([start], 30, temperature=0, stop=[]).ids[0].tolist() == said
    model.end_tokens = None


@pytest.mark.parametrize("how", [{}, dict(cache="none"), dict(draft="lookup")], ids=str)
def test_ids(speaking, how):
    model, start, said = speaking
    for stop in (said[6], [said[6]], [said[6], 256], {said[6]}, iter([said[6]])):
        got = model.generate([start], 30, temperature=0, stop=stop, **how)
        assert got.ids[0].tolist() == cut(said, said[6], 256)[: len(got.ids[0])] and got.ids[0, -1] in (said[6], 256)
        assert got.lengths.tolist() == [len(got.ids[0])]


def test_rows_end_by_themselves():
    """pad (else end) after a row's end; lengths count the end; logprobs 0 after it. The rest goes on as if alone."""
    model = tiny("llama", vocab_size=259, spread=0.5)
    rows = [[1, 2, 3], [4, 5]]
    whole = model.generate(rows, 12, temperature=0, stop=[])
    end = int(whole.ids[0, 3])
    first, second = (cut(row, end) for row in whole.ids.tolist())
    assert len(first) <= 4 != len(second)
    for tokenizer, fill in ((None, end), (Bytes(), 257)):
        model.tokenizer = tokenizer
        got = model.generate(rows, 12, temperature=0, stop=end)
        longest = max(len(first), len(second))
        assert got.lengths.tolist() == [len(first), len(second)]
        assert got.ids.tolist() == [row + [fill] * (longest - len(row)) for row in (first, second)]
        for r, n in enumerate(got.lengths.tolist()):
            torch.testing.assert_close(got.logprobs[r, :n], whole.logprobs[r, :n])
            assert not got.logprobs[r, n:].any()


def test_strings(speaking):
    model, start, said = speaking
    letters = model.tokenizer.decode(said)
    at = next(i for i, letter in enumerate(letters) if i > 5 and letter.isascii())
    string = letters[at : at + 1]
    want = letters[: letters.index(string)]
    got = model.generate([start], 30, temperature=0, stop=[string])
    assert model.tokenizer.decode(got.ids[0].tolist()) == want + string and got.lengths[0] == got.ids.shape[1]
    assert zoo.generate(model, "ab", 30, temperature=0, stop=string) == [want]
    assert zoo.generate(model, "ab", 30, temperature=0, stop=[string, said[0]]) == [""]  # both
    assert zoo.generate(model, ["ab"], 30, temperature=0, stop=[]) == [letters]


@pytest.mark.parametrize("stop", [None, [], "hidden", ["hidden", 7]], ids=str)
def test_streamed_text_is_the_text(speaking, stop):
    model, _, said = speaking
    letters = model.tokenizer.decode(said)
    at = next(i for i, letter in enumerate(letters) if i > 5 and letter.isascii())
    stop = [letters[at], 7] if stop == ["hidden", 7] else letters[at] if stop == "hidden" else stop
    want = zoo.generate(model, ["ab", "xyz"], 30, temperature=0, stop=stop)
    pieces = list(zoo.generate(model, ["ab", "xyz"], 30, temperature=0, stop=stop, stream=True))
    assert ["".join(row) for row in zip(*pieces, strict=True)] == want
    assert "".join(zoo.generate(model, "ab", 30, temperature=0, stop=stop, stream=True)) == want[0]


def pushed(tokenizer, ids, strings=()):
    tail = Tail(strings, tokenizer)
    return [*(tail.push(each) for each in ids), tail.rest()]


def test_no_character_is_broken():
    text = "a\u00e9\u20ac\U0001f600z"
    pieces = pushed(Bytes(), text.encode())
    assert "".join(pieces) == text and all("\ufffd" not in piece for piece in pieces)
    assert [piece for piece in pieces if piece] == list(text)
    assert pushed(Bytes(), text.encode()[:-3])[-1] == "\ufffd"  # it never became whole


def test_no_beginning_of_a_stop_string_is_shown():
    letters = Characters.of(["abcd\n"])
    said = letters.encode("aabaab\nc")
    assert pushed(letters, said, ["aab\n"]) == ["", "", "", "aab", "", "", "", "", ""]
    assert pushed(letters, letters.encode("aaba"), ["aab\n"]) == [
        "",
        "",
        "",
        "aab",
        "a",
    ]  # what never became one is shown
    assert pushed(letters, letters.encode("abcd"), ["bc", "cd"]) == ["a", "", "", "", ""]
    assert pushed(letters, letters.encode("abd"), ["bc", "d"]) == ["a", "", "b", ""]


def test_one_token_may_hold_the_end_and_more():
    """The text ends where the string begins, within a token."""

    class Words(Characters):
        def decode(self, ids, special=False):
            return "".join(["one ", "two. Three", "four"][i] for i in ids)

    tokenizer = Words.of(["abc"], special=False)
    assert pushed(tokenizer, [0, 1, 2], [". "]) == ["one ", "two", "", ""]
    model = tiny(vocab_size=3)
    model.tokenizer = tokenizer
    for row in model.generate([[0]] * 4, 20, seed=0, stop=". ").ids.tolist():
        assert 1 not in row[:-1] or row[row.index(1) + 1 :] == [0] * (len(row) - row.index(1) - 1)  # filled up


def test_a_prompt_is_context_of_the_text():
    """As of SentencePiece: a word's space is left out at the beginning of a text alone."""

    class Pieces(Characters):
        def decode(self, ids, special=False):
            return "".join([" Once", " upon", " a"][i] for i in ids).removeprefix(" ")

    tokenizer = Pieces.of(["abc"], special=False)
    assert "".join(pushed(tokenizer, [0, 1])) == "Once upon"
    tail = Tail((), tokenizer, [0])
    assert tail.push(1) + tail.push(2) == " upon a"


@pytest.mark.parametrize(
    ("stop", "says"),
    [
        (400, "stop has the id 400, outside the vocabulary of this model, 0 to 23"),
        ([-1], "stop has the id -1"),
        ([1.5], r"stop is ids, strings or both; got \[1.5\]"),
        ([True], "stop is ids, strings or both"),
        ("", "stop has an empty string"),
        ("x", "stop='x' is a string, and this model has no tokenizer"),
    ],
    ids=str,
)
def test_refused(stop, says):
    model = tiny()
    model.tokenizer = None if stop == "x" else Characters.of(["ab"])
    with pytest.raises(ZooError, match=says):
        model.generate(prompt(), 3, stop=stop)


def test_text_needs_a_tokenizer_and_text():
    model = tiny(vocab_size=259)
    with pytest.raises(ZooError, match="This model has no tokenizer"):
        zoo.generate(model, "a")
    model.tokenizer = Bytes()
    with pytest.raises(ZooError, match="A prompt is a text or a list of texts"):
        zoo.generate(model, [1, 2])
    assert len(zoo.generate(model, "", 3, stop=[])) == 1  # behind bos


def test_an_end_is_no_text():
    stop = Stop(None, end_tokens=(256,), vocab_size=259, tokenizer=Bytes())
    assert stop.fill == 257 and stop.ids == {256} and stop.ends([5, 256], []) and not stop.ends([256, 5], [])
