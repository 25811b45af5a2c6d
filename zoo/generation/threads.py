"""One thread where a step is small: to wake a second one for every product costs more than it gains."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

import torch

# Multiply-adds of a step, about, from which on a second thread gains more than waiting for it costs.
WORK = 5e7


@contextmanager
def threads_for(model: Any, rows: int) -> Iterator[None]:
    """Within the block torch computes on a CPU with one thread where a step of so many rows is small (rows x parameters), else
    with those that it has. The number is the process's, so it is left alone outside of the main thread: a server's others."""
    before, weights = torch.get_num_threads(), list(model.parameters())
    small = rows * sum(weight.numel() for weight in weights) < WORK and all(weight.is_cpu for weight in weights)
    if before == 1 or not small or current_thread() is not main_thread():
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
