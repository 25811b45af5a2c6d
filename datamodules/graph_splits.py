"""Which nodes, or which graphs, are for training, validation and test: fixed by `split_seed`, never by the run's."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datamodules.sampling import generator
from zoo.errors import ZooError

Parts = dict[str, Tensor]  # train, val, test: ascending rows
STAGES = ("train", "val", "test")


def per_class(labels: Tensor, count: int, val: int, seed: int) -> Parts:
    """`count` rows of each class for training, then `val` for validation, all others for the test."""
    fewest = int(labels.bincount().min())
    left = len(labels) - count * (int(labels.max()) + 1)
    if not 0 < count <= fewest or not 0 <= val < left:
        raise ZooError(
            f"data.labels_per_class={count} and data.val_nodes={val} do not fit {len(labels)} nodes whose smallest "
            f"class has {fewest}; give less."
        )
    order = torch.randperm(len(labels), generator=generator(seed))
    train = torch.cat([order[labels[order] == label][:count] for label in range(int(labels.max()) + 1)])
    rest = order[~torch.isin(order, train)]
    return _ascending(train, rest[:val], rest[val:])


def fractions(labels: Tensor, split: Sequence[float], seed: int) -> Parts:
    """Shares of training, validation and test, the classes in proportion (rows with several classes: at random)."""
    shares = [float(share) for share in split]
    if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ZooError(f"data.split={list(split)} are not three shares that add up to 1; give [0.6, 0.2, 0.2].")
    rest, test = _take(np.arange(len(labels)), labels, shares[2], seed, shares)
    train, val = _take(np.sort(rest), labels, shares[1] / (shares[0] + shares[1]), seed, shares)
    return _ascending(*(torch.from_numpy(rows) for rows in (train, val, test)))


def masks(found: dict[str, Tensor], size: int) -> Parts:
    """The rows of {"train": mask [N] bool, ...}; refuses masks of another length or type, and ones that overlap."""
    for stage, mask in found.items():
        if mask.shape != (size,):
            raise ZooError(f"{stage}_mask has shape {tuple(mask.shape)}, but there are {size} nodes; it must be [N].")
        if mask.dtype != torch.bool:
            raise ZooError(f"{stage}_mask is {_dtype(mask)}; save it as bool (mask.astype(bool)).")
    return {stage: found[stage].nonzero()[:, 0] for stage in STAGES}


def _take(rows: np.ndarray, labels: Tensor, share: float, seed: int, shares: list[float]) -> tuple[np.ndarray, ...]:
    """(the others, a share of the rows)."""
    from sklearn.model_selection import train_test_split

    if share == 0:
        return rows, rows[:0]
    several = labels.dim() == 2
    try:
        return tuple(
            train_test_split(
                rows, test_size=share, random_state=seed, stratify=None if several else labels[torch.from_numpy(rows)]
            )
        )
    except ValueError as error:
        raise ZooError(
            f"data.split={shares} cannot be made with the classes of {len(labels)} rows in proportion: {error} "
            "Give masks, or other shares."
        ) from error


def _ascending(*parts: Tensor) -> Parts:
    return {stage: rows.sort().values for stage, rows in zip(STAGES, parts, strict=True)}


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
