"""What happens to an image before the model sees it: part of the model, kept in its config."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Preprocess:
    """Resize the shorter side to size / crop, cut the middle size x size, scale to [0, 1], subtract mean, divide by std."""

    size: int
    in_chans: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: str = "bicubic"
    crop: float = 1.0

    def at(self, size: int, in_chans: int) -> "Preprocess":
        """The same for a model of another size or number of channels; mean and std become their own averages then."""
        mean, std = self.mean, self.std
        if len(mean) != in_chans:
            mean, std = ((sum(values) / len(values),) * in_chans for values in (mean, std))
        return replace(self, size=size, in_chans=in_chans, mean=mean, std=std)
