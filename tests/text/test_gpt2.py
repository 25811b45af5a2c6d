"""GPT-2's tokenizer against the two that everybody uses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import ZooError
from zoo.text import gpt2


@pytest.fixture(scope="module")
def files(shared_data):
    return [shared_data / "gpt2-bpe" / name for name in ("encoder.json", "vocab.bpe")]


@pytest.fixture(scope="module")
def ours(files):
    return gpt2(*files)


@pytest.fixture(scope="module")
def librarys(files):
    from tokenizers import ByteLevelBPETokenizer

    return ByteLevelBPETokenizer(*map(str, files))


def test_facts(ours):
    assert ours.vocab_size == 50257 and ours.bos == ours.eos == 50256 and ours.pad is ours.mask is ours.unk is None
    assert ours.encode("Hello world") == [15496, 995] and ours.kind == "gpt2" and ours.exact
    assert ours.encode("<|endoftext|>") != [50256] and ours.id("<|endoftext|>") == 50256


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_as_the_library_s(ours, librarys, text):
    assert ours.encode(text) == librarys.encode(text).ids


def test_as_the_library_s_on_shakespeare(ours, librarys, shared_data):
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text()[:300_000]
    ids = ours.encode(text)
    assert ids == librarys.encode(text).ids and ours.decode(ids) == text


def test_as_transformers(ours, files):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2Tokenizer(str(files[0]), str(files[1]))
    for text in ("Hello, world! It's 2024.\n\n  def f(x):\treturn x", "naïve 漢字 🙂  end "):
        assert theirs(text)["input_ids"] == ours.encode(text)


def test_other_files_are_refused(files, tmp_path):
    (tmp_path / "vocab.bpe").write_text("#version\nnot a merge of it\n")
    with pytest.raises(ZooError, match=r"are no encoder.json and vocab.bpe"):
        gpt2(files[0], tmp_path / "vocab.bpe")
