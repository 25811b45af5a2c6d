"""Which kernel computes each attention of an exported model: pinned, so that no choice of this machine is traced."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from zoo.attention import KERNELS, AttentionCall
from zoo.errors import ZooError, nearest

#: Those that can be written down as a graph of plain operations, with any number of tokens, nodes and edges.
EXPORTABLE = ("sdpa", "edge_list", "reference")


@contextmanager
def pinned(model: nn.Module, run: Any, kernels: Sequence[str]) -> Iterator[str]:
    """Within it each attention has the first of `kernels` that can compute what it is asked; gives their names, with how often.

    Args:
        run: runs the model once, so that it is seen what each attention is asked.
        kernels: names, the preferred one first.
    Raises: ZooError for an unknown name, or an attention that none of them computes, with their reasons.
    """
    known = {kernel.name: kernel for kernel in KERNELS}
    if unknown := [name for name in kernels if name not in EXPORTABLE]:
        raise ZooError(f"kernel={unknown[0]} is not exported; {nearest(unknown[0], EXPORTABLE)}")
    calls: dict[nn.Module, list[AttentionCall]] = {}
    places = {
        path: module
        for path, module in model.named_modules()
        if hasattr(module, "recorder") and hasattr(module, "kernel")
    }
    before = {module: (module.kernel, module.recorder) for module in places.values()}
    try:
        for module in places.values():
            module.kernel, module.recorder = None, calls.setdefault(module, []).append  # type: ignore[assignment]
        with torch.no_grad():
            run()
        chosen = {
            path: _first(path, calls[module], [known[name] for name in kernels]) for path, module in places.items()
        }
        for path, module in places.items():
            module.kernel, module.recorder = chosen[path], None  # type: ignore[assignment]
        count = Counter(chosen.values())
        yield ", ".join(f"{name} ({n} attention{'s' * (n > 1)})" for name, n in count.items()) or "none"
    finally:
        for module, (kernel, recorder) in before.items():
            module.kernel, module.recorder = kernel, recorder


def _first(path: str, calls: Sequence[AttentionCall], kernels: Sequence[Any]) -> str:
    """The name of the first kernel that computes all of the calls."""
    reasons = []
    for kernel in kernels:
        against = [reason for call in calls for reason in _against(kernel, call)]
        if not against:
            return kernel.name
        reasons.append(f"{kernel.name}: {against[0]}")
    raise ZooError(f"The attention {path} cannot be exported. {'; '.join(reasons)}.")


def _against(kernel: Any, call: AttentionCall) -> tuple[str, ...]:
    if kernel.name == "reference" and call.pattern.edges is not None:
        return ("it loops over a graph's targets in Python",)
    return kernel.why_not(call)
