"""`report history`: the same batches and updates for each system, resumed by its rows, by length; what it refuses."""

import csv
import json

import pytest

from zoo import ZooError
from zoo.reports import history, history_systems
from zoo.reports.history import read, run
from zoo.reports.history_systems import SYSTEMS, compose, study
from zoo.tasks.by_length import bins, score

TINY = ["data.sizes=[16,4,8]", "data.letters=3", "data.longest=6", "data.batch_size=8", "model.dim=8", "epochs=1"]


def said(*lengths, right=1):
    """Rows of so many words, every `right`-th of them right."""
    rows = []
    for i, n in enumerate(lengths):
        truth = " ".join(f"w{i}x{j}" for j in range(n + 3))
        rows.append(
            {"source": " ".join("a" * n), "references": [truth], "prediction": truth if i % right == 0 else "no"}
        )
    return rows


def test_words_fall_into_the_six_bins_and_letters_each_into_their_own():
    rows = said(1, 7, 8, 9, 11, 14, 15, 18, 19, 40)
    assert [(each.label, len(each.rows)) for each in bins(rows, True)] == [
        ("≤ 7", 2), ("8-9", 2), ("10-11", 1), ("12-14", 1), ("15-18", 2), ("≥ 19", 2),
    ]  # fmt: skip
    assert [each.label for each in bins(said(3, 8), True)] == ["≤ 7", "8-9"]
    strings = [{"source": "a" * n, "references": ["b"], "prediction": "b"} for n in (4, 6, 6)]
    assert [(each.label, each.middle, len(each.rows)) for each in bins(strings, False)] == [("4", 4, 1), ("6", 6, 2)]
    strings = [{"source": "a" * n, "references": ["b"], "prediction": "b"} for n in range(1, 42)]
    assert [each.label for each in bins(strings, False)][:2] == ["1-3", "4-6"]
    assert sum(len(each.rows) for each in bins(strings, False)) == 41


def test_quality_is_bleu_of_words_and_exact_match_of_strings():
    rows = said(5, 6, 7, 8, right=2)
    assert score(rows, False).value == 50 and score(rows[:1], True).value == pytest.approx(100)
    found = score(rows, False, 400)
    assert 30 < found.spread <= 50 and found == score(rows, False, 400)
    several = [{**rows[1], "references": ["yes", "no"]}]
    assert score(several, False).value == 100


def test_a_study_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    words = [*TINY, f"data.cache={tmp_path}", f"out={tmp_path / 'out'}"]
    with pytest.raises(ZooError, match="is not a number of letters"):
        run([*words, "data.letters=99"])  # and the folder is still anybody's
    run([*words, "systems=seq2seq"])
    run([*words, "systems=seq2seq,luong_local_p"])
    shown = capsys.readouterr().out
    assert all(title in shown for title in ("CPU min", "target tokens/s", "val. perplexity", "exactly right (%)", "±"))
    found = json.loads((tmp_path / "out" / "luong_local_p-0.json").read_text())
    assert len(found["predictions"]) == 8 and found["updates"] == 2 and found["val_perplexity"] > 1
    monkeypatch.setattr(history, "train_one", None)
    run([*words, "systems=luong_local_p,seq2seq"])  # all of it is there
    with open(tmp_path / "out" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["system"] for row in rows] == ["luong_local_p", "seq2seq"] and rows[0]["updates"] == rows[1]["updates"]
    assert {"parameters", "cpu_minutes", "tokens_per_second", "val_perplexity", "value", "spread", "length 4"} <= rows[
        0
    ].keys()
    assert (tmp_path / "out" / "history.png").stat().st_size > 10_000
    with pytest.raises(ZooError, match="holds a study of other settings"):
        run([*words, "data.letters=4"])


def test_two_that_begin_at_once_with_other_settings_do_not_mix(tmp_path, monkeypatch):
    """The second finds a folder that holds nothing yet, and by the time it is done the first has written."""
    folder, words = tmp_path / "out", [*TINY, f"data.cache={tmp_path}", "systems=seq2seq", f"out={tmp_path / 'out'}"]
    train_one = history.train_one

    def meanwhile(*given):
        monkeypatch.setattr(history, "train_one", train_one)
        run(words)
        return train_one(*given)

    monkeypatch.setattr(history, "train_one", meanwhile)
    with pytest.raises(ZooError, match="holds a study of other settings"):
        run([*words, "model.dim=16"])
    monkeypatch.setattr(history, "train_one", None)
    run(words)
    assert json.loads((folder / "seq2seq-0.json").read_text())["words"][-1] == f"data.cache={tmp_path}"


@pytest.mark.parametrize(("file", "text"), [("settings.json", "{"), ("seq2seq-0.json", ""), ("seq2seq-0.json", "[]")])
def test_a_folder_that_somebody_wrote_into(tmp_path, file, text):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / file).write_text(text)
    with pytest.raises(ZooError, match=f"{file} (cannot be read|holds a list)"):
        run([*TINY, "systems=seq2seq", f"out={folder}"])


@pytest.mark.parametrize("sizes", ["[8,0,4]", "[8,4,0]"])
def test_a_set_without_validation_or_test_is_refused_before_training(sizes, tmp_path):
    with pytest.raises(ZooError, match="data=reverse has no validation or no test pairs"):
        run([*TINY, "systems=seq2seq", f"data.sizes={sizes}", f"data.cache={tmp_path}", f"out={tmp_path / 'out'}"])


@pytest.mark.parametrize("data", ["reverse"])
def test_all_systems_see_the_same_batches_and_updates(data):
    configs = {name: compose(name, 3, data, None, ()) for name in SYSTEMS}
    assert len({json.dumps(each["data"], sort_keys=True) for each in configs.values()}) == 1
    assert {each["trainer"]["max_epochs"] for each in configs.values()} == {study(data).epochs}
    assert len({json.dumps([each["model"], each["task"]], sort_keys=True) for each in configs.values()}) == len(SYSTEMS)


def test_multi30k_has_the_sizes_of_the_issue():
    """Width 256 and 1 layer, Transformer 2 + 2 and 512 within; D = 5; beams of 5; by batches of 128."""
    words = {name: history_systems.TEXTS.words(name) for name in SYSTEMS}
    for name, each in words.items():
        assert {"model.dim=256", "data.batch_size=128", "task.decode.num_beams=5"} <= set(each)
        assert ("model.depth=2" in each) == (name == "transformer_2017") and history_systems.TEXTS.epochs == 8
    assert "pattern.size=6" in words["luong_local_m"] and "score.window=5" in words["luong_local_p"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["seeds=a"], "whole numbers are meant"),
        (["epochs=0"], "epochs=0 trains nothing"),
        (["systems=bahdano"], "did you mean 'bahdanau'"),
        (["sistems=gru"], "did you mean 'systems'"),
        (["bahdanau"], "not a setting of this study"),
        (["model=gpt"], "model=gpt: this study says that itself; give systems="),
        (["trainer.max_epochs=1"], "give epochs="),
    ],
)
def test_bad_words(words, sentence):
    with pytest.raises(ZooError, match=sentence):
        read(words)
