"""What loading windows costs: its share of an epoch, and the memory that a long file takes."""

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.memory import highest, in_process

ROOT = Path(__file__).parents[1]
SHARE, GIB = 0.05, 2.0
STRIDE = 1000


def measure(row: dict[str, Any], rounds: int, limit: float | None = None, few: tuple[str, ...] = ()) -> dict[str, Any]:
    """The time of going through all training windows, as a share of that of an epoch that trains on them as well."""
    import torch
    from hydra import compose, initialize_config_dir

    import zoo
    from benchmarks.timing import in_turn, summary
    from zoo.config import instantiate, plain

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = [f"model={row['model']}", "data=etth1", "data.batch_size=128", *few]
        data = instantiate(plain(compose("train", overrides=[*settings, "paths.run=unused"]))["data"])
    data.setup()
    loader = data.train_dataloader()
    sizes = {name: getattr(data.spec, name) for name in ("channels", "lookback", "horizon")}
    model = zoo.create_model(row["model"], **sizes).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-9)

    def load() -> None:
        for _ in loader:
            pass

    def epoch() -> None:
        for batch in loader:
            torch.nn.functional.mse_loss(model(*model.inputs(batch)).mean, batch["future_values"]).backward()
            optimizer.step()
            optimizer.zero_grad()

    times = summary(in_turn({"load": load, "epoch": epoch}, min(rounds, 2), warmup=0, limit=limit))
    share = times["load"]["min_ms"] / times["epoch"]["min_ms"]
    return {
        **times, "figure": share, "unit": "of an epoch", "bar": SHARE, "ok": share <= SHARE,
        "says": f"{times['load']['min_ms']:.0f} of {times['epoch']['min_ms']:.0f} ms, {len(loader.dataset)} windows",
    }  # fmt: skip


def memory(row: dict[str, Any], rounds: int, limit: float | None = None) -> dict[str, Any]:
    """The most that a run of train.py had resident which trains and tests on a file of so many rows: GiB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.csv"
        write(path, int(row["size"]))
        began = perf_counter()
        used = in_process("benchmarks.loading", repeats=1, path=str(path), model=row["model"]) / 2**30
        seconds, megabytes = perf_counter() - began, path.stat().st_size / 1e6
    return {
        "figure": used, "unit": "GiB", "bar": GIB, "ok": used <= GIB, "seconds": seconds,
        "says": f"a file of {megabytes:.0f} MB read, trained on and tested in {seconds:.0f} s",
    }  # fmt: skip


def write(path: Path, rows: int, at_once: int = 100_000) -> None:
    """A table of a stamp a second and a target: a daily wave and noise."""
    import numpy as np

    draw, start = np.random.default_rng(0), np.datetime64("2020-01-01T00:00:00")
    with path.open("w") as file:
        file.write("date,load\n")
        for first in range(0, rows, at_once):
            at = np.arange(first, min(first + at_once, rows))
            values = np.sin(at * (2 * np.pi / 86400)) + 0.1 * draw.standard_normal(len(at))
            stamps = np.char.replace((start + at).astype(str), "T", " ")
            file.writelines(f"{stamp},{value:.4f}\n" for stamp, value in zip(stamps, values, strict=True))


def peak(path: str, model: str, **_: Any) -> int:
    """Bytes that this process had resident at most, after it was a run of train.py."""
    import runpy

    with tempfile.TemporaryDirectory() as runs:
        overrides = [
            f"model={model}", "data=csv", f"data.path={path}", "data.time=date", "data.targets=[load]", f"data.stride={STRIDE}",
            f"data.eval_stride={STRIDE}", "trainer.max_epochs=1", f"paths.runs={runs}", "callbacks.figures=null",
            "+trainer.enable_progress_bar=false",
        ]  # fmt: skip
        sys.argv = ["train.py", *overrides]
        try:
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
    return highest()


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print(peak(**json.loads(sys.argv[1])))
