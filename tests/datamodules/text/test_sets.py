"""The sets themselves: what they hold, how they are split, what is kept of them, and what is refused."""

import json
import shutil
from itertools import chain

import numpy as np
import pytest
import torch

from datamodules.text import PythonDocs, TextFile, TinyShakespeare, corpus, python_docs
from datamodules.text.corpus import FileText
from datamodules.text.tokens import Tokens
from zoo.errors import ZooError
from zoo.text import Tokenizer, train_tokenizer

STAGES = ("train", "val", "test")


@pytest.fixture
def text_file(tmp_path):
    """textfile(text or bytes, or {name: ...}, **options): a module that is ready."""

    def make(content, ready=True, **options):
        where = tmp_path / "data"
        files = content if isinstance(content, dict) else {"one.txt": content}
        for name, text in files.items():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        path = where if isinstance(content, dict) else where / "one.txt"
        module = TextFile(path=str(path), cache=str(tmp_path / "cache"), **{"context": 8, **options})
        if ready:
            module.setup()
        return module

    return make


def whole(module, stage):
    return "".join(module.texts(stage))


# -- python_docs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    module = PythonDocs(cache=str(tmp_path_factory.mktemp("cache")), tokenizer={"kind": "bpe", "vocab_size": 600})
    module.setup()
    return module


def test_python_docs_is_what_python_says(docs):
    """Topics and docstrings, paragraphs of over 60 characters once; nothing of tests and of site-packages."""
    texts = [document.text for document in docs.source.corpus.documents]
    assert 1_500_000 < sum(map(len, texts)) < 4_000_000 and len(texts) > 400
    assert any('The "lambda"' in text or "Lambdas" in text for text in texts)  # a topic
    assert any(
        text.startswith("A generic class to build line-oriented command interpreters.") for text in texts
    )  # cmd.py
    paragraphs = [part.strip() for text in texts for part in text.split("\n\n")]
    long = [part for part in paragraphs if len(part) > python_docs.SHORT]
    assert len(long) == len(set(long))
    assert all(text == text.strip() and text for text in texts)
    names = python_docs._files()
    assert next(iter(names)) == python_docs.TOPICS and "json/decoder.py" in names
    assert not [name for name in names if {"test", "tests", "site-packages", "idle_test"} & set(name.split("/"))]


def test_python_docs_is_split_by_document(docs):
    parts = {stage: set(docs.source.corpus.splits[stage].tolist()) for stage in STAGES}
    assert set.union(*parts.values()) == set(range(len(docs.source.corpus.documents)))
    assert sum(map(len, parts.values())) == len(docs.source.corpus.documents)
    shares = [len(parts[stage]) / len(docs.source.corpus.documents) for stage in STAGES]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=2e-3)
    assert sum(int(batch.num_bytes.sum()) for batch in docs.test_dataloader()) == len(whole(docs, "test").encode())


def test_python_docs_is_read_once(docs, monkeypatch):
    monkeypatch.setattr(python_docs, "_texts", lambda *_: pytest.fail("parsed again"))
    assert len(python_docs.documents(docs.search_paths[-1])) == len(docs.source.corpus.documents)


# -- tinyshakespeare -------------------------------------------------------------------------------------------------------


def test_tiny_shakespeare(shared_data, tmp_path):
    def make(**options):
        module = TinyShakespeare(
            folder=str(shared_data), cache=str(tmp_path), tokenizer={"kind": "char", "special": False}, **options
        )
        module.setup()
        return module

    module = make(split=[0.9, 0.1, 0])
    assert [len(whole(module, stage)) for stage in STAGES] == [1_003_854, 111_540, 0]
    assert module.spec.vocab_size == 65 and module.test_size == 0 and list(module.test_dataloader()) == []
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text()
    assert whole(module, "train") + whole(module, "val") == text
    ids = {character: i for i, character in enumerate(sorted(set(text)))}  # nanoGPT's
    assert module.source.tokens["val"].ids[:50].tolist() == [ids[c] for c in text[1_003_854:1_003_904]]
    assert [path.name for path in (shared_data / "tinyshakespeare").iterdir()] == ["input.txt"]  # nothing beside it


def test_another_file_is_not_shakespeare(tmp_path):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text("Shall I compare thee to a summer's day?")
    with pytest.raises(ZooError, match="is damaged or another file: its sha256 is"):
        TinyShakespeare(folder=str(tmp_path), cache=str(tmp_path)).setup()


def test_gpt2_is_found_and_verified(shared_data, tmp_path, text_file):
    module = text_file("Hello world. " * 50, folder=str(shared_data), tokenizer={"kind": "gpt2"})
    assert module.spec.vocab_size == 50257 and module.source.tokens["train"].ids[:2].tolist() == [15496, 995]
    shutil.copytree(shared_data / "gpt2-bpe", tmp_path / "other" / "gpt2-bpe", copy_function=shutil.copyfile)
    with open(tmp_path / "other" / "gpt2-bpe" / "vocab.bpe", "a") as file:
        file.write("x y\n")
    with pytest.raises(ZooError, match=r"vocab\.bpe is damaged or another file: its sha256 is"):
        text_file("Hello world. " * 50, folder=str(tmp_path / "other"), tokenizer={"kind": "gpt2"})


# -- textfile --------------------------------------------------------------------------------------------------------------


def test_a_file_is_split_by_position(text_file):
    text = "".join(chr(97 + i % 26) for i in range(1000))
    module = text_file(text, split=[0.8, 0.1, 0.1])
    assert [whole(module, stage) for stage in STAGES] == [text[:800], text[800:900], text[900:]]


def test_no_character_is_cut(text_file):
    module = text_file("漢字" * 500, split=[0.77, 0.11, 0.12])
    assert "".join(whole(module, stage) for stage in STAGES) == "漢字" * 500
    assert all("\ufffd" not in whole(module, stage) for stage in STAGES)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_with_and_without_a_byte_order_mark(text_file, mark):
    module = text_file(mark + "é and so on\r\n".encode() * 50)
    assert whole(module, "train").startswith("é and so on\r\n")


def test_a_folder_is_split_by_document(text_file):
    files = {f"part{i % 3}/{i:02}.txt": f"{i:02} " * 30 for i in range(20)} | {".hidden/x.txt": "x", "note.md": "m"}
    module = text_file(files, split=[0.8, 0.1, 0.1])
    found = {stage: [document.path.stem for document in module.source.corpus.part(stage)] for stage in STAGES}
    assert (
        sorted(chain.from_iterable(found.values())) == [f"{i:02}" for i in range(20)]
        and len(found["val"]) == len(found["test"]) == 2
    )
    numbers = {stage: set(whole(module, stage).split()) for stage in STAGES}
    assert not numbers["train"] & numbers["test"] and not numbers["val"] & numbers["test"]
    other = text_file(files, split=[0.8, 0.1, 0.1], split_seed=1)
    assert [d.path.stem for d in other.source.corpus.part("test")] != found["test"]


def test_the_tokenizer_knows_the_training_part_alone(text_file):
    """A word of the test part makes no token and changes none."""
    text = "the quick brown fox jumps over the lazy dog " * 200
    bpe = {"kind": "bpe", "vocab_size": 320}
    plain = text_file(text, tokenizer=bpe, split=[0.5, 0.25, 0.25]).spec.tokenizer
    changed = text_file(text[:6600] + "zyzzyva " * (len(text[6600:]) // 8), tokenizer=bpe, split=[0.5, 0.25, 0.25])
    assert "zyzzyva" in whole(changed, "test") and changed.spec.tokenizer == plain
    assert text_file("zyzzyva " * 1100, tokenizer=bpe, split=[0.5, 0.25, 0.25]).spec.tokenizer != plain


def test_tokens_are_kept_by_the_hashes_of_text_and_tokenizer(text_file, tmp_path, monkeypatch):
    bpe = {"kind": "bpe", "vocab_size": 300}
    text = " ".join(f"a text that is kept {i}" for i in range(100))
    before = sorted((tmp_path / "data").rglob("*")) if (tmp_path / "data").exists() else []
    first = text_file(text, tokenizer=bpe)
    assert before == [] and [path.name for path in (tmp_path / "data").rglob("*")] == ["one.txt"]  # nothing beside it
    folders = set((tmp_path / "cache" / "tokens").iterdir())
    assert len(folders) == 3 and isinstance(first.source.tokens["train"].ids, np.memmap)
    with monkeypatch.context() as patch:
        patch.setattr("datamodules.text.tokens._write", lambda *_: pytest.fail("made again"))
        patch.setattr("datamodules.tokenizers.train_tokenizer", lambda *_, **__: pytest.fail("trained again"))
        again = text_file(text, tokenizer=bpe, context=16)
    assert np.array_equal(again.source.tokens["train"].ids, first.source.tokens["train"].ids)
    assert again.spec.tokenizer.kind == "bpe"
    text_file(text + "and more", tokenizer=bpe)
    text_file(text, tokenizer={"kind": "byte"})
    assert len(set((tmp_path / "cache" / "tokens").iterdir())) > len(folders) + 3


def test_half_written_tokens_are_never_seen(text_file, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("datamodules.text.tokens.np.save", killed)
        text_file("a text " * 100)
    assert not list((tmp_path / "cache" / "tokens").iterdir())
    module = text_file("a text " * 100)
    with open(module.source.tokens["train"].folder / "ids.bin", "ab") as file:
        file.write(b"xx")
    with pytest.raises(ZooError, match=r"ids.bin has 1262 bytes, not those of 630 tokens"):
        Tokens(module.source.tokens["train"].folder)


@pytest.mark.parametrize("kind", ["byte", "bpe", "wordpiece"])
def test_a_text_is_read_and_encoded_in_pieces_as_it_is_whole(tmp_path, monkeypatch, kind):
    """No more than a step of a corpus is in memory, whatever its size; the tokens are those of the whole."""
    text = "Sentences, with 12 numbers; and\n\n  indents.\tÜmlauts 漢字 as well! " * 300
    (tmp_path / "x.txt").write_text(text, newline="")
    monkeypatch.setattr(corpus, "STEP", 1000)
    pieces = list(FileText(tmp_path / "x.txt").pieces())
    assert "".join(pieces) == text and len(pieces) > 10 and max(map(len, pieces)) < 3000
    tokenizer = train_tokenizer(kind, [text], 400)
    assert list(chain.from_iterable(map(tokenizer.encode, pieces))) == tokenizer.encode(text)


def test_workers_map_the_file(text_file):
    """A pickled part is its path, not its tokens."""
    import pickle

    data = text_file("a text " * 10_000).dataset("train")
    assert len(pickle.dumps(data.tokens)) < 1000
    assert np.array_equal(pickle.loads(pickle.dumps(data.tokens)).ids, data.tokens.ids)


def test_a_tokenizer_of_another_model(text_file, tmp_path):
    given = train_tokenizer("bpe", ["a text that somebody else had " * 20], 280)
    module = text_file("a text " * 100, ready=False)
    module.use_tokenizer(given)
    module.setup()
    assert module.spec.tokenizer is given and module.spec.vocab_size == given.vocab_size
    with pytest.raises(ZooError, match=r"before setup"):
        module.use_tokenizer(train_tokenizer("byte", ()))
    given.save(tmp_path / "tokenizer.json")
    found = text_file("a text " * 100, tokenizer={"kind": "file", "path": str(tmp_path / "tokenizer.json")})
    assert found.spec.tokenizer == Tokenizer.load(tmp_path)


BAD = {
    "empty": ("", {}, r"has no text for training"),
    "below a row": ("abc " * 5, {"context": 64}, r"training part .* needs 65 tokens \(a row of data.context=64 .* and has 18;"),
    "a part without two tokens": ("ab" * 20, {"split": [0.95, 0.025, 0.025]}, r"validation part .* needs 2 .* and has 1;"),
    "no UTF-8": (b"good \xff bad" * 9, {}, r"one\.txt is no UTF-8: byte 5 is 0xff"),
    "UTF-16": ("text ".encode("utf-16") * 9, {}, r"is no UTF-8: byte 0 is 0xff"),
    "ends within a character": ("ab" * 50 + "é", {"cut": 1}, r"is no UTF-8: byte 100 is 0xc3"),
    "no tokenizer": ("text", {"tokenizer": {"kind": "bqe"}}, r"data.tokenizer=bqe is unknown: |did you mean"),
    "a key of another": ("text", {"tokenizer": {"kind": "char", "vocab_size": 7}}, r"tokenizer.vocab_size is not a key of"),
    "file without a path": ("text " * 9, {"tokenizer": {"kind": "file", "path": None}}, r"needs tokenizer.path="),
    "too few tokens": ("text " * 9, {"tokenizer": {"kind": "bpe", "vocab_size": 7}}, r"vocab_size=7 is not within 260"),
    "pack": ("text", {"pack": "tight"}, r"data.pack=tight is unknown"),
    "context": ("text", {"context": 1}, r"data.context=1 is not a number of tokens"),
    "split": ("text", {"split": [0.9, 0.2]}, r"data.split=\[0.9, 0.2\] is not three shares"),
    "split of text": ("text", {"split": "all"}, r"data.split=all is not three shares"),
    "split of nothing": ("text", {"split": [float("nan"), 0.5, 0.5]}, r"is not three shares"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_sentence(text_file, case):
    content, options, said = BAD[case]
    if options.pop("cut", None):
        content = content.encode()[:-1]
    with pytest.raises(ZooError, match=said):
        text_file(content, **options)


def test_no_utf8_far_into_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "STEP", 1000)
    (tmp_path / "x.txt").write_bytes("é ".encode() * 1500 + b"\xc3(")
    with pytest.raises(ZooError, match="byte 4500 is 0xc3"):
        list(FileText(tmp_path / "x.txt").pieces())


def test_a_character_that_training_never_saw(text_file):
    with pytest.raises(
        ZooError, match=r"document 0 of the test part: .* never saw '#' \(U\+0023, character 2 of the text\)"
    ):
        text_file("abcd" * 24 + "abcd#bcd", tokenizer={"kind": "char"}, split=[0.9, 0.05, 0.05])


def test_where_there_is_nothing(tmp_path):
    cases = {None: "needs data.path=", tmp_path / "no": "neither a file nor a folder", tmp_path: r"has no file \*.txt"}
    for path, said in cases.items():
        with pytest.raises(ZooError, match=said):
            TextFile(path=path and str(path), cache=str(tmp_path)).setup()


def test_tokens_of_a_part_are_told(text_file):
    module = text_file("a text " * 100)
    assert "630 training, 35 validation, 35 test tokens; byte of 259 tokens" in module.describe()
    assert json.dumps(module.spec.sizes()) == '{"vocab_size": 259}' and module.spec.usual()["context"] == 8
    assert module.spec.targets == "tokens" and module.classes == () and module.modalities == ("text",)
    assert torch.equal(module.test_rows(2).ids, module.test_rows(2).ids)


@pytest.mark.parametrize("pattern", ["/etc/*", "**/***", "**a"])
def test_a_pattern_that_is_none(pattern, tmp_path):
    (tmp_path / "a.txt").write_text("abc" * 50)
    with pytest.raises(ZooError, match=r"data\.pattern=.* names no files of a folder"):
        TextFile(path=str(tmp_path), pattern=pattern, cache=str(tmp_path / "cache")).setup()
