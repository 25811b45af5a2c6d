"""What a config that came with somebody's weights may name: classes and functions that say so themselves (A8).

    @declared                a part of a model, a model, or a pure function such as `pre_norm`
    @declared("run")         what a run's config.yaml may name besides: data modules, augmentations
    @declared("train")       what `load_from_checkpoint` may name besides: mixing, schedules

Nothing that reads, writes, fetches, loads or builds other things from names is ever declared. A name is looked up in modules
of the few ROOMS alone, so no other module is imported because a file says so, and what is found must be, by identity, an
object that was declared: neither a method, nor a subclass, nor what merely lies in the same module.
"""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, overload

from zoo import packages
from zoo.errors import ZooError, nearest

T = TypeVar("T")
#: Each level may name what those before it may.
LEVELS = ("model", "run", "train")
#: Packages whose modules may hold declared things, from which level on.
ROOMS = {
    "zoo.attention": "model",
    "zoo.layers": "model",
    "zoo.models": "model",
    "datamodules": "run",
    "zoo.tasks": "train",
}
#: Classes of torch, which cannot declare themselves: modules without side effects, and optimizers.
TORCH = {
    "torch.nn": ("model", (
        "BatchNorm1d", "BatchNorm2d", "CELU", "Dropout", "ELU", "GELU", "GroupNorm", "Hardswish", "Hardtanh", "Identity",
        "LayerNorm", "LeakyReLU", "Linear", "Mish", "PReLU", "RMSNorm", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus",
        "Softsign", "Tanh",
    )),
    "torch.optim": ("train", (
        "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "RAdam", "RMSprop",
        "Rprop", "SGD",
    )),
}  # fmt: skip
KNOWN = ("zoo", "datamodules", "torch", "lightning", "torchmetrics", "torchvision")  # hardly a user's own
#: What moved: the name of a class or function in older files -> its name now. A line stays for ever.
MOVED = {
    "zoo.models.vit.ViT": "zoo.models.vision.vit.ViT",
    "zoo.models.cnn.CNN": "zoo.models.vision.cnn.CNN",
    "zoo.models.gat.GAT": "zoo.models.graph.gat.GAT",
    "zoo.models.rgat.RGAT": "zoo.models.graph.rgat.RGAT",
    "zoo.models.han.HAN": "zoo.models.graph.han.HAN",
    "datamodules.augment.Augment": "datamodules.images.augment.Augment",
}
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)

_declared: dict[int, tuple[Any, str]] = {}  # by identity; the object is kept, so that its id stays its own


@overload
def declared(what: str) -> Callable[[T], T]: ...
@overload
def declared(what: T) -> T: ...
def declared(what: Any) -> Any:
    """Declare a class or function, for level "model" or the level given. It is returned as it is."""
    if isinstance(what, str):
        return lambda thing: _declare(thing, what)
    return _declare(what, "model")


def _declare(thing: Any, level: str) -> Any:
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    _declared[id(thing)] = (thing, level)
    return thing


def level_of(thing: Any) -> str | None:
    """The level at which a thing was declared; None where it was not."""
    found = _declared.get(id(thing))
    return found[1] if found and found[0] is thing else None


def find(name: Any, level: str, path: str = "_target_", trust: tuple[str, ...] = ()) -> Callable[..., Any]:
    """The declared class or function of a dotted name that a file gave.

    Args:
        name: module and name in it, `zoo.attention.RoPE`; of what moved (MOVED) an older one too.
        level: one of LEVELS.
        path: where the file says it.
        trust: packages that the reader named for this call, whose code need not be declared.
    Raises: ZooError for everything else.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > 200:
        raise ZooError(
            f"{path}={str(name)[:80]!r} may not be instantiated from a file; it is not of the form module.name."
        )
    if packages.under(name, trust):
        return packages.located(name, path, trust)
    name = MOVED.get(name, name)
    module, _, own = name.rpartition(".")
    if module in TORCH:
        least, names = TORCH[module]
        if own in names and _within(least, level):
            return getattr(import_module(module), own)
        raise ZooError(_refusal(path, name, [f"{module}.{each}" for each in names] if _within(least, level) else []))
    room = next((room for room in ROOMS if module == room or module.startswith(room + ".")), None)
    if room is None or not _within(ROOMS[room], level):
        raise ZooError(_refusal(path, name))
    try:
        inside = vars(import_module(module))
    except ImportError:
        raise ZooError(f"{_refusal(path, name)} There is no module {module}.") from None
    least_of = level_of(inside.get(own))
    if least_of is None or not _within(least_of, level):
        there = [f"{module}.{key}" for key, value in inside.items() if _within(level_of(value), level)]
        raise ZooError(_refusal(path, name, there))
    return inside[own]


def _within(least: str | None, level: str) -> bool:
    return least is not None and LEVELS.index(least) <= LEVELS.index(level)


def _refusal(path: str, name: str, options: list[str] | None = None) -> str:
    first = name.partition(".")[0]
    help = f" {nearest(name, options)}" if options else ""
    if not options and first not in sys.stdlib_module_names and first not in KNOWN:
        help = f" If it is code of your own, say so: trust=[{first!r}]."
    return f"{path}={name!r} may not be instantiated from a file: it is not declared for that (zoo.declared).{help}"


def strangers(config: Any) -> list[str]:
    """The packages of what a plain config names and no file may name: what `trust` has to say to load it again."""
    found = set()
    todo = [config]
    while todo:
        node = todo.pop()
        todo += list(node.values()) if isinstance(node, dict) else list(node) if isinstance(node, list | tuple) else []
        if isinstance(node, dict) and "_target_" in node:
            try:
                find(node["_target_"], LEVELS[-1])
            except ZooError:
                name = str(node["_target_"])
                first = name.partition(".")[0]
                found.add(name.rpartition(".")[0] if first in KNOWN else first)
    return sorted(found)
