"""A probe: what a model gives for a small input that code makes from a seed. It needs no data, and is the same anywhere.

    probe = make(model)                  plain, a few kB of JSON; a model's card carries it
    differences(model, probe)            {"float32": 3e-7}: how far the model of today is from it

Weights that were changed, code that computes something else than it did, and files that were mixed up show here.
The input is the model's own `example` (`zoo.models.Model.example`), which a package of one's own may define too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError, answering
from zoo.models import Model
from zoo.models.examples import Draw

COUNT = 256  # numbers that are kept of an output
#: The largest relative difference that is none, by what was computed with.
TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 2e-2, "float16": 2e-2}
HALF = (torch.bfloat16, torch.float16)


def make(model: nn.Module, seed: int = 0) -> dict[str, Any] | None:
    """The probe of a model; None where its class says of no example.

        {"seed": 0, "input": {"sha256": ..., "shapes": {...}}, "count": 20, "outputs": {"float32": {"values": [...], "rms": x}}}

    A model whose weights are stored in half precision is computed in float32 too: these outputs are the same anywhere up to
    rounding, where those in its own dtype depend on the machine.

    Args:
        model: in whatever mode and dtype; it is left as it is.
        seed: of the input.

    Raises: ZooError where an output is not finite.
    """
    if not _has_example(model):
        return None
    given = _example(model, seed)
    found = {_name(dtype): _outputs(model, given, dtype) for dtype in _dtypes(model)}
    wide = next(iter(found.values()))
    values = {name: {"values": _kept(each), "rms": _rms(each)} for name, each in found.items()}
    if not wide.isfinite().all():
        raise ZooError(f"This {type(model).__name__} answers numbers that are not finite: its weights are damaged.")
    return {"seed": seed, "input": _told(given), "count": wide.numel(), "outputs": values}


def differences(model: nn.Module, probe: Mapping[str, Any]) -> dict[str, float]:
    """How far a model's outputs are from its probe's, by dtype: the largest difference over the largest output; infinite where
    there are others in number.

    Raises: ZooError for a probe that is none, or whose input this version makes otherwise.
    """
    seed, outputs = probe.get("seed"), probe.get("outputs")
    if type(seed) is not int or not 0 <= seed < 2**63 or not isinstance(outputs, Mapping) or not outputs:
        raise ZooError("The probe has no seed or no outputs; make it again.")
    if not _has_example(model):
        raise ZooError(f"{type(model).__name__} makes no example for a probe; take the version that its card names.")
    given = _example(model, seed)
    if (made := _told(given)) != probe.get("input"):
        raise ZooError(
            f"The probe's input is made otherwise by this version ({made['sha256'][:12]}) than when it was stated; publish the "
            "model again, or take the version that its card names."
        )
    with answering("the probe"):  # in whatever precision the card names
        return {name: _difference(model, given, name, each, probe.get("count")) for name, each in outputs.items()}


def lacks(model: nn.Module, probe: Mapping[str, Any]) -> list[str]:
    """The dtypes that a probe of these weights states (see `make`), and this one does not: rounding in others hides changes."""
    return [name for name in map(_name, _dtypes(model)) if name not in probe["outputs"]]


def compare(model: nn.Module, probe: Mapping[str, Any]) -> float:
    """The largest relative difference of what is computed in float32 or wider; see `differences`."""
    return max(each for name, each in differences(model, probe).items() if TOLERANCE[name] < 1e-3)


def agrees(found: Mapping[str, float]) -> bool:
    """Whether `differences` are those of rounding."""
    return all(difference <= TOLERANCE[name] for name, difference in found.items())


def _has_example(model: nn.Module) -> bool:
    return isinstance(model, Model) and type(model).example is not Model.example


def _example(model: Any, seed: int) -> tuple[Any, ...]:
    return model.inputs(model.example(Draw(seed)))


def _dtypes(model: nn.Module) -> list[torch.dtype]:
    """What is computed with: the weights' own, and float32 first where that is narrower."""
    own = next((tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()), torch.float32)
    return [torch.float32, own] if own in HALF else [own]


@torch.no_grad()
def _outputs(model: nn.Module, given: tuple[Any, ...], dtype: torch.dtype) -> Tensor:
    """All numbers that come out, one behind the other, float64."""
    own = next((tensor for tensor in model.parameters() if tensor.is_floating_point()), torch.zeros(()))
    shown = model if own.dtype == dtype else deepcopy(model).to(dtype)
    compiled = getattr(shown, "_compiled_call_impl", None) is not None  # for other shapes, which would take a minute
    with _evaluating(shown), torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        out = shown(*(_cast(each, dtype, own.device) for each in given))
    return torch.cat([tensor.detach().cpu().double().flatten() for tensor in _tensors(out)])


def _difference(model: nn.Module, given: tuple[Any, ...], name: str, stated: Any, count: Any) -> float:
    if name not in TOLERANCE or not isinstance(stated, Mapping):
        raise ZooError(f"The probe's outputs are in {str(name)[:40]!r}, which is none of {', '.join(TOLERANCE)}.")
    out = _outputs(model, given, getattr(torch, name))
    if count != out.numel():
        return float("inf")
    try:
        there = torch.tensor([*stated["values"], stated["rms"]], dtype=torch.float64)
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise ZooError("The probe's outputs are no numbers; make it again.") from None
    here = torch.tensor([*_kept(out), _rms(out)], dtype=torch.float64)
    if here.shape != there.shape:
        return float("inf")
    difference = ((here - there).abs().max() / there.abs().max().clamp(min=1e-12)).item()
    return difference if difference == difference else float("inf")


def _kept(out: Tensor) -> list[float]:
    """Some of the numbers, evenly apart, the first and the last among them."""
    count = min(COUNT, out.numel())
    places = [i * (out.numel() - 1) // max(count - 1, 1) for i in range(count)]
    return [float(f"{value:.7g}") for value in out[places].tolist()]


def _rms(out: Tensor) -> float:
    """The root of the mean square of all: what changed between the numbers that are kept shows here."""
    return float(f"{out.square().mean().sqrt().item():.7g}")


def _told(given: tuple[Any, ...]) -> dict[str, Any]:
    """The input by its hash, and what it holds."""
    whole, shapes = hashlib.sha256(), []
    for tensor in _tensors(given):
        whole.update(str(tensor.dtype).encode() + tensor.contiguous().numpy().tobytes())
        shapes.append(list(tensor.shape))
    return {"sha256": whole.hexdigest(), "shapes": shapes}


def _tensors(node: Any) -> Iterator[Tensor]:
    """Every tensor in tuples, lists and dicts, in order."""
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, Mapping):
        for each in node.values():
            yield from _tensors(each)
    elif isinstance(node, tuple | list):
        for each in node:
            yield from _tensors(each)


def _cast(node: Any, dtype: torch.dtype, device: torch.device) -> Any:
    if isinstance(node, Tensor):
        return node.to(device, dtype if node.is_floating_point() else node.dtype)
    return type(node)(_cast(each, dtype, device) for each in node) if isinstance(node, tuple | list) else node


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode; each module is left in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
