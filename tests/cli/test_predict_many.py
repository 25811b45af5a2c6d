"""`python -m zoo predict NAME FOLDER|FILE ... --to out.csv|.jsonl`: many inputs, an answer each."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo as library
from tests.cli.series import table
from tests.cli.test_predict_graph import GAT
from zoo.cli.predict import READERS
from zoo.inspect import to_input
from zoo.text import train_tokenizer

SIZES = {"vocab_size": 260, "context": 16, "dim": 16, "depth": 1, "num_heads": 2}


def rows(file: str | Path) -> list[dict]:
    text = Path(file).read_text(encoding="utf-8")
    if str(file).endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def language(folder: Path, family: str, **more) -> Path:
    torch.manual_seed(0)
    tokenizer = train_tokenizer("byte", [""])
    model = library.build({"_target_": f"zoo.models.language.{family}", **SIZES, **more})
    model.tokenizer, model.classes = tokenizer, tuple("abc") if model.num_classes else None
    library.save(model, folder)
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    """40 images, more than a batch, and two files that are none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(draw.integers(0, 256, (8 + i % 3, 9), dtype=np.uint8), "L").save(folder / f"{i:02}.png")
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:40])
    (folder / "33b.jpg").write_bytes(b"no image")
    return folder


def test_every_reader_answers_many():
    from importlib import import_module

    wanted = {"BATCH", "files", "entries", "columns", "answers"}
    for reader in set(READERS.values()):
        assert wanted <= vars(import_module(f"zoo.cli.predict.many.{reader}")).keys()


@pytest.mark.parametrize("end", ["csv", "jsonl"])
def test_a_folder_of_images_and_what_is_none_among_them(zoo, run, photos, end):
    code, out, err = zoo("predict", run, photos, "--to", f"said.{end}", "--top", "2")
    assert code == 1 and not err
    assert out.splitlines()[0] == str(Path.cwd() / f"said.{end}") and "2 of 41 inputs could not be read" in out
    found = {Path(row["input"]).name: row for row in rows(f"said.{end}")}
    assert list(found) == sorted(path.name for path in photos.iterdir())  # in order, each once
    bad = [name for name, row in found.items() if row.get("error")]
    assert bad == ["05.png", "33b.jpg"] and all("cannot be read as an image" in found[name]["error"] for name in bad)
    assert not found["05.png"].get("class")
    model = library.load(run)
    for name in set(found) - set(bad):
        with torch.no_grad():
            shares, places = model(to_input(photos / name, model.preprocess)).softmax(-1)[0].topk(2)
        assert [found[name]["class"], found[name]["class_2"]] == [f"digit {i}" for i in places.tolist()]
        assert float(found[name]["probability"]) == pytest.approx(float(shares[0]), rel=1e-5)
    assert [path.name for path in Path.cwd().iterdir()] == [f"said.{end}"]  # no figure, nothing half-written


def test_texts_are_lines(zoo, tmp_path):
    model = library.load(language(tmp_path / "bert", "bert.BERT", num_classes=3))
    texts = ["a cat", "a", "", "what is too long for it, for it has 16 places", "d\u00e9j\u00e0"]
    (tmp_path / "a.txt").write_bytes("\n".join(texts).encode() + b"\n\xff\xfe\n")
    lines = [json.dumps("a cat"), json.dumps({"text": "a", "id": 7}), "[1", "[" * 5000, json.dumps({"id": 7})]
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    code, _, err = zoo("predict", tmp_path / "bert", tmp_path / "a.txt", tmp_path / "b.jsonl", "--to", "said.jsonl")
    assert code == 1 and not err
    said = {row["input"]: row for row in rows("said.jsonl")}
    assert list(said) == [f"{tmp_path}/a.txt:{n}" for n in range(1, 7)] + [
        f"{tmp_path}/b.jsonl:{n}" for n in range(1, 6)
    ]
    errors = [row.get("error", "") for row in said.values()]
    wanted = ["", "", "is empty", "16 learned positions", "", "no UTF-8", "", "", "no JSON", "no JSON", "no text"]
    assert all(part in error and bool(part) == bool(error) for part, error in zip(wanted, errors, strict=True)), errors
    for at, text in ((0, "a cat"), (1, "a"), (4, "d\u00e9j\u00e0"), (6, "a cat")):  # as if each were alone
        row = list(said.values())[at]
        with torch.no_grad():
            shares, places = model(torch.tensor([model.tokenizer.document(text)])).softmax(-1)[0].topk(3)
        assert [row["class"], row["class_2"], row["class_3"]] == [model.classes[i] for i in places.tolist()]
        assert row["probability"] == pytest.approx(float(shares[0]), rel=1e-4)


def test_the_next_tokens_and_those_behind_masks(zoo, tmp_path):
    (tmp_path / "a.txt").write_text("a cat\nab\n")
    gpt = library.load(language(tmp_path / "gpt", "gpt.GPT"))
    assert zoo("predict", tmp_path / "gpt", tmp_path / "a.txt", "--to", "next.jsonl", "--top", "1")[0] == 0
    for row, text in zip(rows("next.jsonl"), ("a cat", "ab"), strict=True):
        with torch.no_grad():
            share, id = (
                gpt(torch.tensor([gpt.tokenizer.prompt(text)]))[0, -1, : gpt.tokenizer.vocab_size].softmax(-1).max(-1)
            )
        assert row["token"] == gpt.tokenizer.token(int(id)) and row["probability"] == pytest.approx(
            float(share), rel=1e-4
        )
    language(tmp_path / "bert", "bert.BERT")
    (tmp_path / "b.txt").write_text("a [MASK] b [MASK]\nno mask\n[MASK]\n")
    assert zoo("predict", tmp_path / "bert", tmp_path / "b.txt", "--to", "masks.csv")[0] == 1
    said = [(row["input"][-1], row["mask"], bool(row["error"])) for row in rows("masks.csv")]
    assert said == [("1", "0", False), ("1", "1", False), ("2", "", True), ("3", "0", False)]


def test_a_line_without_end_is_a_row_and_the_next_one_too(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.cli.predict.many.texts.LONGEST", 50)
    language(tmp_path / "gpt", "gpt.GPT")
    (tmp_path / "a.txt").write_text("x" * 500 + "\nab")
    assert zoo("predict", tmp_path / "gpt", tmp_path / "a.txt", "--to", "x.csv")[0] == 1
    first, second = rows("x.csv")
    assert "longer than 50 bytes" in first["error"] and not second["error"]


def test_graphs(zoo, graph_run, tmp_path):
    run, draw = graph_run(GAT), np.random.default_rng(0)
    (tmp_path / "graphs").mkdir()
    for name, size, width in (("a", 6, 5), ("b", 4, 7), ("c", 3, 5)):
        x, edges = draw.random((size, width), dtype=np.float32), draw.integers(0, size, (2, 9))
        np.savez(tmp_path / "graphs" / f"{name}.npz", x=x, edge_index=edges)
    assert zoo("predict", run, tmp_path / "graphs", "--to", "said.csv")[0] == 1
    said = rows("said.csv")
    assert [Path(row["input"]).stem for row in said] == [*"aaaaaa", "b", *"ccc"]
    assert [row["node"] for row in said] == [*"012345", "", *"012"] and "7 features a node" in said[6]["error"]
    arrays = np.load(tmp_path / "graphs" / "c.npz")
    with torch.no_grad():
        logits = library.load(run)(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["edge_index"]))
    assert [row["class"] for row in said[7:]] == [f"kind {i}" for i in logits.argmax(-1).tolist()]


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    """A model folder of a forecaster of series with ids that nobody trained."""
    import pandas as pd

    from datamodules.series import Csv
    from zoo.models.fit import label

    folder = tmp_path_factory.mktemp("forecaster")
    parts = {name: table(60, seed) for seed, name in enumerate("xyz")}
    whole = pd.concat([frame.assign(id=name) for name, frame in parts.items()])
    whole.to_csv(folder / "whole.csv", index=False)
    data = Csv(path=str(folder / "whole.csv"), time="time", id="id", lookback=12, horizon=3)
    data.setup()
    model = library.create_model("patchtst", lookback=12, horizon=3, channels=2, patch=4, stride=2)
    label(model, data.spec)
    library.save(model, folder / "model")
    short = pd.concat([parts["x"].assign(id="x"), parts["y"].iloc[:5].assign(id="y"), parts["z"].assign(id="z")])
    short.to_csv(folder / "short.csv", index=False)
    return folder


def test_series_of_a_table_and_one_that_is_too_short(zoo, forecaster):
    assert zoo("predict", forecaster / "model", forecaster / "whole.csv", "--to", "all.csv")[0] == 0
    every = rows("all.csv")
    assert [row["series"] for row in every] == [*"xxxyyyzzz"] and every[0]["stamp"].startswith("2020-01-03 12")
    assert zoo("predict", forecaster / "model", forecaster / "whole.csv", "--out", ".")[0] == 0
    single = rows("forecast-whole.csv")  # the same, as predict writes it of one table
    assert [float(row["a"]) for row in every] == pytest.approx([float(row["a"]) for row in single], rel=1e-5)
    assert zoo("predict", forecaster / "model", forecaster / "short.csv", "--to", "some.csv")[0] == 1
    some = rows("some.csv")
    assert [row["series"] for row in some] == [*"xxx", "", *"zzz"] and "12 rows" in some[3]["error"]
    assert [row["a"] for row in some if row["series"] == "z"] == [row["a"] for row in every if row["series"] == "z"]


def test_memory_does_not_grow_with_the_inputs(run, photos, monkeypatch):
    """One batch is held: nothing is read before what came before it has been answered."""
    from argparse import Namespace

    from zoo.cli.predict import many
    from zoo.cli.predict.many import images

    held, most, read, answer = [0], [0], images.entries, images.answers

    def counted(*args):
        for entry in read(*args):
            held[0] += 1
            most[0] = max(held[0], most[0])
            yield entry

    def answered(model, items, top):
        held[0] = 0
        return answer(model, items, top)

    monkeypatch.setattr(images, "entries", counted)
    monkeypatch.setattr(images, "answers", answered)
    options = Namespace(
        run="run", to="x.csv", inputs=[str(photos)], top=None, out=None, node=None, layer=None, head=None, data=None
    )
    many.predict_many(library.load(run), "images", options)
    assert most[0] <= images.BATCH


def test_bad_inputs(zoo, run, photos, refused, tmp_path, forecaster):
    for words, said in {
        (photos, "--to", "x.txt"): "neither a .csv nor a .jsonl",
        (photos, "--to", "x.csv", "--out", "x.png"): "--to draws none",
        (tmp_path / "nowhere", "--to", "x.csv"): "does not exist",
        (tmp_path / "here", "--to", "x.csv"): "holds no images",
    }.items():
        assert said in refused("predict", run, *words), words
    assert "--top 3 is for classes" in refused(
        "predict", forecaster / "model", forecaster / "whole.csv", "--to", "x.csv", "--top", "3"
    )
    assert not list(Path.cwd().iterdir())
    Path("said.csv").write_text("mine")
    assert "does not exist" in refused("predict", run, photos, tmp_path / "nowhere", "--to", "said.csv")
    assert Path("said.csv").read_text() == "mine"


def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(zoo, run):
    names = ["=1+1|calc.png", "+a.png", "-a.png", "@a.png", "\ta.png", "a=b.png"]
    for name in names:
        Image.new("L", (8, 8)).save(Path(name))
    words = ["--to", "x.csv", "--", run, *names]
    assert zoo("predict", *words)[0] == 0
    assert [row["input"] for row in rows("x.csv")] == [*(f"'{name}" for name in names[:-1]), names[-1]]
    words[1] = "x.jsonl"
    assert zoo("predict", *words)[0] == 0
    assert [row["input"] for row in rows("x.jsonl")] == names


def test_the_table_takes_no_input_s_place_and_is_none(zoo, refused, tmp_path):
    language(tmp_path / "gpt", "gpt.GPT")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jsonl").write_text('"a"\n')
    os.link(tmp_path / "texts" / "a.jsonl", "same.jsonl")
    verb = ("predict", tmp_path / "gpt", tmp_path / "texts")
    for target in (tmp_path / "texts" / "a.jsonl", "same.jsonl"):
        assert "is one of the inputs" in refused(*verb, "--to", target)
    assert "would be read as an input" in refused(*verb, "--to", tmp_path / "texts" / "more" / "o.jsonl")
    assert (tmp_path / "texts" / "a.jsonl").read_text() == '"a"\n'
    assert zoo(*verb, "--to", tmp_path / "texts" / "o.csv")[0] == 0  # no text of a folder: never read


def test_the_reason_of_the_only_input_is_told(zoo, run):
    Path("x.png").write_bytes(b"no image")
    code, out, _ = zoo("predict", run, "x.png", "--to", "x.csv")
    assert code == 1 and "The input could not be read: x.png cannot be read as an image" in out


def test_a_pipe_among_images_is_a_row_and_no_endless_wait(zoo, run, tmp_path):
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "a.png")
    assert zoo("predict", run, tmp_path / "pipes", "/dev/null", "--to", "a.csv")[0] == 1
    assert ["no plain file" in row["error"] for row in rows("a.csv")] == [True, True]


def test_the_bytes_of_a_name_that_is_no_utf8_are_escaped(tmp_path):
    from zoo.cli.predict.many.table import writing

    name = os.fsdecode(b"\xff.png")
    for end, said in (("csv", r"\udcff.png"), ("jsonl", name)):  # JSON's own escape reads back as it was
        with writing(tmp_path / f"x.{end}", ["input"]) as write:
            write({"input": name})
        assert [row["input"] for row in rows(tmp_path / f"x.{end}")] == [said]
