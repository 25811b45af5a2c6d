"""A model as an .onnx file: the graph of torch.export in ONNX's operations, which ONNX Runtime, Triton and others run."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError, one_line
from zoo.exports.compare import largest_difference
from zoo.exports.graph import exported
from zoo.exports.served import Served, Tensors
from zoo.exports.torch_export import program_of, quietly

SUFFIXES, NEEDS, OPTIONS = (".onnx",), ("onnx", "onnxscript", "onnxruntime"), ("kernel",)
KERNELS = ("reference", "edge_list")  # the oracle's products, which ONNX Runtime fuses as it likes
OPSET = 20
MOST = 2_000_000_000  # bytes of one file: protobuf's limit


def _running_maximum(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """cummax without its indices, which nobody here reads."""
    x, least = x.movedim(dim, -1), torch.iinfo(x.dtype).min if not x.is_floating_point() else -torch.inf
    past = torch.ones(x.shape[-1], x.shape[-1], dtype=torch.bool).tril()
    found = torch.where(past, x.unsqueeze(-2), least).amax(-1).movedim(-1, dim)
    return found, torch.zeros_like(found, dtype=torch.int64)


def _mean_of_each(x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
    """scatter_reduce's means, of which the exporter keeps the last number of each place, without a word."""
    if reduce != "mean":
        return NotImplemented
    count = torch.full_like(x, include_self).scatter_add(dim, index, torch.ones_like(src))
    own = x if include_self else x.scatter(dim, index, 0)
    return own.scatter_add(dim, index, src) / count.clamp(min=1)


#: What the exporter has no form for, or a wrong one, written out. ONNX's TopK, which sorts there, keeps the order of equals.
WRITTEN_OUT = {
    torch.ops.aten.sort.stable: lambda x, *, stable, dim=-1, descending=False: torch.sort(x, dim, descending),
    torch.ops.aten.argsort.stable: lambda x, *, stable, dim=-1, descending=False: torch.sort(x, dim, descending)[1],
    torch.ops.aten.cummax.default: _running_maximum,
    torch.ops.aten.scatter_reduce.two: _mean_of_each,
}


def write(model: nn.Module, file: Path, kernel: str | None = None) -> tuple[float, dict[str, str]]:
    """See `zoo.exports.export`.

    Raises: ZooError for a graph that has no form in ONNX's operations, with the reason, or that one file cannot hold.
    """
    size = sum(tensor.numel() * 4 for tensor in model.state_dict().values())
    if size > MOST:
        raise ZooError(
            f"The model has {size:,} bytes of numbers, and one .onnx file holds {MOST:,}: take torch_export."
        )
    difference, told = exported(model, file, _write, KERNELS, kernel)
    return difference, {**told, "run by": f"onnxruntime {_runtime().__version__} on the CPU, opset {OPSET}"}


def _write(served: Served, file: Path, notes: dict[str, Any]) -> float:
    program, example = program_of(served), served.draw(served.traced)
    with torch.no_grad():
        outputs = list(served(**example))
    try:
        with quietly(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the exporter does itself
            plain = program.run_decompositions(WRITTEN_OUT)
            names: Any = dict(input_names=list(flat(example)), output_names=outputs)
            made: Any = torch.onnx.export(plain, **names, opset_version=OPSET, dynamo=True, verbose=False)
    except Exception as error:  # the exporter's errors have no base in common
        kind = type(served.model).__name__
        raise ZooError(f"This {kind} has no form in ONNX's operations: {_reason(error)}") from error
    _name_axes(made.model.graph, served)
    made.model.metadata_props.update({"zoo." + key: json.dumps(value) for key, value in notes.items() if value})
    made.save(file, external_data=False)
    return largest_difference(served, runner(file, outputs))


def runner(file: Path, outputs: list[str]) -> Any:
    """What runs the file: inputs as of `Served.draw` -> its outputs by name."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, torch.get_num_threads()
    try:
        session = runtime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of the runtime's own
        raise ZooError(f"ONNX Runtime does not read the graph, so it is not kept: {one_line(error, 300)}") from error
    known = {each.name for each in session.get_inputs()}

    def run(inputs: Tensors) -> dict[str, Tensor]:
        given = {name: tensor.numpy() for name, tensor in flat(inputs).items() if name in known}
        return {name: torch.from_numpy(each) for name, each in zip(outputs, session.run(outputs, given), strict=True)}

    return run


def flat(inputs: Tensors) -> dict[str, Tensor]:
    """Inputs by name, those of a list as name_0, name_1, ..."""
    found: dict[str, Tensor] = {}
    for name, given in inputs.items():
        found |= {f"{name}_{i}": each for i, each in enumerate(given)} if isinstance(given, list) else {name: given}
    return found


def _name_axes(graph: Any, served: Served) -> None:
    """Open axes called after what they count, in place of the tracer's own words."""
    import onnx_ir

    named = {}
    for value, axes in zip(graph.inputs, flat(dict(served.axes)).values(), strict=True):
        for dim, name in zip(value.shape, axes, strict=True):
            if name is not None and not isinstance(dim, int):
                named[dim.value] = name
    for value in (*graph.inputs, *graph.outputs):
        dims = [dim if isinstance(dim, int) else named.get(dim.value, dim.value) for dim in value.shape]
        value.shape = onnx_ir.Shape(dims)


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error, 300)


def _runtime() -> Any:
    import onnxruntime

    return onnxruntime
