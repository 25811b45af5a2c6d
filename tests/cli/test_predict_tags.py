"""`python -m zoo predict` of a model of tags: entities marked in the text, as a table, of many texts."""

import csv
import json
from pathlib import Path

import pytest
import torch

import zoo as library
from zoo.inspect.tags import rows_of
from zoo.text import train_tokenizer

TAGS = ("O", "B-CODE", "I-CODE")
BERT = {
    "_target_": "zoo.models.language.bert.BERT",
    "context": 12,
    "dim": 8,
    "depth": 1,
    "num_heads": 2,
    "num_classes": 3,
}


@pytest.fixture
def tagger(tmp_path):
    """A model folder whose model says B-CODE of each word with the letter x, I-CODE of y, else O: by its embeddings alone."""
    tokenizer = train_tokenizer("byte", ())
    model = library.build({**BERT, "per_token": True, "vocab_size": tokenizer.vocab_size})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.norm_pre.weight.fill_(1.0)
        for block in model.blocks:
            block.norm1.weight.fill_(1.0), block.norm2.weight.fill_(1.0)
        model.head.weight[:, :3] = 5 * torch.eye(3)
        model.embed.weight[:, 0] = 1.0
        for letter, column in (("x", 1), ("y", 2)):
            model.embed.weight[tokenizer.encode(letter)[0]] = 3 * torch.eye(8)[column]
    model.tokenizer, model.classes, model.targets = tokenizer, TAGS, "tags"
    library.save(model, tmp_path / "tagger")
    return tmp_path / "tagger"


def test_entities_are_marked(zoo, tagger):
    """More than the model reads at once, too; the names of the classes are the folder's."""
    code, out, err = zoo("predict", tagger, "say xa yb. and (x1) of it")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "say [xa yb CODE]. and ([x1 CODE]) of it"
    assert [line.split("  ")[1].strip() for line in lines[3:5]] == ["xa yb", "x1"] and "4 to 9" in lines[3]
    assert Path(lines[-1]).is_file() and Path(lines[-1]).name.startswith("attention-")
    code, out, _ = zoo("predict", tagger, "nothing here")
    assert code == 0 and out.splitlines()[:2] == ["nothing here", "no entities"]


def test_a_long_text_is_read_in_rows(tagger):
    model = library.load(tagger)
    text = "a bb ccc dddd " * 5 + "w" * 40
    rows = rows_of(model, text)
    assert [word.text for row in rows for word in row.words] == text.split()
    assert all(len(row.ids) <= model.context for row in rows) and rows[-1].words[0].text == "w" * 40
    for row in rows:
        assert [model.tokenizer.decode([row.ids[at]]) for at in row.places] == [word.text[0] for word in row.words]


def test_entities_of_many_texts(zoo, tagger):
    Path("in.txt").write_text("an xa here\nnone\n\n=x\n", encoding="utf-8")
    code, out, _ = zoo("predict", tagger, "in.txt", "--to", "out.csv")
    assert code == 1 and "1 of 4 inputs could not be read" in out
    rows = list(csv.DictReader(Path("out.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["entities"], row["entity"], row["kind"], row["start"]) for row in rows] == [
        ("1", "xa", "CODE", "3"), ("0", "", "", ""), ("", "", "", ""), ("0", "", "", ""),
    ]  # fmt: skip
    assert "empty" in rows[2]["error"]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"classes": ["O", "B-A", "person"]}, "are no tags of words"),
        ({"classes": None}, "no names of tags"),
        ({"targets": "class"}, "nothing tells what they are for"),
        ({"targets": "span"}, ""),
        ({"per_token": "yes"}, "per_token"),
        ({"per_token": [1]}, "per_token"),
    ],
)
def test_folders_that_are_strange(tagger, refused, change, said):
    """A8: a model folder is a stranger's word."""
    file = tagger / "config.json"
    content = json.loads(file.read_text())
    (content["model"] if "per_token" in change else content).update(change)
    file.write_text(json.dumps(content))
    (tagger / "card.json").unlink()
    assert said in refused("predict", tagger, "say xa")
