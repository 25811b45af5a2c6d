"""What exports to graphs share: float32, a pinned kernel, and notes that travel in the file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo import __version__
from zoo.exports.compare import at
from zoo.exports.kernels import pinned
from zoo.exports.served import Served, served

#: Writes the graph of a model into a file with these notes, reads it back and compares: the largest difference.
Write = Callable[[Served, Path, dict[str, Any]], float]


def exported(
    model: nn.Module, file: Path, write: Write, kernels: Sequence[str], kernel: str | None
) -> tuple[float, dict[str, str]]:
    """Pin the kernels, write, tell: (the largest difference, what to know of the file)."""
    from zoo.exports import graphs  # noqa: F401  (registers what graphs take)

    narrow = {tensor.dtype for tensor in model.parameters()} - {torch.float32}
    graph = served(model.float()).eval()
    example = graph.draw(graph.traced)
    with pinned(model, lambda: graph(**example), kernels if kernel is None else [kernel]) as chosen, torch.no_grad():
        outputs = graph(**example)
        told = {
            "kernel": chosen,
            "inputs": "; ".join(f"{name} {_shape(axes, example[name])}" for name, axes in graph.axes.items()),
            "outputs": ", ".join(outputs),
            "compared at": at(graph),
        }
        if narrow:
            told["numbers"] = f"float32, of weights in {', '.join(str(each).removeprefix('torch.') for each in narrow)}"
        return write(graph, file, notes(model, told)), told


def notes(model: Any, told: dict[str, str]) -> dict[str, Any]:
    """What it takes to feed the graph and to read its answer, in plain values."""
    preprocess, tokenizer = getattr(model, "preprocess", None), getattr(model, "tokenizer", None)
    return {
        "made by": f"attention-zoo {__version__}",
        "model": type(model).__name__,
        "kernel": told["kernel"],
        "inputs": told["inputs"],
        "outputs": told["outputs"],
        "targets": getattr(model, "targets", None),
        "classes": list(model.classes) if getattr(model, "classes", None) else None,
        "preprocess": asdict(preprocess) if preprocess is not None else None,
        "tokenizer": None if tokenizer is None else {**tokenizer.roles, "tokenizer.json": tokenizer.to_json()},
    }


def _shape(axes: Any, drawn: Any) -> str:
    """[batch, 1, 8, 8] float32"""
    if isinstance(axes, list):
        return ", ".join(map(_shape, axes, drawn))
    sizes = ", ".join(str(size) if name is None else name for name, size in zip(axes, drawn.shape, strict=True))
    return f"[{sizes}] {str(drawn.dtype).removeprefix('torch.')}"
