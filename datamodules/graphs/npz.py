"""Graphs from files of one's own: .npz."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.graphs.checks import check_features, check_labels
from datamodules.graphs.collection import GraphCollection
from datamodules.splits import STAGES, fractions, masks
from zoo.errors import ZooError, nearest

NEEDED = ("x", "y", "edge_index")
UNPACKED = 500  # times its size, and LEAST at least, to which an .npz may unpack: rare words of bags do to 50 to 400
LEAST = 256 << 20  # bytes
OPTIONAL = ("edge_attr", "train_mask", "val_mask", "test_mask")


def npz(path: str | None, split: Sequence[float], seed: int, numbers: bool = False) -> GraphCollection:
    """A graph of the user's: x [N, F], y [N] (or [N, C] of 0. and 1.), edge_index [2, E], optional edge_attr [E, A],
    optional train_mask, val_mask, test_mask [N]; without these a seeded split, classes in proportion. With `numbers` y is
    what a regression learns, [N] or [N, k]."""
    from torch_geometric.data import Data

    if not path:
        raise ZooError("data=npz needs data.path=graph.npz, with the arrays x [N, F], y [N] and edge_index [2, E].")
    file = Path(path).expanduser()
    found = read_arrays(file)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        there = ", ".join(sorted(found)) or "nothing"
        raise ZooError(
            f"{file} lacks {', '.join(missing)}; it has {there}. A graph is x [N, F], y [N], edge_index [2, E], "
            f"and optionally {', '.join(OPTIONAL)}."
        )
    strange = sorted(found.keys() - set(NEEDED) - set(OPTIONAL))
    if strange:
        raise ZooError(f"{file} has {strange[0]!r}, which nothing reads; {nearest(strange[0], NEEDED + OPTIONAL)}")
    graph = Data(**{_name(key): found[key] for key in found if not key.endswith("_mask")})
    # Before the split, which takes both for granted.
    size = check_features(graph.x)
    labels = graph.labels
    several = labels.dim() == 2 and labels.shape[1] > 1
    if numbers:
        classes, graph.labels = 0, labels.float().reshape(len(labels), -1)
        labels = graph.labels
    else:
        classes = labels.shape[1] if several else int(labels.max()) + 1 if labels.numel() else 0
    check_labels(labels, size, classes, "numbers" if numbers else "labels" if several else "class")
    given = {stage: found[f"{stage}_mask"] for stage in STAGES if f"{stage}_mask" in found}
    if given and len(given) < len(STAGES):
        lacking = [f"{stage}_mask" for stage in STAGES if stage not in given]
        raise ZooError(f"{file} has masks, but no {' and no '.join(lacking)}; give all three or none.")
    splits = masks(given, size) if given else fractions(labels, split, seed)
    return GraphCollection([graph], tuple(map(str, range(classes))), splits)


def read_arrays(file: Path) -> dict[str, Tensor]:
    """The arrays of an .npz file as tensors: features float32, labels and edges int64."""
    if not file.is_file():
        raise ZooError(f"{file} is not there; give data.path=<a .npz file>.")
    try:
        _check_packed(file)
        with np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except ZooError:
        raise
    except Exception as error:  # zipfile's, numpy's; and AttributeError for a lone array
        raise ZooError(f"{file} cannot be read as .npz ({error}); write it with numpy.savez.") from error
    tensors = {}
    for name, array in found.items():
        if array.dtype == object or array.dtype.kind not in "biuf":
            raise ZooError(f"{file}: {name} is an array of {array.dtype}; it must be one of numbers.")
        native = array.astype(array.dtype.newbyteorder("="))
        if name in ("x", "edge_attr") and array.dtype.kind == "f":
            native = native.astype(np.float32)
        elif name in ("y", "edge_index") and array.dtype.kind in "iu":
            native = native.astype(np.int64)
        tensors[name] = torch.from_numpy(np.ascontiguousarray(native))
    return tensors


def _check_packed(file: Path) -> None:
    """Refuse a small file that unpacks to a huge one, by what its headers say: zipfile reads no more than that."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as packed:
        size = sum(each.file_size for each in packed.infolist())
    if size > max(UNPACKED * file.stat().st_size, LEAST):
        raise ZooError(
            f"{file} unpacks to {size:,} bytes, more than {UNPACKED} times its size; if it is meant, write it with "
            "numpy.savez, which does not compress."
        )


def _name(key: str) -> str:
    return "labels" if key == "y" else key
