"""From an image's tokens to one vector: what a ViT's `pool` may be."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from zoo.attention import Attention, SeparateQKV
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers.feedforward import FeedForward


@declared
class ClassToken(nn.Module):
    """x[:, 0]: the class token. Dosovitskiy et al. 2021, equation 4."""

    def __init__(self, prefix: int):
        super().__init__()
        if not prefix:
            raise ZooError("pool='token' with no token before the patches: pool='mean' pools those of the patches.")

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


@declared
class PatchMean(nn.Module):
    """The mean of the patches, without the tokens before them. Touvron et al. 2022."""

    def __init__(self, prefix: int = 0):
        super().__init__()
        self.prefix = prefix

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, self.prefix :].mean(1)


@declared
class JoinPrefix(nn.Module):
    """The tokens before the patches side by side: [B, N, dim] -> [B, prefix dim].

    A linear map of it is the sum of one of each token: so with a class and a distillation token it is DeiT's pair of
    classifiers, whose outputs are averaged (Touvron et al. 2021, section 4, "Classification with our approach").

    Raises: ZooError where there is no such token.
    """

    def __init__(self, dim: int, prefix: int):
        super().__init__()
        if prefix < 1:
            raise ZooError(
                "JoinPrefix joins the tokens before the patches, and there are none: set model.class_token=true."
            )
        self.prefix, self.out_dim = prefix, prefix * dim

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, : self.prefix].flatten(1)


@declared
class AttentionPool(nn.Module):
    """A learned latent that looks at the tokens: [B, N, dim] -> [B, dim].

        y = Attention(latent, tokens);    out = y + FeedForward(norm(y))

    "Multihead attention pooling" of Zhai et al. 2022 (Scaling Vision Transformers), section 3.3, which is Lee et al. 2019 (Set
    Transformer), equation 11, without its norm on y and with one seed; SigLIP's and SigLIP 2's.

    Args:
        dim: width of the tokens.
        num_heads: of its attention.
        hidden: width inside the feed-forward, default 4 dim.
        prefix: tokens before the patches.
        only_patches: whether the tokens before the patches are left out of what is looked at.
        norm, act: factories, default LayerNorm and GELU.
        attention: factory of the attention; takes score, kernel bound to it.
        feed_forward: factory; takes what it names of dim, hidden, act.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        hidden: int | None = None,
        prefix: int = 0,
        only_patches: bool = False,
        norm: Callable[[int], nn.Module] | None = None,
        act: Callable[[], nn.Module] | None = None,
        attention: Callable[..., nn.Module] = Attention,
        feed_forward: Callable[..., nn.Module] = FeedForward,
    ):
        super().__init__()
        self.skipped = prefix if only_patches else 0
        self.latent = nn.Parameter(torch.empty(1, 1, dim))
        self.attn = attention(dim, num_heads, projection=SeparateQKV, query_places=False)
        self.norm = (norm or partial(nn.LayerNorm, eps=1e-6))(dim)
        self.mlp = feed_forward(dim=dim, hidden=hidden or 4 * dim, act=act or nn.GELU)
        nn.init.trunc_normal_(self.latent, std=dim**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        latent = self.latent.expand(tokens.shape[0], -1, -1)
        y = self.attn(latent, tokens[:, self.skipped :])
        return (y + self.mlp(self.norm(y))).squeeze(1)
