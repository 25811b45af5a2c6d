"""The guard of figures: each window counts, once, at any batch."""

from __future__ import annotations

import copy
from typing import Any

import torch

from zoo.reports.leaks.seen import NEAR, Broken

BATCHES = (1, 32, 512)


def each_window_counts_once(model: Any, data: Any) -> str:
    """E1, bugs 1 and 2: the same figures over all windows whatever the batch."""
    wanted, found = windows_there(data), {}
    for size in BATCHES:
        other = copy.copy(data)
        other.batch_size = size
        found[size] = tested(model, other)
        if found[size][0] != wanted:
            raise Broken(f"{found[size][0]:,} of {wanted:,} test windows were scored at batches of {size}")
    figures = torch.tensor([found[size][1] for size in BATCHES])
    if not ((figures - figures[0]).abs() <= NEAR * figures[0].abs().clamp(min=1)).all():
        raise Broken("test/mse depends on the batch: " + ", ".join(f"{v:.6g} at {n}" for n, (_, v) in found.items()))
    return f"{wanted:,} test windows at batches of {', '.join(map(str, BATCHES))}: test/mse {float(figures[0]):.6g}"


def windows_there(data: Any) -> int:
    """Test windows that the rows of the test part hold, counted from its bounds alone."""
    count = 0
    for first, end in data.loaded().parts["test"].tolist():
        count += max(0, -(-(end - data.horizon + 1 - max(first, data.lookback)) // data.eval_stride))
    return count


def tested(model: Any, data: Any) -> tuple[int, float]:
    """(windows, MSE) of a test, as train.py tests."""
    from lightning.pytorch import Trainer

    from zoo.tasks.forecasting import Forecasting
    from zoo.training.quiet import quiet

    quiet()  # Lightning sets its loggers when it is imported
    task = Forecasting(model, {"_target_": "torch.optim.SGD", "lr": 0.0})
    trainer = Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, devices=1
    )
    loader = data.test_dataloader()
    if not len(loader):
        return 0, float("nan")
    (found,) = trainer.test(task, dataloaders=loader, verbose=False)
    return int(found["test/samples"]), float(found["test/mse"])
