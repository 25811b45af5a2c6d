"""What happens to an image before the model sees it: part of the model, kept in its config."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocess:
    """Resize the shorter side to size / crop, cut the middle size x size, scale to [0, 1], subtract mean, divide by std."""

    size: int
    in_chans: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: str = "bicubic"
    crop: float = 1.0
