"""Images to tokens."""

from collections.abc import Callable

from torch import Tensor, nn

from zoo.errors import ZooError


class PatchEmbed(nn.Module):
    """Non-overlapping patches, each through one linear map: [B, C, H, W] -> [B, rows*cols, dim], row by row.

    Dosovitskiy et al. 2021, equation 1. The same as a convolution of stride = kernel = patch, as one matrix product. `norm` is
    a factory of one on what comes out.
    """

    def __init__(
        self,
        img_size: tuple[int, int],
        patch_size: int,
        in_chans: int,
        dim: int,
        bias: bool = True,
        norm: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        if min(*img_size, patch_size, in_chans) < 1:
            raise ZooError(f"Sizes must be positive; got {img_size=}, {patch_size=}, {in_chans=}.")
        if img_size[0] % patch_size or img_size[1] % patch_size:
            raise ZooError(
                f"img_size={img_size} is not divisible by patch_size={patch_size}: choose a patch that divides it."
            )
        self.img_size, self.patch_size, self.in_chans = tuple(img_size), patch_size, in_chans
        self.grid = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.proj = nn.Linear(in_chans * patch_size**2, dim, bias=bias)
        self.norm = norm(dim) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != (self.in_chans, *self.img_size):
            raise ZooError(
                f"This model takes images [B, {self.in_chans}, {self.img_size[0]}, {self.img_size[1]}]; got "
                f"{list(x.shape)}. Resize them, or build the model with that img_size and in_chans."
            )
        (rows, cols), p = self.grid, self.patch_size
        x = x.reshape(x.shape[0], self.in_chans, rows, p, cols, p).permute(0, 2, 4, 1, 3, 5)
        x = self.proj(x.reshape(x.shape[0], rows * cols, -1))
        return x if self.norm is None else self.norm(x)
