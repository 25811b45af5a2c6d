"""What a training asks of its process: quiet, seeded."""

import logging
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import seed_everything

from zoo.training.quiet import quiet
from zoo.training.ranks import rank


def prepare_process(config: Mapping[str, Any]) -> None:
    """Hide others' irrelevant messages, let rank 0 alone tell what goes on, and seed what draws the initial weights."""
    quiet()
    if rank():
        logging.getLogger().setLevel(logging.WARNING)
    seed_everything(config["seed"], workers=True, verbose=False)
