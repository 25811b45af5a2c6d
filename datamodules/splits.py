"""Which images are for training, validation and test: fixed by `split_seed`, never by the run's seed."""

import numpy as np

from datamodules.sources import Pictures
from zoo.errors import ZooError


def carve(found: Pictures, fraction: float, seed: int, option: str) -> tuple[np.ndarray, np.ndarray]:
    """(the rest, a stratified share) of the training rows, each in ascending order; `option` names it in errors."""
    if not 0 <= fraction < 1:
        raise ZooError(f"data.{option}={fraction} is not a share of the images; give a number from 0 to below 1.")
    if fraction == 0:
        return found.train, found.train[:0]
    return _split(found, fraction, seed, f"data.{option}={fraction}")


def limit(found: Pictures, count: int | None, seed: int) -> np.ndarray:
    """`count` of the training rows with the classes in proportion; all of them for None."""
    size = len(found.train)
    if count is None or count == size:
        return found.train
    if not 0 < count < size:
        raise ZooError(f"data.train_limit={count} does not fit the {size} training images; use 1 to {size}.")
    return _split(found, count, seed, f"data.train_limit={count}")[1]


def _split(found: Pictures, share: float, seed: int, option: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    labels = found.labels[found.train]
    try:
        rest, taken = train_test_split(found.train, test_size=share, random_state=seed, stratify=labels)
    except ValueError as error:
        raise ZooError(
            f"{option} cannot take a stratified part of {len(labels)} images of {len(np.unique(labels))} classes: "
            f"{error} Give each class more images, or change the share."
        ) from error
    return np.sort(rest), np.sort(taken)
