"""How many threads a training computes with on a CPU: a rule of sizes, so that its sums depend on no clock."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from zoo.checked.texts import read_yaml
from zoo.errors import ZooError

#: Multiply-adds of a step's forward pass, about, from which on a second thread gains more than waiting for it costs.
WORK = 5e8


def check_threads(setting: Any) -> None:
    """Refuse what is not a number of threads."""
    whole = isinstance(setting, int) and not isinstance(setting, bool) and setting > 0
    if not (whole or setting in ("auto", None)):
        raise ZooError(
            f"threads={setting} is not a number of threads; give auto, null (torch's own choice), or 1 or more."
        )


def threads(setting: int | str | None, model: torch.nn.Module, data: Any, kept: int | None = None) -> int | None:
    """The number of threads of a run.

    Args:
        setting: a number; None: torch's choice, whatever it is; "auto": 1 where a step is small, else torch's choice.
            A step's work is parameters x tokens (or nodes) of a batch; parameters x rows where a decoder steps along a target,
            since a second thread then waits at every token. OMP_NUM_THREADS, where the user has set it, is torch's choice too.
        kept: what the run began with, which "auto" keeps when it is continued.

    Returns: the number; None: leave it to torch.
    """
    if setting != "auto":
        return setting if setting is None else int(setting)
    if kept:
        return kept
    most = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ:
        return most
    # A decoder that steps along its target does one token of each sentence at a time.
    at_once = int(data.batch_size) if getattr(model, "stepping", False) else data.tokens_per_step
    return most if sum(parameter.numel() for parameter in model.parameters()) * at_once >= WORK else 1


@contextmanager
def computing(number: int | None) -> Iterator[None]:
    """Within the block torch computes with so many threads; None: with its own number. Processes that train together
    (trainer.devices=2) share the cores as Lightning says."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def kept_threads(folder: Path | None) -> int | None:
    """The number that a run's config.yaml holds; None where there is none."""
    file = folder / "config.yaml" if folder else None
    content = read_yaml(file) if file and file.is_file() else None
    found = content.get("threads") if isinstance(content, dict) else None
    return found if isinstance(found, int) else None
