"""tokenizer.json of others: any that the library reads, within bounds; else a sentence (A8)."""

import json
import os

import pytest

from zoo.errors import ZooError
from zoo.text import Tokenizer, files, from_file, train_tokenizer

TEXT = "a model reads a file that somebody else may have written. " * 5


@pytest.fixture(scope="module")
def good():
    """The content of a good file."""
    return json.loads(train_tokenizer("bpe", [TEXT], 300).to_json())


@pytest.fixture
def written(tmp_path):
    def write(content) -> str:
        path = tmp_path / "tokenizer.json"
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(text)
        return path

    return write


def changed(content, **changes):
    return {**content, **changes}


def test_as_transformers_reads_it(written, good):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(written(good)))
    assert theirs(TEXT)["input_ids"] == from_file(written(good)).encode(TEXT)


def test_what_cuts_and_fills_up_is_left_out(written, good):
    """A file's own truncation would end texts without a word."""
    cutting = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    filling = {"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None}
    filling |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "a"}
    tokenizer = from_file(written(changed(good, truncation=cutting, padding=filling)))
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT and len(tokenizer.encode("a")) == 1


def test_roles_by_name_or_as_told(written, good):
    path = written(good)
    assert Tokenizer.load(path).bos == Tokenizer.load(path).eos == 0
    told = from_file(path, bos=None, eos="<|mask|>", pad=7)
    assert (told.bos, told.eos, told.pad) == (None, 2, 7)
    for wrong in ("<nothing>", 10**6, -1):
        with pytest.raises(ZooError, match="has no token"):
            from_file(path, eos=wrong)


def test_llama_like_names(written, good):
    tokens = [dict(good["added_tokens"][0], id=i, content=name) for i, name in enumerate(("<unk>", "<s>", "</s>"))]
    vocab = dict(good["model"]["vocab"])
    for old, new in zip(("<|endoftext|>", "<|pad|>", "<|mask|>"), ("<unk>", "<s>", "</s>"), strict=True):
        vocab[new] = vocab.pop(old)
    found = from_file(written(changed(good, added_tokens=tokens, model=changed(good["model"], vocab=vocab))))
    assert (found.bos, found.eos, found.pad, found.mask, found.unk) == (1, 2, None, None, 0)


def template(*pieces, ids=(0,)):
    """Of A, B (the text, and a second one) and X, a special token that stands for these ids."""
    named = [{"Sequence" if each in "AB" else "SpecialToken": {"id": each, "type_id": 0}} for each in pieces]
    special = {"X": {"id": "X", "ids": list(ids), "tokens": ["a"] * len(ids)}} if "X" in pieces else {}
    return {
        "type": "TemplateProcessing",
        "single": named,
        "pair": [{"Sequence": {"id": id, "type_id": 0}} for id in "AB"],
        "special_tokens": special,
    }


DEEP = json.loads("[" * 30 + "]" * 30)
EMPTY = {"type": "BPE", "vocab": {}, "merges": []}
GROWS = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
WHOLE = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": None, "post_processor": None, "decoder": None,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
}  # fmt: skip
HOSTILE = {
    "empty": (b"", "is no tokenizer.json"),
    "not JSON": (b"{", "is no tokenizer.json"),
    "not UTF-8": (b'{"a": "\xff"}', "is no tokenizer.json"),
    "a list": (b"[]", "holds a list"),
    "NaN": (b'{"a": NaN}', "NaN is not a number"),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is no tokenizer.json"),
    "nothing": ({}, "no model"),
    "another kind": ({"kind": "pickle"}, "no tokenizer of this project"),
    "kind is a list": ({"kind": ["byte"]}, "no tokenizer of this project"),
    "char without characters": ({"kind": "char", "special": True}, "no tokenizer of this project"),
    "char twice": ({"kind": "char", "characters": "aa"}, "each of its characters once"),
    "half a pair": (b'{"kind": "char", "characters": "\\ud800"}', "no Unicode"),
    "a key more": ({"model": {}, "auto_map": "evil.py"}, "auto_map, which the tokenizers library does not know"),
    "another model": ({"model": {"type": "Evil", "vocab": {}}}, "is none of BPE"),
    "no vocabulary": ({"model": {"type": "BPE", "vocab": 7}}, "no vocabulary"),
    "a huge id": ({"model": {"type": "WordLevel", "vocab": {"a": 2**31}, "unk_token": "a"}}, "has id 2147483648 among 1"),
    "an id of text": ({"model": {"type": "WordLevel", "vocab": {"a": "b"}, "unk_token": "a"}}, "has id b among 1"),
    "added tokens": ({"model": {"type": "BPE", "vocab": {}}, "added_tokens": [1]}, "no list of tokens"),
    "a deep decoder": ({"model": EMPTY, "decoder": DEEP}, "decoder is larger"),
    "a long pattern": ({"model": {"type": "BPE", "vocab": {}}, "pre_tokenizer": {"pattern": "x" * 10_000}}, "10,000 letters"),
    "merges of nothing": ({"version": "1.0", "model": {**EMPTY, "merges": [["a", "b"]]}}, "cannot read it"),
    "merges again and again": ({"model": {**EMPTY, "merges": [["a", "b"]] * 2000}}, "2,000 merges, more than the 1,000"),
    "a token without end": ({"model": {**EMPTY, "vocab": {"x" * 6000: 0}}}, "a token of more than 5,000 letters"),
    "a piece without end": ({"model": {"type": "Unigram", "vocab": [["x" * 10**6, 0.0]]}}, "a token of more than 5,000"),
    "added tokens without end": (
        {"model": EMPTY, "added_tokens": [{"id": i, "content": f"{i}" + "x" * 4000} for i in range(300)]},
        "added tokens have 1,200,790 letters",
    ),
    "more characters than there are": ({"kind": "char", "characters": "a" * 2_000_000}, "are more than there are"),
    "words in cubic time": (
        {"model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a", "max_input_chars_per_word": 10**9}},
        "max_input_chars_per_word=1000000000 is not within 1 to 1,000",
    ),
    "a normalizer that grows": (
        {"model": EMPTY, "normalizer": {"type": "Sequence", "normalizers": [GROWS, GROWS]}},
        "normalizer makes more than 1,000 letters of one",
    ),
    "a decoder that grows": (
        {"model": EMPTY, "decoder": {"type": "Sequence", "decoders": [GROWS, GROWS]}}, "decoder makes more than"
    ),
    "a normalizer that puts in front": (
        {"model": EMPTY, "normalizer": {"type": "Prepend", "prepend": "x" * 4000}}, "normalizer makes more than"
    ),
    "a text over and over": ({**WHOLE, "post_processor": template(*"A" * 150)}, "a text more than 4 times over"),
    "twice, and that twice": (
        {**WHOLE, "post_processor": {"type": "Sequence", "processors": [template("A", "A")] * 3}}, "a text more than 4 times"
    ),
    "tokens about a text": (
        {**WHOLE, "post_processor": template(*"XX", "A", ids=[0] * 900)}, "more than 1,000 tokens about a text"
    ),
    "ends that are not there": (
        {**WHOLE, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "X", "type_id": 0}}],
                                     "pair": [], "special_tokens": {}}}, "no entry found",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_sentences(written, case):
    content, said = HOSTILE[case]
    path = written(content)
    with pytest.raises(ZooError, match=said) as raised:
        from_file(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 1000


def test_templates_as_models_have_them_are_read(written):
    """BERT's ends, and a text that is given twice."""
    ends = from_file(written({**WHOLE, "post_processor": template("X", "A", "X", ids=[2])}))
    assert ends.prompt("b") == [2, 1]
    for each in (template("A", "A"), {"type": "Sequence", "processors": [template("X", "A")] * 3}):
        assert from_file(written({**WHOLE, "post_processor": each})).vocab_size == 3


def test_a_panic_of_the_library_is_a_sentence_alone(written, capfd):
    """It writes to the terminal by itself before it is an exception."""
    with pytest.raises(ZooError, match="cannot"):
        from_file(written({**WHOLE, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}))
    assert capfd.readouterr() == ("", "")


def test_a_panic_while_a_text_is_read_is_a_sentence_alone(written, good, capfd):
    """The backtracking engine gives up on a long text, and the library panics."""
    split = {"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Isolated", "invert": False}
    tokenizer = from_file(written(changed(good, pre_tokenizer=split)))
    with pytest.raises(ZooError, match="the tokenizer cannot do it"):
        tokenizer.encode("a" * 40 + "!")
    os.write(2, b"this comes out\n")
    assert capfd.readouterr() == ("", "this comes out\n")


def test_the_same_text_is_the_same_ids(written):
    """BPE-dropout is for training others."""
    model = {**WHOLE["model"], "dropout": 0.9}
    found = from_file(written({**WHOLE, "model": model}))
    assert all(found.encode("ab" * 20) == [2] * 20 for _ in range(20))


def test_a_file_larger_than_any(written, monkeypatch, good):
    monkeypatch.setattr(files, "BYTES", 100)
    with pytest.raises(ZooError, match="which no tokenizer is"):
        from_file(written(good))


def test_no_file(tmp_path):
    with pytest.raises(ZooError, match="There is no file"):
        from_file(tmp_path)
