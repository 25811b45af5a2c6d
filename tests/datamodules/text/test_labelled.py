"""Texts with labels, and conversations: what is counted, chosen, and refused."""

import json

import pytest
import torch

from datamodules.sampling import BatchIndex
from datamodules.text import NOTHING, Chat, Glosses, Jsonl, LabelledText, TextBatch, TextCsv
from zoo.errors import ZooError

WORDPIECE = {"kind": "wordpiece", "vocab_size": 1000}


@pytest.fixture(scope="module")
def glosses(tmp_path_factory):
    """glosses(**options): a module that is ready; tokens are made once."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def make(**options):
        module = Glosses(cache=cache, tokenizer=WORDPIECE, context=64, **options)
        module.setup()
        return module

    return make


def test_glosses_as_they_are_counted(glosses):
    """Issue 9: 20,644 definitions, 60/20/20 with the classes in proportion."""
    module = glosses()
    labels = module.source.corpus.labels
    assert len(labels) == 20_644 and module.classes == ("animal", "artifact", "food", "person", "plant")
    assert labels.bincount().tolist() == [3925, 7855, 1841, 2836, 4187]
    assert (module.train_size, module.val_size, module.test_size) == (12_386, 4_129, 4_129)
    texts = [document.text for document in module.source.corpus.documents]
    assert len(set(texts)) == len(texts)
    shares = torch.stack([labels[module.source.corpus.splits[stage]].bincount() for stage in ("train", "val", "test")])
    assert ((shares / labels.bincount()).sub(torch.tensor([[0.6], [0.2], [0.2]])).abs() < 1e-3).all()


def test_glosses_have_their_labels(glosses):
    module = glosses(batch_size=32)
    batch = next(iter(module.train_dataloader()))
    assert type(batch) is LabelledText and batch.rows is None and batch.labels.shape == (32,)
    tokenizer, corpus = module.spec.tokenizer, module.source.corpus
    for row, sample in enumerate(batch.sample.tolist()):
        document = int(corpus.splits["train"][sample])
        assert batch.labels[row] == corpus.labels[document]
        ids = batch.ids[row][batch.mask[row]].tolist()
        assert ids == tokenizer.document(corpus.documents[document].text)
        assert ids[0] == tokenizer.bos and ids[-1] == tokenizer.eos
    assert module.spec.targets == "class" and module.spec.classes == module.classes


def test_few_labels(glosses):
    """The same test; a hundred of each class for training, those of fifty among them."""
    many, few, whole = glosses(labels_per_class=100), glosses(labels_per_class=50), glosses()
    assert many.train_size == 500 and few.train_size == 250 and many.test_size == whole.test_size
    labels = many.source.corpus.labels[many.source.corpus.splits["train"]][many.rows("train")]
    assert labels.bincount().tolist() == [100] * 5
    assert set(few.rows("train").tolist()) < set(many.rows("train").tolist())
    assert many.spec.tokenizer == whole.spec.tokenizer
    batch = many.dataset("train").labels[many.rows("train")]
    assert torch.equal(batch, labels)
    for count, said in ((0, "does not fit"), (2000, "smallest class has 1105"), (True, "does not fit")):
        with pytest.raises(ZooError, match=said):
            glosses(labels_per_class=count)


def test_pretraining_sees_the_training_texts_alone(glosses):
    """Packed or not, what a language model is trained on is of the training part (issue 9, point 6)."""
    for module in (glosses(pack="documents", batch_size=256), glosses(batch_size=256)):
        corpus = module.source.corpus
        tokenizer = module.spec.tokenizer
        allowed = {tuple(tokenizer.document(text)[:64]) for text in module.texts("train")}
        batch = next(iter(module.train_dataloader()))
        if module.pack:
            assert type(batch) is TextBatch and module.spec.targets == "tokens" and module.classes == ()
            seen = [batch.ids[0][batch.documents[0] == n].tolist() for n in range(int(batch.documents[0].max()) + 1)]
            assert all(
                any(list(text[: len(ids)]) == ids for text in allowed) for ids in seen if ids[0] == tokenizer.bos
            )
        assert sum(len(part) for part in module.source.corpus.splits.values()) == len(corpus.documents)
    with pytest.raises(ZooError, match=r"labels_per_class=100 is for a text a row; set data.pack=null"):
        glosses(pack="documents", labels_per_class=100)


# -- textcsv ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    def make(content, name="x.csv", **options):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        module = TextCsv(path=str(tmp_path / name), cache=str(tmp_path / "cache"), context=16, **options)
        module.setup()
        return module

    return make


ROWS = "".join(f'"text, {i}\nsecond line",{"yes" if i % 3 else "no"},{i}\n' for i in range(30))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_of_ones_own(table, mark):
    module = table(f"{mark}body,topic,n\n{ROWS}", text="body", label="topic")
    assert module.classes == ("no", "yes") and (module.train_size, module.val_size, module.test_size) == (24, 3, 3)
    corpus = module.source.corpus
    assert corpus.documents[0].text == "text, 0\nsecond line" and corpus.labels[:4].tolist() == [0, 1, 1, 0]
    batch = next(iter(module.test_dataloader()))
    assert (
        batch.labels.dtype == torch.long and (batch.targets[~batch.mask] == NOTHING).all()
        if batch.mask is not None
        else 1
    )


def test_tabs_and_several_labels(table):
    module = table("text\tlabel\n" + "one\ta;b\ntwo\tb\n" * 10, "x.tsv", separator=";")
    assert module.spec.targets == "labels" and module.classes == ("a", "b")
    assert module.source.corpus.labels[:2].tolist() == [[1, 1], [0, 1]]


TABLES = {
    "no column": ("body,label\nx,y\n", r"has no column 'text' \(data.text\); "),
    "misspelt": ("texts,label\nx,y\n", r"did you mean 'texts'"),
    "nothing": ("", r"has no column 'text'"),
    "no rows": ("text,label\n", r"has no row"),
    "without fields": ("text,label\na,b\nc\n,d\ne,f\ng,\nh,i,j\n", r"lines 3, 4, 6, 7 have not one text"),
    "one line": ("text,label\na,b\nc\n", r"line 3 has not one text"),
    "many": ("text,label\n" + "x\n" * 9, r"lines 2, 3, 4, 5, 6 and 4 more have not"),
    "one label": ("text,label\na,b\nc,b\n", r"the one label 'b'"),
    "a quote that never ends": ('text,label\na,b\n"c,d\n', r"line \d: unexpected end of data"),
    "no UTF-8": (b"text,label\na\xff,b\n", r"byte 12 is 0xff"),
    "a class with one row": ("text,label\n" + "a,b\n" * 20 + "c,d\n", r"cannot take a stratified part"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(table, case):
    content, said = TABLES[case]
    with pytest.raises(ZooError, match=said):
        table(content)


# -- jsonl -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path):
    def make(lines, **options):
        content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        (tmp_path / "x.jsonl").write_bytes(content)
        module = Jsonl(path=str(tmp_path / "x.jsonl"), cache=str(tmp_path / "cache"), context=16, **options)
        module.setup()
        return module

    return make


def test_lines_of_ones_own(lines):
    """Issue 12, point 6: {"text", "label"} a line; empty lines are none, other keys are not read."""
    rows = [{"body": f"text {i}\nand more", "topic": "yes" if i % 3 else "no", "n": i} for i in range(30)]
    module = lines([*rows, b"", b" \r"], text="body", label="topic")
    assert module.classes == ("no", "yes") and (module.train_size, module.val_size, module.test_size) == (24, 3, 3)
    corpus = module.source.corpus
    assert corpus.documents[0].text == "text 0\nand more" and corpus.labels[:4].tolist() == [0, 1, 1, 0]
    numbered = lines([{"text": f"t{i}", "label": (10, 9, 2)[i % 3]} for i in range(60)])
    assert numbered.classes == ("2", "9", "10") and numbered.source.corpus.labels[:3].tolist() == [2, 1, 0]
    several = lines([{"text": f"t{i}", "label": [["a", "b"], [], ["b"]][i % 3]} for i in range(60)])
    assert several.spec.targets == "labels" and several.source.corpus.labels[:3].tolist() == [[1, 1], [0, 0], [0, 1]]


ROW, OTHER = {"text": "a", "label": "x"}, {"text": "b", "label": "y"}
LINES = {
    "no JSON": ([ROW, b"{'text': 1}", OTHER, b"{"], r"lines 2, 4 have no text with a label \(Expecting property name"),
    "a list": ([ROW, [1]], r"line 2 has no text with a label \(it is a list\); one is {"),
    "no text": ([ROW, {"label": "x"}], r"line 2 has .*it has no 'text'"),
    "no label": ([{"text": "x"}, ROW], r"line 1 has .*it has no 'label'"),
    "a number as text": ([{"text": 5, "label": "x"}], r"its 'text' is no text"),
    "an empty text": ([{"text": " ", "label": "x"}], r"its 'text' is empty"),
    "an empty label": ([{"text": "a", "label": ""}], r"its 'label' is empty"),
    "a share": ([{"text": "a", "label": 0.5}], r"its 'label' is 0.5, neither a text nor a whole number"),
    "yes or no": ([{"text": "a", "label": True}], r"its 'label' is true"),
    "nothing": ([{"text": "a", "label": None}], r"its 'label' is null"),
    "a list of numbers": ([{"text": "a", "label": [1]}], r"its 'label' is \[1\]"),
    "two kinds": ([ROW, OTHER, {"text": "c", "label": 1}], r'is a text \("x"\) and a whole number \(1\); give labels of one'),
    "one class": ([ROW, ROW], r"'label' has the one label 'x'; classes take two"),
    "no class": ([{"text": "a", "label": []}], r"'label' has no label; classes take two"),
    "no line": ([b" ", b""], r"has no text with a label; give it some"),
    "deep": ([ROW, b"[" * 100_000], r"line 2 has .*nested too deep"),
    "a long number": ([ROW, b'{"text": "a", "label": ' + b"1" * 5000 + b"}"], r"line 2 has .*(digits|limit)"),
    "no UTF-8": ([b'{"text": "\xff"}'], r"byte 10 is 0xff"),
}  # fmt: skip


@pytest.mark.parametrize("case", LINES)
def test_bad_lines(lines, case):
    content, said = LINES[case]
    with pytest.raises(ZooError, match=said):
        lines(content)


# -- chat ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def chat(tmp_path):
    def make(lines, **options):
        path = tmp_path / "talks.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        module = Chat(path=str(path), cache=str(tmp_path / "cache"), **{"context": 128, "split": [1, 0, 0], **options})
        module.setup()
        return module

    return make


def said(module):
    """(what a model reads, what it is to say) of the only row."""
    batch = module.dataset("train").__getitems__(BatchIndex(0, [0]))
    decode = module.spec.tokenizer.decode
    return decode(batch.ids[0].tolist()), decode([t for t in batch.targets[0].tolist() if t != NOTHING], special=True)


def test_answers_and_their_ends(chat):
    assert said(chat([{"prompt": "2 + 2 =", "answer": " 4"}])) == ("2 + 2 = 4", " 4<|endoftext|>")
    talk = [("system", "be brief"), ("user", "2 + 2?"), ("assistant", "4"), ("user", "bye"), ("assistant", "é")]
    talk = {"messages": [{"role": role, "content": content} for role, content in talk]}
    read, answered = said(chat([talk]))
    assert read == "system: be brief\nuser: 2 + 2?\nassistant: 4user: bye\nassistant: é"
    assert answered == " 4<|endoftext|> é<|endoftext|>"


def test_conversations_are_split(chat):
    module = chat([{"prompt": f"{i}", "answer": "x"} for i in range(20)], split=[0.8, 0.1, 0.1], pack=None)
    assert (module.train_size, module.val_size, module.test_size) == (16, 2, 2)
    assert len(set("".join(module.texts("train")).split("x")) & set("".join(module.texts("test")).split("x"))) == 1


GOOD = {"prompt": "a", "answer": "b"}
TALKS = {
    "nothing": ([], "has no conversation"),
    "no JSON": (["{"], "line 1 has no conversation"),
    "a list": (["[1]"], r"\(it is a list\)"),
    "no answer": ([GOOD, {"prompt": "a"}, "", {"answer": 1, "prompt": "a"}], r"lines 2, 4 have .* \(it has no 'answer'\)"),
    "a number": ([{"prompt": "a", "answer": 1}], "its 'answer' is no text"),
    "no messages": ([{"messages": []}], "are no list of messages"),
    "no role": ([{"messages": [{"content": "x"}]}], "it has no 'role'"),
    "nobody answers": ([{"messages": [{"role": "user", "content": "x"}]}], "no message is of the role 'assistant'"),
    "deep": (["[" * 100_000], "line 1 has no conversation"),
}  # fmt: skip


@pytest.mark.parametrize("case", TALKS)
def test_bad_conversations(chat, case):
    lines, said = TALKS[case]
    with pytest.raises(ZooError, match=said):
        chat(lines)


def test_without_a_path(tmp_path):
    for kind in (Chat, Jsonl, TextCsv):
        with pytest.raises(ZooError, match=r"needs data.path="):
            kind(cache=str(tmp_path)).setup()
        with pytest.raises(ZooError, match=r"is no file"):
            kind(path=str(tmp_path / "no"), cache=str(tmp_path)).setup()


@pytest.mark.parametrize(
    "head, said", [(",".join(f"c{i}" for i in range(9000)), "and 8,900 more"), ("x" * 10**6 + ",y", r"x\.\.\.")]
)
def test_a_table_of_many_or_long_names_is_told_in_a_sentence(head, said, tmp_path):
    (tmp_path / "a.csv").write_text(head + "\n")
    with pytest.raises(ZooError, match=f"has no column 'text'.*{said}") as refused:
        TextCsv(path=str(tmp_path / "a.csv"), text="text", label="y", cache=str(tmp_path)).setup()
    assert len(str(refused.value)) < 2000


def test_as_many_classes_as_texts(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"x{i},y{i}\n" for i in range(3000)))
    with pytest.raises(ZooError, match="stratified") as refused:
        TextCsv(path=str(tmp_path / "a.csv"), text="a", label="b", cache=str(tmp_path)).setup()
    assert len(str(refused.value)) < 1000
