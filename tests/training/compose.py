"""Compose and run in this process, without the command's start-up."""

import logging
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from omegaconf import DictConfig

from tests.training.conftest import ROOT, TINY
from zoo.conf import quoted, ready
from zoo.training import folders
from zoo.training.run import train

folders.register()


def compose(*overrides: str, run: Path | str = "run") -> DictConfig:
    """The config as Hydra composes it."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("train", [f"paths.run={run}", *ready(overrides)])


def command_here(*words: object) -> subprocess.CompletedProcess[str]:
    """`python train.py words` in this process, which has imported everything: its exit code and what it printed.

    That the command is one of a process of its own: `tests.training.conftest.train`.
    """
    out, err, code, root = StringIO(), StringIO(), 0, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for made in (folders.stamp, folders.token):
        made.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["train.py", *map(str, words)])
            own = (GlobalHydra, HydraConfig)
            others = {kind: each for kind, each in Singleton._instances.items() if kind not in own}
            patch.setattr(Singleton, "_instances", others)
            patch.setattr(folders.Choice, "folder", None)
            patch.setattr(folders.Choice, "continued", False)
            for name in ("HYDRA_FULL_ERROR", "ZOO_FULL_ERROR"):
                patch.setenv(name, "0")
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        torch.set_grad_enabled(True)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def fit(folder: Path, *overrides: str, extra=(), checkpoint=None, stop_with=()):
    """Train as train.py does, with `extra` callbacks; returns the trainer, or None where `stop_with` stopped it."""
    given = () if checkpoint is None else (f"ckpt_path={quoted(checkpoint)}",)
    config = compose(*TINY[:-1], "callbacks=none", "test=false", *overrides, *given, run=folder)
    try:
        with suppress(stop_with):
            return train(config, folder, watch=extra).trainer
    finally:
        torch.set_grad_enabled(True)
