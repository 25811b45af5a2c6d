"""`predict RUN "a question" --context text.txt`: the answer, its place, its attention; in one sentence what cannot be."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import zoo as library
from datamodules.sampling import BatchIndex
from datamodules.text import Stories
from zoo.cli.predict.spans import around
from zoo.inspect.answers import Reading, answer, best_spans, reading
from zoo.models.language.spans import best_span, span_logits
from zoo.tasks.extractive_qa import texts
from zoo.text import train_tokenizer

STORY = "Maria foi para a cozinha. João andou até o jardim.\nMaria voltou para a sala."


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    made = Stories(
        cache=cache, tokenizer={"kind": "wordpiece", "vocab_size": 200}, context=24, sizes=(40, 0, 12), stride=7
    )
    made.setup()
    return made


def model_of(stories, **more):
    torch.manual_seed(0)
    n = stories.spec.vocab_size
    given = {"vocab_size": n, "context": 24, "dim": 8, "depth": 1, "num_heads": 2, "num_classes": 2, "per_token": True}
    model = library.build({"_target_": "zoo.models.language.bert.BERT", **given, **more})
    with torch.no_grad():
        model.head.weight.mul_(40)
    model.tokenizer, model.targets = stories.spec.tokenizer, "span"
    return model.eval()


@pytest.fixture
def qa(stories, tmp_path):
    """A model folder with what its run told: rows of 24 tokens, 7 from one to the next."""
    about = {"data": {"config": {"context": 24, "stride": 7}}, "task_config": {"max_answer_length": 3}}
    (tmp_path / "here" / "story.txt").write_text(STORY)
    return library.save(model_of(stories), tmp_path / "qa", **about)


@torch.no_grad()
def test_one_question_is_answered_as_in_a_test(stories):
    """The windows, the best span and its text are those of task=extractive_qa; segments or none."""
    data = stories.dataset("test")
    for more in ({}, {"segments": 0}):
        model = model_of(stories, **more)
        for number in range(len(data)):
            batch = data.__getitems__(BatchIndex(0, [number]))
            start, end = span_logits(model(*model.inputs(batch)), batch.places).log_softmax(1).unbind(-1)
            first, last, score = best_span(start, end, 3)
            question = stories.source.questions["test"][number]
            found = answer(model, question.text, batch.contexts[0], Reading(24, 7, 3), top=2)
            assert found.answers[0].text == texts(batch, first, last)[0]
            assert found.answers[0].probability == pytest.approx(float(score.exp()), rel=1e-4)
            for each in found.answers:
                assert batch.contexts[0][each.start : each.end] == each.text


def test_the_next_best_do_not_overlap():
    draw = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 12, generator=draw)
    found = best_spans(start, end, 3, 5)
    taken: set[int] = set()
    for i, j, score in found:
        free = [
            (float(start[a] + end[b]), a, b)
            for a in range(12)
            for b in range(a, min(12, a + 3))
            if not taken & set(range(a, b + 1))
        ]
        assert (float(score), i, j) == max(free)
        taken |= set(range(i, j + 1))
    assert len(best_spans(start[:2], end[:2], 1, 9)) == 2


def test_an_answer_its_place_and_where_it_looked(zoo, qa, stories):
    code, out, err = zoo("predict", qa, "Onde está Maria?", "--context", "story.txt")
    assert code == 0, err
    title, header, *rows, png = out.splitlines()
    assert title == "Onde está Maria?" and "in story.txt" in header and len(rows) == 3
    model = library.load(qa)
    found = answer(model, "Onde está Maria?", STORY, Reading(24, 7, 3), 3)
    for row, said in zip(rows, found.answers, strict=True):
        assert row.strip().startswith(said.text) and f"{100 * said.probability:.1f} %" in row
        assert f"characters {said.start} to {said.end}, line {1 + STORY[: said.start].count(chr(10))}" in row
        assert f"[{said.text}]" in row
    assert Path(png) == Path.cwd() / "attention-Onde-está-Maria.png"
    more = ("--layer", "0", "--head", "mean", "--top", "1", "--out", "x.png")
    code, out, _ = zoo("predict", qa, "Onde está Maria?", "--context", "story.txt", *more)
    assert code == 0 and len(out.splitlines()) == 4
    with Image.open("x.png") as image:
        assert image.width > 100


def test_a_long_text_is_read_in_windows(zoo, qa):
    Path("long.txt").write_text("\ufeff" + f"{STORY}\n" * 40, encoding="utf-8")
    code, out, err = zoo("predict", qa, "Onde está Maria?", "--context", "long.txt")
    assert code == 0, err
    assert "..." in out


@pytest.mark.parametrize(
    "n, before, first, last", [(10, 4, 5, 6), (300, 8, 200, 204), (300, 8, 9, 9), (300, 8, 298, 298)]
)
def test_the_figure_shows_question_and_answer(n, before, first, last):
    kept = around(n, before, first, last, 64)
    assert len(kept) == min(n, 64) and kept == sorted(set(kept))
    assert {*range(before), first, last} <= set(kept) <= set(range(n))


def test_the_figure_of_a_long_question():
    kept = around(100, 70, 72, 73, 64)
    assert kept == sorted(set(kept)) and {72, 73, 69} <= set(kept) and len(kept) <= 64


def test_how_a_model_reads_is_told_by_its_card(stories):
    model = model_of(stories)
    assert reading(model, None) == Reading(24, None, 30)
    told = {"data": {"config": {"context": 16, "stride": 5}}, "task_config": {"max_answer_length": 2}}
    assert reading(model, told) == Reading(16, 5, 2)
    for wrong in (0, -1, "5", 10**9, True, None, 2.5):
        told = {"data": {"config": {"context": wrong, "stride": wrong}}, "task_config": {"max_answer_length": wrong}}
        assert reading(model, told) == Reading(24, None, 30)
    assert reading(model, {"data": None, "task_config": None}) == Reading(24, None, 30)


def test_many_questions(zoo, qa, refused):
    lines = [
        {"question": "Onde está Maria?", "context": STORY},
        {"question": "Onde está João?", "context": STORY},
        {"question": "Onde?"},
        {"question": "a " * 30, "context": STORY},
    ]
    Path("asked.jsonl").write_text("\n".join([*map(json.dumps, lines), "[" * 10**5]))
    code, _, err = zoo("predict", qa, "asked.jsonl", "--to", "said.jsonl", "--top", "2")
    assert code == 1, err
    said = [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]
    found = answer(library.load(qa), "Onde está João?", STORY, Reading(24, 7, 3), 2).answers
    assert said[1]["question"] == "Onde está João?" and said[1]["answer"] == found[0].text
    assert (said[1]["start"], said[1]["end"], said[1]["answer_2"]) == (found[0].start, found[0].end, found[1].text)
    assert "no question with its text" in said[2]["error"] and "no question with its text" in said[4]["error"]
    assert "ask a shorter one" in said[3]["error"]
    assert "--context x.txt is for one question" in refused(
        "predict", qa, "asked.jsonl", "--to", "y.csv", "--context", "x.txt"
    )
    assert '{"question": "...", "context": "..."} a line' in refused("predict", qa, "story.txt", "--to", "y.csv")


def test_what_is_refused(zoo, qa, refused, stories, tmp_path):
    asked = "Onde está Maria?"
    assert "none was given; name its file: --context text.txt" in refused("predict", qa, asked)
    assert "--context no.txt is not a file" in refused("predict", qa, asked, "--context", "no.txt")
    for name, content, said in (
        ("empty.txt", b" \n", "is empty"),
        ("latin.txt", b"caf\xe9", "is no UTF-8 (unexpected end of data at byte 3)"),
        ("null.txt", b"\x00\x01", "the context is empty"),
    ):
        Path(name).write_bytes(content)
        assert said in refused("predict", qa, asked, "--context", name)
    long = "Maria " * 20
    assert "leaves 1 of the 24 of a row for the context; ask a shorter one" in refused(
        "predict", qa, long, "--context", "story.txt"
    )
    assert "--layer 5 is not there" in refused("predict", qa, asked, "--context", "story.txt", "--layer", "5")
    broken = model_of(stories)
    with torch.no_grad():
        broken.head.bias.fill_(float("nan"))
    folder = library.save(broken, tmp_path / "broken")
    assert "NaN or infinite" in refused("predict", folder, asked, "--context", "story.txt")
    plain = library.create_model("bert_mini", dim=8, depth=1, num_heads=2, vocab_size=300)
    plain.tokenizer = train_tokenizer("bpe", [STORY], 300)
    folder = library.save(plain, tmp_path / "plain")
    assert "answers none; leave it out" in refused("predict", folder, "a [MASK]", "--context", "story.txt")
    assert not list(Path.cwd().glob("*.png"))
