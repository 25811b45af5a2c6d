"""ACM as HeCo publishes it: papers, authors and subjects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.graphs.collection import GraphCollection
from datamodules.splits import STAGES
from zoo.errors import NotAtHand, ZooError

ACM = "HeCo-ACM"


def acm(labels_per_class: int, folders: Sequence[Path]) -> GraphCollection:
    """ACM's papers, authors and subjects as HeCo has them: which of three fields is a paper of?

    Papers and authors have the words of (their) papers as features, rows adding up to 1 as in HeCo; subjects are
    numbered. Edges go both ways, and the paths paper-author-paper and paper-subject-paper are edges of their own.
    """
    from torch_geometric.data import HeteroData

    if labels_per_class not in (20, 40, 60):
        raise ZooError(f"data.labels_per_class={labels_per_class} is not a split of HeCo-ACM; use 20, 40 or 60.")
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
    splits = {stage: torch.from_numpy(_array(where / name).astype(np.int64)) for stage, name in stages.items()}
    classes = ("0", "1", "2")  # the files name none
    return GraphCollection([graph], classes, splits, target="paper", metapaths=paths)


def _folder(files: Sequence[str], folders: Sequence[Path]) -> Path:
    for folder in folders:
        missing = [name for name in files if not (folder / ACM / name).is_file()]
        if not missing:
            return folder / ACM
    search_paths = " or ".join(dict.fromkeys(str(folder / ACM) for folder in folders))
    raise NotAtHand(
        f"{search_paths} lacks {', '.join(missing)}; take the files of data/acm in github.com/liun-online/HeCo, or set "
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
