"""Whose size, channels, mean and deviation images are given: the config's, the model's or the data's own."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from zoo.errors import ZooError, nearest

Spec = dict[str, Any]  # the fields of zoo.preprocess.Preprocess
Values = tuple[tuple[float, ...], tuple[float, ...]]  # mean, std; one number a channel

# The usual choice for photographs in files; their own statistics would need every file decoded.
IMAGENET: Values = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def shape(channels: int, size: int, in_chans: int | None, img_size: int | None, handed: Spec) -> Spec:
    """Size and channels: as the config says, else as the model's preprocessing, else as the data is."""
    for key, value in (("in_chans", in_chans), ("img_size", img_size)):
        if value is not None and value < 1:
            raise ZooError(f"data.{key}={value} must be 1 or more, or null for the model's or the data's own.")
    in_chans = in_chans or handed.get("in_chans", channels)
    if in_chans not in (1, 3, channels):
        raise ZooError(f"in_chans={in_chans} cannot be made of images with {channels}; use 1 or 3.")
    interpolation, known = handed.get("interpolation", "bicubic"), ("nearest", "bilinear", "bicubic")
    if interpolation not in known:
        raise ZooError(f"interpolation={interpolation!r} is unknown: {nearest(interpolation, known)}")
    size = img_size or handed.get("size", size)
    return {"size": size, "in_chans": in_chans, "interpolation": interpolation, "crop": handed.get("crop", 1.0)}


def normalisation(channels: int, chosen: Spec | None, handed: Spec, own: Callable[[], tuple[Values, str]]) -> tuple:
    """mean, std and whose they are: the config's, else the model's, else what `own` gives and says."""
    if chosen is not None:
        if set(chosen) != {"mean", "std"}:
            raise ZooError(f"data.normalise={chosen} is not {{mean: ..., std: ...}}.")
        mean, std, whose = chosen["mean"], chosen["std"], "data.normalise"
    elif "mean" in handed:
        mean, std, whose = handed["mean"], handed["std"], "the model's preprocessing"
    else:
        (mean, std), whose = own()
    mean, std = fit_channels(mean, channels), fit_channels(std, channels)
    if min(std) <= 0:
        raise ZooError(f"std={list(std)} must be above 0; correct data.normalise.std.")
    return mean, std, whose


def fit_channels(values: float | Sequence[float], channels: int) -> tuple[float, ...]:
    """Per-channel values for another number of channels: one value is repeated, several are averaged into one."""
    values = tuple(map(float, values)) if isinstance(values, Sequence) else (float(values),)
    if len(values) == channels:
        return values
    if len(values) != 1 and channels != 1:
        raise ZooError(f"mean or std has {len(values)} values for {channels} channels; give 1 or {channels}.")
    return (sum(values) / len(values),) * channels


def statistics(images: torch.Tensor, chunk: int = 4096) -> Values:
    """Mean and standard deviation of each channel, of values in [0, 1].

    From counts of the 256 values: exact, and without a float copy of the whole set.
    """
    channels = images.shape[1]
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    for part in images.split(chunk):
        for channel in range(channels):
            counts[channel] += torch.bincount(part[:, channel].flatten(), minlength=256)
    share = counts.double() / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ values
    std = (share @ values**2 - mean**2).clamp(min=0).sqrt()
    std = torch.where(std > 0, std, 1.0)  # a channel that never changes is left as it is
    return tuple(round(m, 6) for m in mean.tolist()), tuple(round(s, 6) for s in std.tolist())
