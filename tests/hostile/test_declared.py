"""A8: what is declared is what conf/ names, and nothing that reads, writes, fetches, loads or builds."""

import ast
import inspect
import textwrap
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
import torch
import yaml
from torch import nn

from zoo import construct, declared
from zoo.attention import Pattern

ROOT = Path(__file__).resolve().parents[2]
#: What each group of conf/ names that a file may name too, and at which level.
GROUPS = {
    "model": "model", "score": "model", "pattern": "model", "position": "model", "kernel": "model", "experiment": "model",
    "data": "run", "task": "train",
}  # fmt: skip
NOT_FOR_FILES = ("zoo.tasks.",)  # a task is called by its own class


def named_in_conf():
    for group, level in GROUPS.items():
        for path in sorted((ROOT / "conf" / group).rglob("*.yaml")):
            todo = [yaml.safe_load(path.read_text())]
            while todo:
                node = todo.pop()
                todo += list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
                if isinstance(node, dict) and "_target_" in node:
                    yield path.relative_to(ROOT / "conf").as_posix(), node["_target_"], level


def all_declared():
    """Every declared object, and its level, after all rooms have been imported."""
    for room in declared.ROOMS:
        package = import_module(room)
        for found in walk_packages(package.__path__, f"{room}."):
            if not found.name.endswith(
                (".edge_triton", ".edge_triton_kernels")
            ):  # need a package that is not everywhere
                import_module(found.name)
    return {f"{thing.__module__}.{thing.__qualname__}": (thing, level) for thing, level in declared._declared.values()}


@pytest.mark.parametrize(("file", "name", "level"), sorted(set(named_in_conf())))
def test_what_conf_names_is_declared(file, name, level):
    """A part that forgets to declare itself would train, be saved, and not load."""
    tasks = ("Classification", "Modelling", "Forecasting", "MaskedPatches", "Translation", "ExtractiveQA")
    if name.startswith(NOT_FOR_FILES) and name.rpartition(".")[2].endswith(tasks):
        return
    assert callable(declared.find(name, level if file.split("/")[0] != "experiment" else "train"))


def test_every_part_of_the_core_is_declared():
    """What zoo.attention and zoo.layers export to be put into a config."""
    import zoo.attention as attention
    from zoo.attention import Position, Score

    #: bases, and what is made by code from data or other parts: no config can hold their arguments
    made = {"Documents", "Edges", "Padding", "Pattern", "PositionWrapper", "Score", "ScoreWrapper"}
    parts = [x for n, x in vars(attention).items() if inspect.isclass(x) and issubclass(x, Position | Score | Pattern)]
    assert {x.__name__ for x in parts if declared.level_of(x) is None} <= made


def test_declared_functions_are_these():
    """A function is called with what a file says, so each is looked at before it is added here."""
    functions = {name for name, (thing, _) in all_declared().items() if inspect.isfunction(thing)}
    assert functions == {
        "zoo.attention.dropout.byte_dropout",
        "zoo.attention.scores.elu_features", "zoo.layers.block.parallel", "zoo.layers.block.post_norm",
        "zoo.layers.block.pre_norm", "zoo.layers.block.res_post_norm", "zoo.layers.init.normal", "zoo.layers.init.trunc_normal",
        "zoo.layers.init.xavier", "zoo.layers.pairnorm.pair_norm",
    }  # fmt: skip


def test_declared_classes_are_parts_data_or_schedules():
    from lightning.pytorch import LightningDataModule

    from datamodules.augment import Augment
    from zoo.tasks.mixing import Mixing
    from zoo.tasks.noise import WordDropout
    from zoo.tasks.schedule import EpochDecay, InverseSquareRoot, WarmupCosine

    schedules = (EpochDecay, InverseSquareRoot, WarmupCosine)
    kinds = {
        "model": (nn.Module, Pattern),
        "run": (LightningDataModule, Augment),
        "train": (Mixing, WordDropout, *schedules),
    }
    for name, (thing, level) in all_declared().items():
        assert not inspect.isclass(thing) or issubclass(thing, kinds[level]), name
        assert not issubclass(thing, torch.nn.Module) if level != "model" else True, name


#: calls that a constructor of a declared thing never makes
FORBIDDEN = {
    "open", "exec", "eval", "compile", "__import__", "import_module", "load", "save", "write_text", "read_text", "write_bytes",
    "read_bytes", "unlink", "mkdir", "rmtree", "system", "run", "Popen", "urlopen", "urlretrieve", "download", "find", "locate",
    "instantiate", "loads", "load_state_dict", "touch", "symlink_to",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(all_declared()))
def test_what_is_declared_does_nothing_but_compute(name):
    """Its constructor, or the function itself, makes no call that reads, writes, fetches, loads or builds."""
    thing, _ = all_declared()[name]
    sources = [thing] if inspect.isfunction(thing) else [
        getattr(kind, method) for kind in thing.__mro__ if kind.__module__.split(".")[0] in ("zoo", "datamodules")
        for method in ("__init__", "__post_init__") if inspect.isfunction(vars(kind).get(method))
        and getattr(kind, method).__code__.co_filename != "<string>"
    ]  # fmt: skip
    for source in sources:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(source)))):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert called not in FORBIDDEN, called


def test_subclasses_and_methods_are_not_declared_by_their_parents(monkeypatch):
    import zoo.layers.init as room
    from zoo.attention import Full

    monkeypatch.setattr(room, "Sub", type("Sub", (Full,), {}), raising=False)
    monkeypatch.setattr(room, "method", Full.allowed, raising=False)
    monkeypatch.setattr(room, "instance", Full(), raising=False)
    for name in ("Sub", "method", "instance", "nn", "__builtins__", "__name__", "nowhere"):
        with pytest.raises(ValueError, match="may not be instantiated from a file"):
            declared.find(f"zoo.layers.init.{name}", "train")


@pytest.mark.parametrize(
    "name", [None, 3, "", "Full", "zoo.attention.", "zoo..Full", "zoo.attention.\0", "zoo.layers." + "a" * 200]
)
def test_a_name_is_looked_at_before_it_is_looked_up(name):
    with pytest.raises(ValueError, match="not of the form"):
        declared.find(name, "train")


def test_what_was_checked_is_what_is_built(monkeypatch):
    """A function that shadows its module: whatever is found is found once."""
    found = []

    def find(name, path):
        found.append(name)
        return dict

    tree = construct.resolve({"_target_": "a.b", "x": {"_target_": "c.d", "_partial_": True}}, find)
    construct.make(tree)
    assert found == ["c.d", "a.b"]
