"""The benchmark of language models runs, on small ones, and writes what it promises. Nothing here looks at a time."""

import json
from functools import partial

import pytest
import torch

from benchmarks import __main__ as door
from benchmarks import language, lm, prefill, timing

GPT2 = dict(vocab_size=96, n_positions=64, n_embd=32, n_layer=1, n_head=2)
LLAMA = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2)
SIZES = {"gpt2": GPT2, "llama_15m": LLAMA}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(lm, "gemm_peak", partial(timing.gemm_peak, sizes=(16,), rounds=1))
    monkeypatch.setattr(language, "one_row_product", partial(language.one_row_product, megabytes=1))

    def on_small(measure, **more):
        return lambda row, rounds, limit: measure(row, rounds, limit, **more, **SIZES[row["model"]])

    def memory(row, rounds, limit):
        return lm.memory(row, rounds, limit, lengths=(16, 32), **LLAMA)

    monkeypatch.setattr(prefill, "in_process", lambda module, **question: 1.0 + question["tokens"])
    measures = {"decode": on_small(lm.decode, new=6), "train": on_small(lm.train, tokens=16), "prefill": memory}
    monkeypatch.setattr(lm, "MEASURES", measures)


@pytest.mark.slow
def test_rows_are_measured_written_and_resumed(tmp_path, small, capsys):
    out = tmp_path / "lm.json"
    wanted = [key for key in lm.ROWS if "/compiled/" not in key]
    only = ["lm", "--rounds", "1", "--seconds", "1e-9", "--out", str(out)]
    door.main([*only, "--only", wanted[0]])
    door.main([*only, "--only", ",".join(wanted), "--resume"])
    data = json.loads(out.read_text())
    assert data["benchmark"] == "lm" and len(data["sessions"]) == 2 and set(data["rows"]) == set(wanted)
    for key, row in data["rows"].items():
        assert {"load", "bar", "ok", "session"} <= row.keys() and "/".join(row[name] for name in lm.NAME) == key
        if row["what"] == "decode":
            assert row["tokens_per_second"]["zoo"] > 0 and row["share"] > 0 and row["ratio"] > 0
            exact = row["weights"] == "float32"
            assert row["same_tokens"]["plain"] == 1 if exact else row["same_tokens"]["plain"] > 0
    assert data["rows"]["train/gpt2/eager/float32/4"]["gflop"] > 0
    assert data["rows"]["prefill/llama_15m/eager/float32/1"]["slope"] == pytest.approx(1, abs=0.1)
    shown = capsys.readouterr().out
    assert "greedy decoding" in shown and "training step" in shown and "MB above the weights" in shown


def test_what_would_be_measured_is_listed(capsys, tmp_path):
    door.main(["lm", "--list", "--only", "train,prefill"])
    assert capsys.readouterr().out.split() == ["train/gpt2/eager/float32/4", "prefill/llama_15m/eager/float32/1"]
    with pytest.raises(SystemExit) as stop:
        door.main(["lm", "--only", "gpt5", "--out", str(tmp_path / "x.json")])
    assert stop.value.code == 2 and "--only gpt5 is not a row" in capsys.readouterr().err


def test_sizes_are_the_published_ones():
    with torch.device("meta"):
        gpt2, llama = (language.theirs(name) for name in ("gpt2", "llama_15m"))
    assert sum(p.numel() for p in gpt2.parameters()) == 124_439_808
    assert sum(p.numel() for p in llama.parameters()) == 15_191_712


def test_the_weights_of_a_token_are_those_that_it_reads():
    models = language.trio("gpt2", **GPT2)
    total = 4 * sum(p.numel() for p in models["hf"].parameters())
    assert language.read_a_token(models["zoo"]) == total - 4 * 64 * 32  # but the table of places


def test_tokens_are_the_same_as_transformers_in_a_padded_batch():
    """C6."""
    models = language.trio("llama_15m", **LLAMA)
    ids, mask = language.prompts(96, 8)
    assert not mask.all() and mask[:, -1].all()
    ours = language.greedy(models["zoo"], ids, mask, 8)()
    theirs = language.greedy_of_theirs(models["hf"], ids, mask, 8)()
    assert ours.shape == theirs.shape == (8, 8) and lm.agreement(ours, theirs) > 0.9


@pytest.mark.parametrize("side", ["zoo", "hf"])
def test_memory_of_a_prompt(side):
    assert prefill.peak(side, "llama_15m", 64, 1, LLAMA) >= 0
