"""A table, and the run of a small forecaster on it, as train.py leaves it."""

from pathlib import Path

import numpy as np
import pandas as pd

from zoo import conf
from zoo.config import plain

TINY = [
    "model=patchtst", "model.patch=8", "model.stride=4", "model.dim=8", "model.num_heads=2", "model.depth=2", "model.hidden=16",
    "data=csv", "data.time=time", "data.lookback=24", "data.horizon=6", "data.batch_size=64", "trainer.max_epochs=2",
    "threads=1",
]  # fmt: skip


def table(rows: int = 260, seed: int = 0) -> pd.DataFrame:
    """Two waves with noise beside hourly stamps, in units that are far from mean 0 and deviation 1."""
    draw, t = np.random.default_rng(seed), np.arange(rows)
    a = 1000 + 50 * np.sin(t * 2 * np.pi / 24) + 5 * draw.normal(size=rows)
    b = 0.01 * np.cos(t * 2 * np.pi / 24) + 0.001 * draw.normal(size=rows)
    return pd.DataFrame({"time": pd.date_range("2020-01-01", periods=rows, freq="h"), "a": a, "b": b})


def trained(folder: Path, frame: pd.DataFrame, *words: str) -> Path:
    """The folder of a finished run on a table, which lies beside it as data.csv."""
    from zoo.training.folders import register
    from zoo.training.run import train
    from zoo.training.summary import finish

    frame.to_csv(folder / "data.csv", index=False)
    register()
    run = folder / "run"
    run.mkdir()
    given = [*TINY, f"data.path={conf.quoted(folder / 'data.csv')}", *words]
    config = conf.compose_train([*given, f"paths.run={conf.quoted(run)}", "+trainer.enable_progress_bar=false"])
    finish(train(plain(config), run), run, given, {})
    return run
