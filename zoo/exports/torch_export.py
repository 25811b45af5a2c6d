"""A model as a .pt2 file: torch.export's program, which PyTorch runs without this package, from Python and from C++."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.attention.ops.edge_plain import WRITTEN_OUT
from zoo.errors import ZooError, one_line
from zoo.exports.compare import largest_difference
from zoo.exports.graph import exported
from zoo.exports.served import Served

SUFFIXES, NEEDS, OPTIONS = (".pt2",), (), ("kernel",)
KERNELS = ("sdpa", "edge_list", "reference")
NOTES = "zoo.json"  # what the program's file says beside it


def write(model: nn.Module, file: Path, kernel: str | None = None) -> tuple[float, dict[str, str]]:
    """See `zoo.exports.export`."""
    return exported(model, file, _write, KERNELS, kernel)


def _write(served: Served, file: Path, notes: dict[str, Any]) -> float:
    with open(file, "wb") as open_file:
        torch.export.save(program_of(served), open_file, extra_files={NOTES: json.dumps(notes)})
    with open(file, "rb") as open_file:
        again = torch.export.load(open_file).module()
    return largest_difference(served, lambda inputs: again(**inputs))


def program_of(served: Served) -> torch.export.ExportedProgram:
    """The traced program, every open axis dynamic, in torch's own operations.

    Raises: ZooError with the reason where torch.export cannot trace the model, or would fix an axis (B7).
    """
    inputs = served.draw(served.traced)
    try:
        with torch.no_grad(), quietly():
            return written_out(torch.export.export(served, (), inputs, dynamic_shapes=dynamic_shapes(served)))
    except ZooError:
        raise
    except Exception as error:  # torch's errors of tracing have no base in common
        kind = type(served.model).__name__
        raise ZooError(f"torch.export cannot trace this {kind}: {one_line(error, 300)}") from error


def written_out(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program without operations of ours, where there are any."""
    ours = {node.target for node in program.graph.nodes if str(node.target).startswith("zoo.")}
    return program.run_decompositions({op: WRITTEN_OUT[op] for op in ours if op in WRITTEN_OUT}) if ours else program


def dynamic_shapes(served: Served) -> dict[str, Any]:
    """torch.export's word for the open axes: a Dim for each thing that is counted."""
    dims = {name: torch.export.Dim(name, min=a, max=b) for name, (a, b) in served.limits.items()}

    def open_axes(counts: Any) -> Any:
        if isinstance(counts, list):
            return [open_axes(each) for each in counts]
        return {axis: dims[name] for axis, name in enumerate(counts) if name is not None}

    return {name: open_axes(counts) for name, counts in served.axes.items()}


@contextmanager
def quietly() -> Iterator[None]:
    """Without what torch logs of its own way of tracing."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch.fx", "torch.onnx", "torch._dynamo")]
    before = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
