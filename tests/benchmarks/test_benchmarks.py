"""The benchmarks run, write what they promise and go on where they stopped. Nothing here looks at a time."""

import json
from functools import partial

import pytest
import torch

from benchmarks import __main__ as door
from benchmarks import kernels, memory, startup, timing, vit
from benchmarks.results import Results

TINY = {"img_size": 32, "depth": 1}


@pytest.fixture
def small(monkeypatch):
    """The ViT benchmark on one block, four patches and small matrix products; returns the keys that were measured."""
    measured = []

    def timed(row, rounds):
        measured.append((row["what"], row["batch"]))
        return vit_timed(row, rounds, **TINY)

    vit_timed = vit.timed
    monkeypatch.setattr(vit, "timed", timed)
    monkeypatch.setattr(vit, "gemm_peak", partial(timing.gemm_peak, sizes=(16,), rounds=1))
    return measured


def arguments(out, batches, *more):
    fixed = ["--models", "vit_tiny_patch16_224", "--modes", "eager", "--dtypes", "float32", "--rounds", "2"]
    return ["vit", *fixed, "--what", "forward,train", "--batches", batches, "--out", str(out), *more]


def test_vit_writes_rows_and_resumes(tmp_path, small, capsys):
    out = tmp_path / "vit.json"
    door.main(arguments(out, "1"))
    assert small == [("forward", 1), ("train", 1)]
    door.main(arguments(out, "1,2", "--resume"))
    assert small[2:] == [("forward", 2), ("train", 2)]  # what was there is kept

    data = json.loads(out.read_text())
    assert data["benchmark"] == "vit" and len(data["sessions"]) == 2
    session = data["sessions"][0]
    assert {"started", "ended", "load_before", "load_after", "threads", "versions"} <= session.keys()
    assert session["gemm_peak_start"]["float32"] > 0 and session["gemm_peak_end"]["float32"] > 0
    tiny = "vit_tiny_patch16_224"
    assert set(data["rows"]) == {f"{tiny}/{w}/eager/float32/{b}" for w in ("forward", "train") for b in (1, 2)}
    for row in data["rows"].values():
        assert {"min_ms", "median_ms"} == row["zoo"].keys() == row["timm"].keys() == row["copy"].keys()
        assert row["ratio"] > 0 and row["spread"] >= 0 and row["ok"] == (row["ratio"] >= 1 - row["spread"])
        assert row["gflop"] > 0 and row["gflops"]["zoo"] > 0
    assert "zoo/timm" in capsys.readouterr().out


def test_bfloat16_runs():
    row = {"model": "vit_tiny_patch16_224", "mode": "eager", "dtype": "bfloat16", "batch": 1}
    for what in ("forward", "train"):
        assert vit.timed({**row, "what": what}, rounds=1, **TINY)["ratio"] > 0


def test_every_round_times_each_once_in_a_turned_order():
    order = []
    times = timing.in_turn({name: partial(order.append, name) for name in "abc"}, rounds=2, warmup=1)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert [len(times[name]) for name in "abc"] == [2, 2, 2]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    results = Results("x", tmp_path / "x.json")
    results.add("a", {"ratio": 1.0})
    with pytest.raises(TypeError):
        results.add("b", {"ratio": object()})
    assert set(json.loads((tmp_path / "x.json").read_text())["rows"]) == {"a"}


def test_memory_is_that_of_the_model_in_its_own_process():
    pytest.importorskip("psutil")
    row = {"model": "vit_tiny_patch16_224", "mode": "train", "dtype": "float32", "batch": 1}
    used = memory.in_process("benchmarks.memory", repeats=1, side="zoo", threads=1, sizes=TINY, **row)
    assert used > 1  # a megabyte of weights at least


@pytest.mark.parametrize("what", ["forward", "train"])
@pytest.mark.parametrize("kernel", kernels.SCORES)
def test_kernels_run(kernel, what):
    kernels.call(what, kernel, heads=4, length=5, width=4)()


def test_startup_reports_a_failing_process(tmp_path):
    startup.process(["-c", "pass"], str(tmp_path))
    with pytest.raises(RuntimeError, match="no such thing"):
        startup.process(["-c", "raise SystemExit('no such thing')"], str(tmp_path))


def test_epoch_takes_turns(tmp_path):
    from benchmarks.epoch import alternate

    threads = torch.get_num_threads()
    few = ["model.depth=1", "+trainer.limit_train_batches=2", "callbacks=none", "data.val_fraction=0.02"]
    seconds = alternate(few, rounds=2)
    assert len(seconds["run"]) == len(seconds["bare"]) == 2
    assert torch.get_num_threads() == threads
