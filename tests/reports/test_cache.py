"""`python -m zoo report cache`: what is kept of the past, and what that costs."""

import csv
import math

import pytest
import torch

import zoo
from zoo.cli import main
from zoo.errors import ZooError
from zoo.reports.cache import defaults, read, row, stretches
from zoo.text import train_tokenizer

CONFIG = {"_target_": "zoo.models.language.llama.Llama", "context": 64, "dim": 64, "depth": 2, "num_heads": 2}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = zoo.build({**CONFIG, "vocab_size": 259})
    model.tokenizer = train_tokenizer("byte", [""])
    return model.eval()


@pytest.fixture(scope="module")
def ids():
    return torch.randint(256, (3, 40), generator=torch.Generator().manual_seed(0))


def test_steps_give_what_the_whole_gives(model, ids):
    """Of the full cache and of none: the losses of one forward pass."""
    logits = model(ids)[:, :-1].double().log_softmax(-1)
    wanted = -logits.gather(-1, ids[:, 1:, None])[..., 0]
    for policy in ("none", "full"):
        found = read(model, ids, policy)
        torch.testing.assert_close(found.nats, wanted.detach(), atol=1e-4, rtol=0)
        assert torch.equal(found.likeliest, logits.argmax(-1))


def test_a_window_is_the_pattern_of_that_name(model, ids):
    from zoo.attention import Window

    logits = model(ids, pattern=Window(8))[:, :-1].double().log_softmax(-1)
    torch.testing.assert_close(
        read(model, ids, "window:8").nats, -logits.gather(-1, ids[:, 1:, None])[..., 0].detach(), atol=1e-4, rtol=0
    )


def test_a_line_of_the_table(model, ids):
    full, int8 = read(model, ids, "full"), read(model, ids, "int8")
    name, size, share, perplexity, speed, agreement = row("int8", int8, full)
    assert name == "int8" and size == int8.nbytes and share <= 0.32  # heads are 32 wide
    assert perplexity == pytest.approx(math.exp(full.nats.mean()), rel=0.01)
    assert speed > 0 and agreement > 0.9 and row("full", full, full)[-1] == 1


def test_stretches_lie_evenly_over_the_text():
    assert stretches(range(100), 10, 4, "x").tolist() == [list(range(i, i + 10)) for i in (0, 30, 60, 90)]
    assert stretches(range(25), 10, 4, "x").shape == (2, 10)
    with pytest.raises(ZooError, match="x has 5 tokens, less than the 10"):
        stretches(range(5), 10, 4, "x")


@pytest.mark.parametrize("length", [8, 9, 64, 256])
def test_usual_policies_fit_any_length(model, length):
    for policy in defaults(length):
        cache = model.new_cache(1, length, policy)
        assert policy in ("none", "full", "int8") or cache.length <= max(length // 4, 2) + 1


def test_the_report(model, tmp_path, capsys):
    zoo.save(model, tmp_path / "run")
    (tmp_path / "a.txt").write_text("a text of some length. " * 10)
    words = ("report", "cache", f"run={tmp_path / 'run'}", f"path={tmp_path / 'a.txt'}")
    assert main([*words, "length=16", "rows=2"]) == 0
    out, err = capsys.readouterr()
    assert not err and out.splitlines()[-1] == str(tmp_path / "run" / "reports" / "cache.png")
    with open(tmp_path / "run" / "reports" / "cache.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [each["cache"] for each in rows] == list(defaults(16)) and rows[1]["as full"] == "1.0"
    assert main([*words, "policies=window:4,heavy:2+2", f"out={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out" / "cache.png").read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    for more, said in {
        "policies=windo:4": "is none of",
        "length=4": "length=4",
        "rows=0": "rows=0",
        "length=10000": "",
    }.items():
        assert main([*words, more]) == (2 if said else 0)
        assert said in capsys.readouterr().err
