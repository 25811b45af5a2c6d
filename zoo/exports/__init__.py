"""Files for other engines: a model as they read it, compared with ours before the file is there.

    zoo.export(zoo.load("runs/mine"), "onnx", "mine.onnx")
    python -m zoo export runs/mine --to onnx --out mine.onnx

A target is a file here and a line in TARGETS. What it writes is read back by the engine that it is for, shown what ours is
shown at other sizes than those it was made at, and taken to its place only where the two agree.
"""

import os
import tempfile
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.errors import ZooError, nearest, one_line

if TYPE_CHECKING:
    from torch import nn

#: The largest difference that an exported file may have: of outputs above 1 that part of the largest, as in `zoo.convert`.
TOLERANCE = 1e-4

#: Where to -> the file here that knows how. Such a file has
#:   SUFFIXES                          of its files, () of a folder
#:   NEEDS                             packages that it imports when it is used
#:   write(model, file, **options)     writes, reads back, compares; returns the largest difference, and what to tell of it
#:   OPTIONS                           names of the options that are its own
TARGETS = {
    "torch_export": "zoo.exports.torch_export",
    "onnx": "zoo.exports.onnx",
    "timm": "zoo.exports.timm",
    "transformers": "zoo.exports.transformers",
}


class Exported(NamedTuple):
    """What was written.

    path: the file or folder. difference: the largest of any output, see `zoo.exports.compare`. told: what there is to know of
    it, by words.
    """

    path: Path
    difference: float
    told: dict[str, str]


def export(model: "nn.Module", to: str, out: str | Path, *, kernel: str | None = None) -> Exported:
    """Write a model as a file or folder of another engine, whole or not at all.

    Args:
        model: of `zoo.load`, `zoo.create_model`, ...; it stays as it is. An adapter is merged.
        to: "torch_export" (.pt2), "onnx" (.onnx), "timm" (.safetensors or .pth), "transformers" (a folder).
        out: where to. A file that is there is replaced, a folder has to be new or empty.
        kernel: of graphs (torch_export, onnx), the kernel of each attention; None: the first that can.

    Returns: see `Exported`.
    Raises: ZooError for an unknown target, a package that is missing, a model that the engine cannot express (naming the
        option), or an export that differs from ours by more than TOLERANCE: then there is no file.
    """
    if to not in TARGETS:
        raise ZooError(f"to={to!r} is not an engine to export to; {nearest(to, TARGETS)}")
    out, options = Path(out), {} if kernel is None else {"kernel": kernel}
    target = _imported(to)
    _check_out(out, target.SUFFIXES, to)
    if unknown := options.keys() - set(target.OPTIONS):
        raise ZooError(f"{unknown.pop()}= is for graphs (torch_export, onnx); {to} holds weights alone: leave it out.")
    model = _plain(model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.parent) as stage:
            written = Path(stage) / out.name
            difference, told = target.write(model, written, **options)
            os.replace(written, out)
    except OSError as error:
        raise ZooError(f"--out {out} cannot be written ({one_line(error, 300)}); name another place.") from error
    return Exported(out, difference, told)


def _imported(to: str) -> Any:
    """The file of a target, once the packages that it needs are there."""
    target = import_module(TARGETS[to])
    for name in target.NEEDS:
        try:
            import_module(name)
        except ImportError as error:
            raise ZooError(
                f"--to {to} needs the package {name}, which is not installed: pip install 'attention-zoo[export]'."
            ) from error
    return target


def _check_out(out: Path, suffixes: tuple[str, ...], to: str) -> None:
    if out.name in ("", "..") or out == Path("."):
        raise ZooError(f"--out {out} has no name of its own; name a new file or folder.")
    if suffixes and out.suffix not in suffixes:
        raise ZooError(f"--out {out} is not a {' or '.join(suffixes)} file, as {to} writes; name one.")
    if suffixes and out.is_dir():
        raise ZooError(f"--out {out} is a folder; name a file.")
    if not suffixes and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ZooError(f"--out {out} is there already; name a new folder for {to}.")


def _plain(model: "nn.Module") -> "nn.Module":
    """A copy to export: in eval mode, its adapter merged, nothing quantised."""
    from zoo.adapters import merge
    from zoo.layers.quantized import Int8Linear

    model = getattr(model, "_orig_mod", model)  # of torch.compile(model)
    if any(isinstance(each, Int8Linear) for each in model.modules()):
        raise ZooError("A quantised model is not exported: export the one it was made of.")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ZooError("The model has no weights; load it before it is exported.")
    model = deepcopy(model)
    if getattr(model, "adapter", None) is not None:
        model = merge(model)
    return model.eval().requires_grad_(False).to("cpu")
