"""BERT: scaled dot x full x learned, trained on words that are hidden from it. Devlin et al. 2019."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import (
    Attention,
    Full,
    Learned,
    Linear,
    OutputProjection,
    Pattern,
    Position,
    build,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import Block, FeedForward, normal, post_norm
from zoo.models.language.base import LanguageModel
from zoo.spec import TARGETS

LAYER_NORM = partial(nn.LayerNorm, eps=1e-12)


class TokenHead(nn.Module):
    """logits = E norm(act(W h)) + b, with E the embedding where tied. Devlin et al. 2019, appendix A.1 and their code."""

    def __init__(self, embed: nn.Embedding, tied: bool, norm: Callable[[int], nn.Module], act: Callable[[], nn.Module]):
        super().__init__()
        vocab_size, dim = embed.weight.shape
        self.transform, self.act, self.norm = Linear(dim, dim), act(), norm(dim)
        self.decoder = Linear(dim, vocab_size, device="meta" if tied else None)
        if tied:
            self.decoder.weight = embed.weight
            self.decoder.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.norm(self.act(self.transform(x))))


@declared
class BERT(LanguageModel):
    """ids [B, N] -> logits [B, N, vocab_size] of the tokens themselves, hidden ones too; or logits [B, num_classes] of a row;
    or, with `per_token`, logits [B, N, num_classes].

        x = norm(E[ids] + S[segments] + position)
        x = block_depth(... block_1(x)),                 each token sees all
        logits = token_head(x),   or   head(tanh(W x_first))      (or the mean of x),   or   head(x)

    Args:
        vocab_size, context, dim, depth, num_heads: the usual sizes.
        hidden: width inside the feed-forward, default 4 dim.
        num_classes: above 0 a classifier of each row's first token, in place of the head over the vocabulary.
        per_token: whether the classifier reads each token by itself, without a pooler: tags, or where a span begins and ends
            (Devlin et al. 2019, sections 4.2 and 5.3).
        token_head: False for hidden states alone.
        pooler: whether tanh(W x) stands before the classifier; without classes it is kept for those who want it.
        pool: what the classifier reads of a row: "token", its first one, or the "mean" of its tokens.
        tied: whether the token head's matrix is the embedding's.
        segments: kinds of segments (two in the released weights: a pair of sentences, or a question and its text); every
            token is of the first where a batch has none.
        attention, pattern, position, norm, feed_forward, order: parts, as of `Decoder`. With `pre_norm` blocks give
            final_norm=True.
        final_norm: a norm after the blocks.
        dropout, attn_dropout, head_dropout, drop_path: rates.
        end_tokens: ids that end a text; None: the tokenizer's.
        init: called on every module.
    """

    objective = "masked"
    of_task = ("per_token",)

    def __init__(
        self,
        vocab_size: int,
        context: int = 512,
        dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        *,
        hidden: int | None = None,
        num_classes: int = 0,
        per_token: bool | None = False,
        token_head: bool = True,
        pooler: bool | None = None,
        pool: str = "token",
        tied: bool = True,
        segments: int = 2,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        final_norm: bool = False,
        feed_forward: Callable[..., nn.Module] | None = None,
        act: Callable[[], nn.Module] | None = None,
        order: Callable[..., Tensor] = post_norm,
        qkv_bias: bool = True,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        head_dropout: float = 0.0,
        drop_path: float = 0.0,
        end_tokens: list[int] | None = None,
        init: Callable[[nn.Module], None] = normal,
    ):
        super().__init__(vocab_size, context, dim, depth, num_heads)
        norm, act, hidden = norm or LAYER_NORM, act or nn.GELU, hidden or 4 * dim
        if pool not in ("token", "mean"):
            raise ZooError(f"pool={pool!r} is neither 'token' (the first of each row) nor 'mean'.")
        self.num_classes, self.pool, self.per_token = num_classes, pool, per_token
        self.end_tokens = None if end_tokens is None else tuple(end_tokens)

        self.embed = nn.Embedding(vocab_size, dim)
        self.segments = nn.Embedding(segments, dim) if segments else None
        place = partial(
            build, position or Learned, dim=dim, num_heads=num_heads, head_dim=dim // num_heads, length=context
        )
        start: Position = place()
        self.position = start if "tokens" in start.acts_on else Position()
        self.norm_pre = norm(dim)
        self.drop = nn.Dropout(dropout) if dropout else None

        bound, attention = unbind(attention or Attention, "pattern")
        pattern = make_pattern(pattern or bound or Full(), num_heads=num_heads)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                build(
                    attention, dim=dim, num_heads=num_heads, bias=qkv_bias, dropout=attn_dropout, pattern=pattern,
                    position=place() if start.acts_inside else None, output=partial(OutputProjection, dropout=dropout),
                ),
                build(feed_forward or FeedForward, dim=dim, hidden=hidden, act=act, dropout=dropout, bias=True),
                norm=norm, order=order, drop_path=drop_path * i / max(depth - 1, 1),
            )
            for i in range(depth)
        )  # fmt: skip
        self.norm = norm(dim) if final_norm else None
        pooler = bool(num_classes) if pooler is None else pooler
        self.pooler = nn.Linear(dim, dim) if pooler and not (num_classes and per_token) else None
        self.head_drop = nn.Dropout(head_dropout) if head_dropout else None
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        self.token_head = TokenHead(self.embed, tied, norm, act) if token_head and not num_classes else None
        for module in self.modules():
            init(module)

    @classmethod
    def check_data(cls, config: Mapping[str, Any], spec: Any) -> None:
        """Raises: ZooError for a `per_token` that is not the targets'."""
        wanted, given = spec.usual().get("per_token"), config.get("per_token")
        if given is not None and bool(wanted) != given:
            there = TARGETS.get(spec.targets, spec.targets)
            raise ZooError(f"model.per_token={str(given).lower()}, but the data has {there} a row; leave it out.")

    def inputs(self, batch: Any) -> tuple[Any, ...]:
        """ids and mask of a batch, and its segments where it and the model have several."""
        segments = getattr(batch, "segments", None)
        several = segments is not None and self.segments is not None and self.segments.num_embeddings > 1
        return (*super().inputs(batch), segments) if several else super().inputs(batch)

    def before_blocks(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        if self.segments is not None:
            x = x + (self.segments.weight[0] if segments is None else self.segments(segments))
            segments = None
        return super().before_blocks(self.norm_pre(x), segments)

    def forward_head(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states -> what `forward` gives: of all tokens where there is a head over the vocabulary."""
        if self.token_head is not None:
            return self.token_head(x)
        if not self.num_classes:
            return x
        x = x if self.per_token else self.pooled(x, mask)
        return self.head(x if self.head_drop is None else self.head_drop(x))

    def pooled(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, N, dim] -> [B, dim]: each row's first token, or the mean of its tokens, through the pooler where there is one."""
        if self.pool == "mean":
            weight = torch.ones_like(x[..., :1]) if mask is None else mask.unsqueeze(-1).to(x.dtype)
            x = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        else:
            first = 0 if mask is None else mask.int().argmax(-1)
            x = x[torch.arange(x.shape[0], device=x.device), first]
        return x if self.pooler is None else self.pooler(x).tanh()

    def reset_classifier(self, num_classes: int) -> None:
        super().reset_classifier(num_classes)
        self.token_head = None
        if self.per_token:
            self.pooler = None
        elif num_classes and self.pooler is None:
            self.pooler = nn.Linear(self.dim, self.dim).to(self.embed.weight)
            normal(self.pooler)
        if self.config:
            self.config = {**self.config, "pooler": self.pooler is not None}


def _config(context: int, dim: int, depth: int, num_heads: int, vocab_size: int, **more: Any) -> dict[str, Any]:
    sizes = dict(vocab_size=vocab_size, context=context, dim=dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.language.bert.BERT", **sizes, **more}


#: Devlin et al. 2019, section 3, with the vocabulary of the uncased models; and ours
CONFIGS: dict[str, dict[str, Any]] = {
    "bert_base": _config(512, 768, 12, 12, 30522, dropout=0.1, attn_dropout=0.1),
    "bert_large": _config(512, 1024, 24, 16, 30522, dropout=0.1, attn_dropout=0.1),
    "bert_mini": _config(64, 128, 4, 4, 4096, pool="mean", dropout=0.1, attn_dropout=0.1, head_dropout=0.1),
}
