"""Words with tags: read as they stand, tagged at their first token, none dropped; what is no such file is refused by line."""

import logging

import pytest
import torch

from datamodules.sampling import BatchIndex, EvalBatches
from datamodules.text import NOTHING, Conll, DocTerms, TaggedText, TextBatch
from datamodules.text.conll import read
from datamodules.text.doc_terms import by_topic
from datamodules.text.marks import paragraphs, read_marks
from zoo.errors import ZooError

EU = "-DOCSTART- -X- O O\n\nEU NNP I-ORG\nrejects VBZ O\nGerman JJ I-MISC\n\nPeter NNP I-PER\nBlack NNP I-PER\n"
IOB1 = "Ann\tI-PER\nBob\tB-PER\nKent\tI-PER\r\n\r\n\r\nhere\tO\n"


@pytest.fixture
def conll(tmp_path):
    """conll(files..., **settings): a module of a folder with these files."""

    def make(train=EU, valid=EU, test=EU, **settings):
        folder = tmp_path / "conll"
        folder.mkdir(exist_ok=True)
        for name, text in (("train.txt", train), ("valid.txt", valid), ("testb", test)):
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        settings = {"path": str(folder), "cache": str(tmp_path / "cache"), **settings}
        return Conll(**settings)

    return make


def test_iob1_is_read_as_iob2(conll):
    """An I- that begins an entity becomes B-; B- between two of a kind stays; -DOCSTART- and empty lines are no words."""
    module = conll(train=EU + "\n" + IOB1)
    corpus = module.load()
    assert corpus.classes == ("O", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    said = [[(w, corpus.classes[t]) for w, t in zip(d.words, d.tags, strict=True)] for d in corpus.part("train")]
    assert said == [
        [("EU", "B-ORG"), ("rejects", "O"), ("German", "B-MISC")],
        [("Peter", "B-PER"), ("Black", "I-PER")],
        [("Ann", "B-PER"), ("Bob", "B-PER"), ("Kent", "I-PER")],
        [("here", "O")],
    ]


@pytest.mark.parametrize("kind", ["byte", "bpe", "wordpiece"])
def test_a_tag_stands_at_a_words_first_token_alone(conll, kind):
    settings = {"kind": kind} if kind == "byte" else {"kind": kind, "vocab_size": 300}
    module = conll(tokenizer=settings, context=64, batch_size=2)
    module.setup()
    batch = next(iter(module.test_dataloader()))
    assert type(batch) is TaggedText and module.spec.targets == "tags" and module.spec.classes == module.classes
    corpus, tokenizer = module.source.corpus, module.spec.tokenizer
    for row, document in enumerate(corpus.part("test")):
        n = len(document.words)
        assert batch.gold[row, :n].tolist() == list(document.tags) and (batch.gold[row, n:] == NOTHING).all()
        assert (batch.tags[row] != NOTHING).sum() == n
        ends = [*batch.places[row, 1:n].tolist(), int(batch.mask[row].sum()) - (tokenizer.eos is not None)]
        for word, tag, first, end in zip(document.words, document.tags, batch.places[row].tolist(), ends, strict=False):
            assert batch.tags[row, first] == tag
            said = tokenizer.decode(batch.ids[row, first:end].tolist()).strip().replace(" ", "")
            assert said == (word if tokenizer.exact else word.lower())


def test_words_beyond_the_context_count(conll, caplog):
    """No word is dropped from the score: its true tag is in `gold`, and it has no place to be recognised at."""
    with caplog.at_level(logging.INFO):
        module = conll(tokenizer={"kind": "byte"}, context=12)
        module.setup()
    assert "1 of the 5 test words have no token within data.context=12; they count as O" in caplog.text
    batch = next(iter(module.test_dataloader()))
    assert batch.gold[0].tolist() == list(module.source.corpus.part("test")[0].tags)
    assert batch.places[0, :2].min() >= 0 and batch.places[0, 2] == -1 and batch.places[1].tolist() == [1, 7, -1]
    assert (batch.tags != NOTHING).sum() == 4


def test_a12_processes_share_the_sentences(conll):
    module = conll(test=(EU + "\n") * 3)
    module.setup()
    data = module.dataset("test")
    seen = [
        i for rank in (0, 1) for index in EvalBatches(len(data), 4, rank, 2)
        for i in data.__getitems__(BatchIndex(0, index.rows)).sample.tolist()
    ]  # fmt: skip
    assert sorted(seen) == list(range(6))


def test_one_file_is_split_by_document(conll, tmp_path):
    (tmp_path / "one.txt").write_text("".join(EU.replace("Peter", f"P{i}") + "\n" for i in range(10)))
    module = conll(path=str(tmp_path / "one.txt"))
    corpus = module.load()
    assert [len(corpus.splits[stage]) for stage in ("train", "val", "test")] == [16, 2, 2]
    for wrong, said in (({}, "data.train="), ({"path": "a", "train": "b"}, "say the same twice")):
        with pytest.raises(ZooError, match=said):
            Conll(**wrong).load()


@pytest.mark.parametrize(
    "files, said",
    [
        ({"train": "EU I-ORG\nrejects\nGerman\n"}, r"train.txt: lines 2, 3 have not a word and, last, its tag"),
        ({"train": "EU NNP\n"}, r"train.txt, line 1: the last column, 'NNP', is no tag; .*B-PER"),
        ({"valid": EU + "x B-LOC\n"}, "validation part .* kind 'LOC', and the training part has none"),
        ({"train": "EU O\n"}, "training part .* has no entity"),
        ({"train": "\n\n"}, "has no sentence"),
        ({"test": b"EU I-ORG\n\xff O\n"}, "no UTF-8: byte 9"),
        ({"buckets": -1}, "data.buckets=-1"),
    ],
)
def test_what_is_no_conll_is_refused(conll, files, said):
    with pytest.raises(ZooError, match=said):
        conll(**files).load()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ZooError, match="no file"):
        read(tmp_path / "none.txt")


# ---- doc_terms


def test_marks_become_tags():
    """The marks go; code may hold quotes within brackets; bold has no tag."""
    words, tags = read_marks('The "x[i]" of *mutable items*, see **PEP 8** and "d["a"]" (or "f(x)").')
    found = [(word, tag) for word, tag in zip(words, tags, strict=True) if tag != "O"]
    assert found == [
        ("x[i]", "B-CODE"),
        ("mutable", "B-TERM"),
        ("items", "I-TERM"),
        ('d["a"]', "B-CODE"),
        ("f(x)", "B-CODE"),
    ]
    assert "*" not in "".join(words) and read_marks('An "open mark is no prose.') is None
    assert read_marks("Later ``x y`` too.")[1][1:3] == ["B-CODE", "I-CODE"]  # as topics of later Pythons have it


def test_prose_alone():
    code = '   if x:\n       y = "no prose here."'
    text = f"A head\n******\n\nIt is used like this, as one would:\n\n{code}\n\nAnd the prose goes on.\n"
    assert list(paragraphs(text)) == ["It is used like this, as one would:", "And the prose goes on."]


def test_no_paragraph_stands_in_two_parts():
    one = by_topic(
        {"a": "This stands in both topics.", "b": "This stands in both topics.\n\nThis stands in one of them."}
    )
    assert [len(topic) for topic in one] == [1, 1]


def test_doc_terms_and_their_texts_for_pretraining(tmp_path):
    """Issue 12, item 6: split by topic; what a language model learns from has neither marks nor test topics."""
    settings = {"cache": str(tmp_path), "tokenizer": {"kind": "byte"}}
    tagged, packed = DocTerms(**settings), DocTerms(**settings, pack="documents", context=128)
    corpus = tagged.load()
    assert corpus.classes == ("O", "B-CODE", "I-CODE", "B-TERM", "I-TERM")
    text = {stage: {" ".join(d.words) for d in corpus.part(stage)} for stage in ("train", "val", "test")}
    assert not text["train"] & text["test"] and not text["train"] & text["val"] and len(text["test"]) > 20
    packed.setup()
    assert packed.spec.targets == "tokens" and type(next(iter(packed.train_dataloader()))) is TextBatch
    train = "".join(packed.texts("train"))
    assert not any(each in train for each in text["test"] if len(each) > 60)
    assert {"".join(d.pieces()) for d in packed.source.corpus.part("train")} == text["train"]
    assert packed.vintage.startswith("CPython 3.") and packed.vintage in corpus.name


def test_another_split_is_another_digest(tmp_path, conll):
    a = conll()
    a.setup()
    b = conll(test=EU.replace("I-MISC", "O"))
    b.setup()
    assert a.digest("test") != b.digest("test") and a.digest("val") == b.digest("val")
    assert torch.equal(a.rows("test"), b.rows("test"))
