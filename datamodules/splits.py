"""Which samples are for training, validation and test: fixed by `split_seed`, never by the run's seed. Over labels alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datamodules.sampling import generator
from zoo.errors import ZooError, one_line

Splits = dict[str, Tensor]  # train, val, test: ascending rows
STAGES = ("train", "val", "test")
NAMES = {"train": "training", "val": "validation", "test": "test"}


def holdout(
    rows: Tensor, labels: Tensor, share: float, seed: int, option: str, samples: str = "samples"
) -> tuple[Tensor, Tensor]:
    """(the rest, a share) of the rows, the classes in proportion, each ascending.

    Args:
        rows: those that are divided.
        labels: of the whole set.
        share: from 0 to below 1.
        seed: of the choice.
        option: the config's key, for errors.
        samples: what rows are, for errors.
    """
    if not 0 <= share < 1:
        raise ZooError(f"data.{option}={share} is not a share of the {samples}; give a number from 0 to below 1.")
    if share == 0:
        return rows, rows[:0]
    return _stratified(rows, labels, share, seed, f"data.{option}={share}", samples)


def subsample(rows: Tensor, labels: Tensor, count: int | None, seed: int, samples: str = "samples") -> Tensor:
    """`count` of the training rows with the classes in proportion; all of them for None. Arguments as of `holdout`."""
    size = len(rows)
    if count is None or count == size:
        return rows
    if not 0 < count < size:
        raise ZooError(f"data.train_limit={count} does not fit the {size} training {samples}; use 1 to {size}.")
    return _stratified(rows, labels, count, seed, f"data.train_limit={count}", samples)[1]


def shares_of(split: Sequence[float], example: str = "[0.9, 0.05, 0.05]") -> list[float]:
    """Shares of training, validation and test. Raises: ZooError for numbers that are none."""
    numbers = isinstance(split, Sequence) and all(type(share) in (int, float) for share in split)
    shares = [float(share) for share in split] if numbers else []
    if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0 or not abs(sum(shares) - 1) <= 1e-6:
        shown = list(split) if isinstance(split, Sequence) and not isinstance(split, str) else split
        raise ZooError(f"data.split={shown} is not three shares that add up to 1; give {example}.")
    return shares


def at_random(count: int, split: Sequence[float], seed: int, samples: str = "documents") -> Splits:
    """Shares of training, validation and test of `count` samples without labels; each that has a share has a sample.

    Raises: ZooError for shares that are none, or less samples than parts.
    """
    shares = shares_of(split)
    least = sum(share > 0 for share in shares)
    if count < least:
        raise ZooError(
            f"data.split={shares} makes {least} parts, and there are {count} {samples}; give more, or set shares to 0."
        )
    order = torch.randperm(count, generator=generator(seed))
    sizes = {stage: max(1, round(share * count)) if share else 0 for stage, share in zip(STAGES, shares, strict=True)}
    while (over := sum(sizes.values()) - count) != 0:  # rounding, at most by two; the largest part takes it
        largest = max(sizes, key=lambda stage: sizes[stage])
        sizes[largest] -= 1 if over > 0 else -1
    parts = order.split(list(sizes.values()))
    return {stage: part.sort().values for stage, part in zip(sizes, parts, strict=True)}


def fractions(labels: Tensor, split: Sequence[float], seed: int) -> Splits:
    """Shares of training, validation and test, the classes in proportion (rows with several classes: at random)."""
    shares = shares_of(split, "[0.6, 0.2, 0.2]")
    rest, name = torch.arange(len(labels)), f"data.split={shares}"
    found = {}
    for stage, share in (("test", shares[2]), ("val", shares[1] / (shares[0] + shares[1]))):
        rest, found[stage] = _stratified(rest, labels, share, seed, name, "rows") if share else (rest, rest[:0])
    return {"train": rest, "val": found["val"], "test": found["test"]}


def per_class(labels: Tensor, count: int, val: int, seed: int) -> Splits:
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
    return {stage: rows.sort().values for stage, rows in zip(STAGES, (train, rest[:val], rest[val:]), strict=True)}


def masks(found: dict[str, Tensor], size: int) -> Splits:
    """The rows of {"train": mask [N] bool, ...}; refuses masks of another length or type."""
    for stage, mask in found.items():
        if mask.shape != (size,):
            raise ZooError(f"{stage}_mask has shape {tuple(mask.shape)}, but there are {size} nodes; it must be [N].")
        if mask.dtype != torch.bool:
            kind = str(mask.dtype).removeprefix("torch.")
            raise ZooError(f"{stage}_mask is {kind}; save it as bool (mask.astype(bool)).")
    return {stage: found[stage].nonzero()[:, 0] for stage in STAGES}


def _stratified(
    rows: Tensor, labels: Tensor, share: float, seed: int, option: str, samples: str
) -> tuple[Tensor, Tensor]:
    """(the others, a share or a number) of the rows, each ascending."""
    from sklearn.model_selection import train_test_split

    known = labels[rows].numpy()
    classes = None if known.ndim == 2 else known
    try:
        parts = train_test_split(rows.numpy(), test_size=share, random_state=seed, stratify=classes)
    except ValueError as error:
        raise ZooError(
            f"{option} cannot take a stratified part of {len(known)} {samples} of {len(np.unique(known))} classes: "
            f"{one_line(error, 300).rstrip('.')}. Give each class more {samples}, or change the share."
        ) from error
    rest, taken = (torch.from_numpy(np.sort(part)) for part in parts)
    return rest, taken
