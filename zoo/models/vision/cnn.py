"""A small convolutional net: the yardstick beside the transformers, with the same outward interface."""

from torch import Tensor, nn

from zoo.declared import declared
from zoo.errors import ZooError
from zoo.models.base import ImageModel


@declared
class CNN(ImageModel):
    """Stages of [3x3 convolution, batch norm, ReLU] x 2 and a 2x2 max pool, then mean pooling and a linear head.

    A VGG in miniature (Simonyan and Zisserman 2015) with batch norm. Images [B, C, H, W] -> logits [B, num_classes].
    """

    def __init__(
        self, in_chans: int = 3, num_classes: int = 10, widths: tuple[int, ...] = (64, 128, 256), dropout: float = 0.0,
        img_size: int | tuple[int, int] | None = None,
    ):  # fmt: skip
        """img_size is taken and not needed: any size that the pools leave a pixel of."""
        super().__init__()
        stages, previous = [], in_chans
        for width in widths:
            for channels in (previous, width):
                stages += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            stages.append(nn.MaxPool2d(2, ceil_mode=True))
            previous = width
        self.features = nn.Sequential(*stages)
        self.drop = nn.Dropout(dropout)
        self.num_classes, self.width = num_classes, previous
        self.head = nn.Linear(previous, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        return self.features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.drop(x.mean((2, 3)))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def reset_classifier(self, num_classes: int) -> None:
        """A new head for `num_classes` classes (0: none), on the device and in the dtype of the model."""
        self.num_classes, self.classes = num_classes, None
        self.head = nn.Linear(self.width, num_classes) if num_classes else nn.Identity()
        like = next(self.features.parameters())
        self.head.to(device=like.device, dtype=like.dtype)
        if self.config:
            self.config = {**self.config, "num_classes": num_classes}

    def no_weight_decay(self) -> set[str]:
        return set()

    def layer_groups(self) -> list[list[str]]:
        """One group a convolution and its norm, then the head."""
        groups: dict[int, list[str]] = {}
        for name, _ in self.named_parameters():
            number = 3 * len(self.features) if name.startswith("head") else int(name.split(".")[1])
            is_norm = not name.startswith("head") and isinstance(self.features[number], nn.BatchNorm2d)
            groups.setdefault(number - is_norm, []).append(name)
        return [groups[number] for number in sorted(groups)]

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Refused: the net is small, and recomputing a batch norm would count its batch twice."""
        if on:
            raise ZooError("A CNN recomputes no activations; set task.grad_checkpointing=false.")
