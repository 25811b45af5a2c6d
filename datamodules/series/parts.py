"""Training, validation and test rows of series: one after the other in time."""

from collections.abc import Mapping, Sequence

import numpy as np

from datamodules.splits import NAMES, STAGES, shares_of
from zoo.errors import ZooError
from zoo.series import Panel

#: (first row, end) of each series, by part.
Parts = dict[str, np.ndarray]


def parts(panel: Panel, split: Sequence[float] | Parts) -> Parts:
    """int64 [S, 2] of "train", "val" and "test": rows of each series, counted from its first one.

    Series with stamps are cut at the same moments, so that no row of any is in training that comes after what is tested.

    Args:
        panel: the series.
        split: shares of the rows (of the time that they span), or numbers of rows; what is beyond these is not used. Parts
            themselves are taken as they are.

    Raises: ZooError for a split that is neither, or numbers of more rows than there are.
    """
    if isinstance(split, Mapping):
        return dict(split)
    ends = panel.first + panel.lengths
    begin = panel.first.min()
    spans = panel.lengths if panel.clock is None else np.full(len(ends), ends.max() - begin)
    cuts = np.stack([_cuts(int(span), split, panel.table.name) for span in spans])  # [S, 4]
    if panel.clock is not None:
        cuts = np.clip(cuts - (panel.first - begin)[:, None], 0, panel.lengths[:, None])
    return {stage: cuts[:, at : at + 2] for at, stage in enumerate(STAGES)}


def _cuts(count: int, split: Sequence[float], name: str) -> list[int]:
    """Where the parts of `count` rows begin, and the last ends."""
    whole = isinstance(split, Sequence) and not isinstance(split, str) and all(type(rows) is int for rows in split)
    if whole and sum(split) > 1:
        if len(split) != 3 or min(split) < 0 or split[0] == 0:
            raise ZooError(
                f"data.split={list(split)} is not three numbers of rows, the first above 0; give [8640, 2880, 2880]."
            )
        if sum(split) > count:
            raise ZooError(
                f"data.split={list(split)} wants {sum(split):,} rows, and {name} has {count:,}; give less, or shares."
            )
        return [0, int(split[0]), int(split[0] + split[1]), int(sum(split))]
    shares = shares_of(split, "[0.7, 0.1, 0.2]")
    test = int(count * shares[2] + 1e-6)
    train = int(count * shares[0] + 1e-6) if shares[1] else count - test
    return [0, train, count - test if shares[2] else count, count]


def check(found: Parts, panel: Panel, split: Sequence[float], lookback: int, horizon: int) -> None:
    """Raises: ZooError for a part that the split has, of no row that a window can forecast."""
    for share, (stage, bounds) in zip(split, found.items(), strict=True):
        if not share:
            continue
        sizes = bounds[:, 1] - bounds[:, 0]
        room = np.minimum(sizes, bounds[:, 1] - lookback)  # rows that a window may forecast
        if (room < horizon).all():
            at = int(room.argmax())
            train = stage == "train"
            needs = lookback + horizon if train or bounds[at, 1] < lookback + horizon else horizon
            has = int(bounds[at, 1]) if needs > horizon else int(sizes[at])
            what = (
                f"data.lookback={lookback} and data.horizon={horizon}" if needs > horizon else f"data.horizon={horizon}"
            )
            which = "no series of " if len(sizes) > 1 else ""
            raise ZooError(
                f"the {NAMES[stage]} part of {which}{panel.table.name} needs {needs:,} rows ({what}) and has {has:,}"
                f"{' at most' if which else ''}; give more rows, a shorter window, or another data.split."
            )
