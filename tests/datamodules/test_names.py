"""Names of data modules in configs, run folders and people's code stay."""

from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import datamodules
from zoo.declared import find

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [*(ROOT / "conf" / "data").rglob("*.yaml"), *(ROOT / "tests" / "old").glob("*/config.yaml")]


def targets(node) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(targets, node))
    if not isinstance(node, dict):
        return set()
    own = {node["_target_"]} if "_target_" in node else set()
    return own.union(*map(targets, node.values()))


NAMES = {name for path in CONFIGS for name in targets(OmegaConf.to_container(OmegaConf.load(path)))}
OF_OLD = {"datamodules.augment.Augment", "datamodules.images.Digits", "datamodules.graphs.Planetoid"}


@pytest.mark.parametrize("name", sorted({name for name in NAMES if name.startswith("datamodules.")} | OF_OLD))
def test_names_in_configs_of_now_and_then_are_found(name):
    module, _, own = name.rpartition(".")
    assert find(name, "run") is getattr(import_module(module), own)


@pytest.mark.parametrize("old", datamodules.MOVED)
def test_modules_are_found_under_their_names_of_before(old):
    assert import_module(f"datamodules.{old}") is import_module(datamodules.MOVED[old])
