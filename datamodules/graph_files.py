"""Graphs from files of one's own (.npz), and the HeCo-ACM files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.graph_checks import check_features, check_labels
from datamodules.graph_sets import Graphs
from datamodules.graph_splits import STAGES, fractions, masks
from zoo.errors import ZooError, nearest

NEEDED = ("x", "y", "edge_index")
OPTIONAL = ("edge_attr", "train_mask", "val_mask", "test_mask")
ACM = "HeCo-ACM"


def npz(path: str | None, split: Sequence[float], seed: int) -> Graphs:
    """A graph of the user's: x [N, F], y [N] (or [N, C] of 0. and 1.), edge_index [2, E], optional edge_attr [E, A],
    optional train_mask, val_mask, test_mask [N]; without these a seeded split, classes in proportion."""
    from torch_geometric.data import Data

    if not path:
        raise ZooError("data=npz needs data.path=graph.npz, with the arrays x [N, F], y [N] and edge_index [2, E].")
    file = Path(path).expanduser()
    found = _arrays(file)
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
    classes = labels.shape[1] if several else int(labels.max()) + 1 if labels.numel() else 0
    check_labels(labels, size, classes, several)
    given = {stage: found[f"{stage}_mask"] for stage in STAGES if f"{stage}_mask" in found}
    if given and len(given) < len(STAGES):
        lacking = [f"{stage}_mask" for stage in STAGES if stage not in given]
        raise ZooError(f"{file} has masks, but no {' and no '.join(lacking)}; give all three or none.")
    parts = masks(given, size) if given else fractions(labels, split, seed)
    return Graphs([graph], tuple(map(str, range(classes))), parts)


def _arrays(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise ZooError(f"{file} is not there; give data.path=<a .npz file>.")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
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


def _name(key: str) -> str:
    return "labels" if key == "y" else key


def acm(labels_per_class: int, folders: Sequence[Path]) -> Graphs:
    """ACM's papers, authors and subjects as HeCo has them: which of three fields is a paper of?

    Papers and authors have the words of (their) papers as features, rows adding up to 1 as in HeCo; subjects are
    numbered. Edges go both ways, and the paths paper-author-paper and paper-subject-paper are edges of their own.
    """
    from torch_geometric.data import HeteroData

    if labels_per_class not in (20, 40, 60):
        raise ZooError(f"data.labels_per_class={labels_per_class} is no split of HeCo-ACM; use 20, 40 or 60.")
    stages = {stage: f"{stage}_{labels_per_class}.npy" for stage in STAGES}
    files = ["p_feat.npz", "a_feat.npz", "pap.npz", "psp.npz", "pa.txt", "ps.txt", "labels.npy", *stages.values()]
    where = _folder(files, folders)
    graph = HeteroData()
    papers, authors = _features(where / "p_feat.npz"), _features(where / "a_feat.npz")
    pa, ps = _pairs(where / "pa.txt"), _pairs(where / "ps.txt")
    graph["paper"].x, graph["author"].x = papers, authors
    graph["subject"].x = torch.arange(int(ps[1].max()) + 1)
    for other, pairs in (("author", pa), ("subject", ps)):
        graph["paper", "to", other].edge_index = pairs
        graph[other, "to", "paper"].edge_index = pairs.flip(0)
    paths = tuple(("paper", path, "paper") for path in ("pap", "psp"))
    for path in paths:
        pairs = _sparse(where / f"{path[1]}.npz").tocoo()
        # An entry (i, j) of these symmetric matrices: i sees j.
        graph[path].edge_index = torch.from_numpy(np.stack([pairs.col, pairs.row]).astype(np.int64))
    graph.labels = torch.from_numpy(_array(where / "labels.npy").astype(np.int64))
    parts = {stage: torch.from_numpy(_array(where / name).astype(np.int64)) for stage, name in stages.items()}
    classes = ("0", "1", "2")  # the files name none
    return Graphs([graph], classes, parts, target="paper", metapaths=paths)


def _folder(files: Sequence[str], folders: Sequence[Path]) -> Path:
    for folder in folders:
        missing = [name for name in files if not (folder / ACM / name).is_file()]
        if not missing:
            return folder / ACM
    places = " or ".join(dict.fromkeys(str(folder / ACM) for folder in folders))
    raise ZooError(
        f"{places} lacks {', '.join(missing)}; take the files of data/acm in github.com/liun-online/HeCo, or set "
        "ZOO_DATA (paths.data) to a folder that has them."
    )


def _read(path: Path, read: Any) -> Any:
    try:
        return read(path)
    except Exception as error:  # numpy's and scipy's many
        raise ZooError(f"{path} cannot be read ({error}); replace it.") from error


def _array(path: Path) -> np.ndarray:
    return _read(path, np.load)


def _sparse(path: Path) -> Any:
    from scipy.sparse import load_npz

    return _read(path, load_npz)


def _features(path: Path) -> Tensor:
    dense = _sparse(path).toarray()
    return torch.from_numpy((dense / dense.sum(1, keepdims=True).clip(1e-12)).astype(np.float32))


def _pairs(path: Path) -> Tensor:
    pairs = _read(path, lambda file: np.loadtxt(file, dtype=np.int64, ndmin=2))
    return torch.from_numpy(np.ascontiguousarray(pairs.T))
