"""`report adapters`: what it trains, what it tells, what it refuses."""

import json

import pytest

from zoo import ZooError
from zoo.reports import adapters
from zoo.reports.adapters import read, run, summarise


def test_recovery_is_a_seeds_own():
    runs = []
    for seed, base, full, lora in ((0, 3.0, 2.0, 2.1), (1, 2.0, 1.0, 1.3)):
        for variant, loss, trained in (("base", base, 0), ("full", full, 100), ("lora", lora, 8)):
            runs.append({"seed": seed, "variant": variant, "loss": loss, "trained": trained, "parameters": 100})
    rows = {name: rest for name, *rest in summarise(runs)}
    share, loss, _, part, spread = rows["lora"]
    assert (share, loss) == (0.08, pytest.approx(1.7))
    assert (part, spread) == (pytest.approx(0.8), pytest.approx(0.02**0.5))
    assert rows["base"][3] == 0 and rows["full"][3] == 1


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["seeds=a"], "whole numbers are meant"),
        (["variants=lara"], "did you mean 'lora'"),
        (["sedes=1"], "did you mean 'seeds'"),
        (["full"], "not a setting of this study"),
    ],
)
def test_bad_words(words, sentence):
    with pytest.raises(ZooError, match=sentence):
        read(words)


def test_a_small_study_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {i} of a text, {i * i} long\n" for i in range(300)))
    words = [
        "data=textfile", f"data.path={text}", f"data.cache={tmp_path}", "model.dim=16", "model.depth=1", "data.context=16",
        "trainer.max_epochs=1", "+trainer.limit_train_batches=2", "variants=full,lora", f"out={tmp_path / 'out'}",
    ]  # fmt: skip
    run([*words, "seeds=0"])
    found = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    assert [each["variant"] for each in found] == ["base", "full", "lora"]
    assert found[0]["trained"] == 0 and found[1]["trained"] == found[1]["parameters"] > found[2]["trained"] > 0
    assert found[1]["loss"] != found[0]["loss"] != found[2]["loss"]
    assert "of the gain" in capsys.readouterr().out and (tmp_path / "out" / "adapters.png").stat().st_size
    monkeypatch.setattr(adapters, "train_one", None)
    run([*words, "seeds=0"])  # all of it is there
    with pytest.raises(ZooError, match="study of other settings"):
        run([*words, "model.num_heads=2"])
