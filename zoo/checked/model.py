"""The model that a file's config describes: what it names was declared, and it is no larger than the weights beside it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode

from zoo import construct, declared, packages
from zoo.checked.fits import check_fits, with_tied
from zoo.checked.texts import check_config
from zoo.errors import ZooError, naming

PLAIN = {int, float, bool, str, type(None)}
SMALL = 10_000  # numbers of a tensor that may be made where a constructor wants to read it
WHOLE = 2**20  # what a whole number of a config may be where the weights hold fewer numbers
#: functions of torch that make a tensor out of sizes
MAKERS = {
    "arange", "as_tensor", "asarray", "empty", "empty_strided", "eye", "full", "linspace", "logspace", "ones", "rand",
    "randint", "randn", "randperm", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros",
}  # fmt: skip


#: and that write random numbers into one: of torch.nn.init, and those of Tensor that the rest of it calls
DRAWING = {"kaiming_uniform_", "normal_", "uniform_", "kaiming_normal_", "trunc_normal_"}


@dataclass(frozen=True)
class Most:
    """What a model may be made of: so many numbers, so many tensors that hold them; none of its sizes above `whole`."""

    numbers: int
    tensors: int
    whole: int = WHOLE

    @classmethod
    def of(cls, state: Mapping[str, Tensor], times: int = 1) -> "Most":
        """What these weights allow: themselves, and a little that is not saved (`times` as much, for other sizes of data)."""
        stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in state.values()}
        numbers = min(sum(tensor.numel() for tensor in state.values()), sum(stored.values()))
        return cls(times * (2 * numbers + 10**6), 2 * len(state) + 100, max(numbers, WHOLE))


def resolve(
    config: Any, where: str, most: Most | None = None, level: str = "model", trust: tuple[str, ...] = ()
) -> construct.Call:
    """A file's config with each name looked up and each argument checked; nothing is built yet.

    Args:
        config: the content of the file.
        where: what errors call it.
        most: bounds a model's whole numbers; None for what is not a model.
        level: one of `zoo.declared.LEVELS`.
        trust: packages that the reader named, whose code may be named too.
    Raises: ZooError for values that are not plain, names that were not declared, arguments that nothing takes.
    """
    check_config(config, where)
    if not isinstance(config, dict) or "_target_" not in config:
        raise ZooError(f"{where} describes nothing to build: it has no _target_.")
    if config.get("_partial_"):
        raise ZooError(f"{where}: _partial_ at the top builds nothing; it belongs to parts.")
    with naming(where):
        tree = construct.resolve(config, lambda name, path: declared.find(name, level, path, trust))
        construct.check(tree)
        check_values(tree, most)
    return tree


def check_values(tree: construct.Call, most: Most | None = None) -> None:
    """Refuse plain values of another kind than their arguments', and whole numbers larger than anything in the weights."""
    for call in construct.calls(tree):
        _check_kinds(call)
        if most is not None:
            _check_sizes(call, most.whole)


def build_for(
    config: Any, state: Mapping[str, Tensor], where: str, trust: tuple[str, ...] = (), drawn: bool = True
) -> nn.Module:
    """The model of a file's config, with numbers of its own, once it is known that these weights fit it.

    Args:
        drawn: False where all its parameters are written over next: then they begin at zero, in half the time. What trusted
            code makes of its numbers nobody knows, so they are drawn there.
    Raises: as `resolve`, and ZooError where the model is larger than the weights, or has other tensors.
    """
    most = Most.of(state)
    tree = resolve(config, where, most, trust=trust)
    check_shapes(tree, state, where, most, trust)
    with nullcontext() if drawn or trust else Undrawn():
        return build(tree, where)


def check_shapes(
    tree: construct.Call, state: Mapping[str, Tensor], where: str, most: Most, trust: tuple[str, ...] = ()
) -> None:
    """Refuse a config of another model than the weights are of, before the model takes memory.

    Trusted code that cannot be sketched, since it reads numbers while it is built, is compared once it is built.
    """
    try:
        model = sketch(tree, where, most)
    except construct.NotBuilt:
        if any(packages.under(call.name, trust) for call in construct.calls(tree)):
            return
        raise
    with naming(where):
        check_fits(model, with_tied(model, state))


def sketch(tree: construct.Call, where: str, most: Most) -> nn.Module:
    """The model on the meta device, so without memory, if it is not made of more than `most`. Raises: ZooError."""
    with naming(where), _counted(most), Weightless(most):
        return _module(construct.make(tree))


def build(tree: construct.Call, where: str) -> nn.Module:
    """The model itself. Raises: ZooError for whatever keeps it from being built."""
    with naming(where):
        return _module(construct.make(tree))


def _module(made: Any) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise ZooError(f"it describes a {type(made).__name__}, no model.")
    if strange := next((n for n, t in made.state_dict().items() if t.device.type not in ("cpu", "meta")), None):
        raise ZooError(f"{strange} is put on a device by the config.")
    return made


def _check_kinds(call: construct.Call) -> None:
    """Refuse a plain value of another kind than the argument's, where that is said by plain types alone."""
    for key, kinds in construct.argument_types(call.target).items():
        value = call.given.get(key)
        if value is None or not kinds <= PLAIN or type(value) in kinds or (type(value) is int and float in kinds):
            continue
        wanted = " or ".join(sorted(kind.__name__ for kind in kinds - {type(None)}))
        raise ZooError(
            f"{call.path}.{key}".lstrip(".") + f"={str(value)[:80]} is a {type(value).__name__}, not {wanted}."
        )


def _check_sizes(call: construct.Call, largest: int) -> None:
    for key, value in call.given.items():
        name = f"{call.path}.{key}".lstrip(".")
        if key in ("device", "dtype"):
            raise ZooError(f"{name}={value!r}: where a model lies and in what precision is not the file's to say.")
        for number in value if isinstance(value, list) else [value]:
            if type(number) is int and abs(number) > largest:
                raise ZooError(f"{name}={number} is larger than anything in the weights ({largest:,} at most).")


class Weightless(TorchFunctionMode):
    """Within it tensors are made on the meta device and counted, and nothing is written into them.

    `torch.device("meta")` alone lets the init functions run, which imports torch._dynamo, three seconds.
    """

    def __init__(self, most: Most):
        super().__init__()
        self.most, self.numbers = most, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name in MAKERS:
            made = func(*args, **kwargs | {"device": "meta"})
            if made.numel() <= SMALL and str(kwargs.get("device")) == "cpu":  # asked for there: it is to be read
                return func(*args, **kwargs)
            self.numbers += made.numel()
            if self.numbers > self.most.numbers:
                raise ZooError(
                    f"the model would hold {self.numbers:,} numbers or more, far more than the weights; a size is wrong."
                )
            return made
        if name.endswith("_") and not name.endswith("__"):  # fills a tensor; torch.nn.init hands it on by name
            filled = kwargs.get("tensor", args[0] if args else None)
            if isinstance(filled, Tensor) and filled.is_meta:
                return filled
        return func(*args, **kwargs)


class Undrawn(TorchFunctionMode):
    """Within it parameters begin at zero where they would be drawn."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DRAWING:
            filled = kwargs.get("tensor", args[0] if args else None)
            if isinstance(filled, nn.Parameter):
                with torch.no_grad():
                    return filled.zero_()
        return func(*args, **kwargs)


@contextmanager
def _counted(most: Most) -> Iterator[None]:
    """Stop where a model registers more tensors, or more modules around them, than its weights can be of."""
    left = {"tensors": most.tensors, "modules": 4 * most.tensors + 1000}
    here = threading.get_ident()

    def count(kind: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if threading.get_ident() != here:  # the hooks are the process's
                return
            left[kind] -= 1
            if left[kind] < 0:
                raise ZooError(f"the model would have more {kind} than the weights; a size is wrong.")

        return hook

    hooks = [
        registration.register_module_parameter_registration_hook(count("tensors")),
        registration.register_module_buffer_registration_hook(count("tensors")),
        registration.register_module_module_registration_hook(count("modules")),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
