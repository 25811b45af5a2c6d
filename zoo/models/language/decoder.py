"""The decoder of GPT, Llama and all that came of them: causal blocks on embedded tokens, every part injected."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from zoo.attention import (
    Attention,
    Causal,
    Full,
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
from zoo.layers import Block, FeedForward, normal, pre_norm
from zoo.models.language.base import LanguageModel


@declared
class Decoder(LanguageModel):
    """ids [B, N] -> logits [B, N, vocab_size]; token t from what came before it alone.

        x = embed_scale E[ids] + position
        x = block_depth(... block_1(x)),    each with `Causal() & pattern`
        logits = head(norm(x))

    A family is a subclass whose `parts` say what stands where nothing is given.

    Args:
        vocab_size: V.
        context: places that it is made for.
        dim, depth, num_heads: the usual sizes.
        num_kv_heads, head_dim: default num_heads, and dim / num_heads.
        hidden: width inside the feed-forward, default the family's.
        num_classes: above 0 a classifier of the last token of each row in place of the head over the vocabulary.
        token_head: False for hidden states alone.
        tied: whether the head's matrix is the embedding's (Press and Wolf 2017).
        attention: factory of the attention of each block; takes score, pattern, kernel bound to it.
        pattern: AND-ed to Causal() in each layer; default what is bound to `attention`, else nothing is hidden.
        patterns: one for each layer, in place of `pattern`; None for nothing.
        position: factory. `embed` acts on the tokens, `rotate` and `bias` in every layer.
        norm: factory of norms, called with dim.
        final_norm: whether there is one after the blocks.
        feed_forward: factory; takes what it names of dim, hidden, act, bias, dropout.
        order, shared_norm: `pre_norm`, `parallel` ..., and whether both sublayers have one norm (see `zoo.layers.Block`).
        qkv_bias, out_bias, mlp_bias, head_bias: which maps have a bias; None: the family's.
        qk_norm: factory of a norm on queries and keys, called with head_dim.
        embed_scale: factor on the embedded tokens.
        dropout, attn_dropout, head_dropout, drop_path: rates; dropout acts on the embedded tokens and behind each sublayer.
        embed_dropout: of the embedded tokens, where it is another.
        end_tokens: ids that end a text; None: the tokenizer's.
        init: called on every module; then the last map of each sublayer is divided by sqrt(2 depth), as GPT-2's.

    Raises:
        ZooError: sizes that do not divide, or a list of patterns of another length than depth.
    """

    sees = Causal()
    usual = MappingProxyType({**LanguageModel.usual, "pattern": "zoo.attention.Causal"})
    #: What stands where nothing is given; `hidden` is a function of dim.
    parts: ClassVar[Mapping[str, Any]] = MappingProxyType(
        dict(position=Position, norm=nn.LayerNorm, feed_forward=FeedForward, hidden=lambda dim: 4 * dim, qkv_bias=True)
        | dict(out_bias=True, mlp_bias=True, head_bias=False)
    )

    def __init__(
        self,
        vocab_size: int,
        context: int = 1024,
        dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        *,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        hidden: int | None = None,
        num_classes: int = 0,
        token_head: bool = True,
        tied: bool = True,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        patterns: Sequence[Pattern | None] | None = None,
        position: Callable[..., Position] | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        final_norm: bool = True,
        feed_forward: Callable[..., nn.Module] | None = None,
        order: Callable[..., Tensor] = pre_norm,
        shared_norm: bool = False,
        qkv_bias: bool | None = None,
        out_bias: bool | None = None,
        mlp_bias: bool | None = None,
        head_bias: bool | None = None,
        qk_norm: Callable[[int], nn.Module] | None = None,
        embed_scale: float = 1.0,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        embed_dropout: float | None = None,
        head_dropout: float = 0.0,
        drop_path: float = 0.0,
        end_tokens: Sequence[int] | None = None,
        init: Callable[[nn.Module], None] = normal,
    ):
        super().__init__(vocab_size, context, dim, depth, num_heads)
        given = dict(position=position, norm=norm, feed_forward=feed_forward, qkv_bias=qkv_bias, out_bias=out_bias)
        given |= dict(mlp_bias=mlp_bias, head_bias=head_bias)
        its: Any = {name: self.parts[name] if part is None else part for name, part in given.items()}
        self.num_classes, self.embed_scale = num_classes, embed_scale
        self.end_tokens = None if end_tokens is None else tuple(end_tokens)
        hidden = hidden or self.parts["hidden"](dim)

        self.embed = nn.Embedding(vocab_size, dim)
        place = partial(
            build, its["position"], dim=dim, num_heads=num_heads, head_dim=head_dim or dim // num_heads, length=context
        )
        start: Position = place()
        self.position = start if "tokens" in start.acts_on else Position()
        embed_dropout = dropout if embed_dropout is None else embed_dropout
        self.drop = nn.Dropout(embed_dropout) if embed_dropout else None

        bound, attention = unbind(attention or Attention, "pattern")
        one = make_pattern(pattern or bound or Full(), num_heads=num_heads)
        each_layer = [one] * depth if patterns is None else [Full() if each is None else each for each in patterns]
        if len(each_layer) != depth:
            raise ZooError(f"{len(each_layer)} patterns for {depth} layers: give one for each, null for none.")

        def make_attention(pattern: Pattern) -> nn.Module:
            return build(
                attention, dim=dim, num_heads=num_heads, num_kv_heads=num_kv_heads, head_dim=head_dim, qk_norm=qk_norm,
                bias=its["qkv_bias"], dropout=attn_dropout, position=place() if start.acts_inside else None,
                output=partial(OutputProjection, bias=its["out_bias"], dropout=dropout),
                pattern=Full() if isinstance(pattern, Causal) else pattern,  # which it is anyway
            )  # fmt: skip

        self.blocks = nn.ModuleList(
            Block(
                dim,
                make_attention(pattern),
                build(its["feed_forward"], dim=dim, hidden=hidden, bias=its["mlp_bias"], dropout=dropout),
                norm=its["norm"],
                order=order,
                shared_norm=shared_norm,
                drop_path=drop_path * i / max(depth - 1, 1),
            )
            for i, pattern in enumerate(each_layer)
        )
        self.norm = its["norm"](dim) if final_norm else None
        self.head_drop = nn.Dropout(head_dropout) if head_dropout else None
        if num_classes or not token_head:
            self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        else:  # a tied head needs no matrix of its own, not for a moment
            head = Linear(dim, vocab_size, its["head_bias"], device="meta" if tied else None)
            if tied:
                head.weight = self.embed.weight
                if its["head_bias"]:
                    head.bias = nn.Parameter(torch.zeros(vocab_size))
            self.head = head
        self._start(init)

    def _start(self, init: Callable[[nn.Module], None]) -> None:
        for module in self.modules():
            init(module)
        for block in self.blocks:
            for layer in map(block.get_submodule, cast(Block, block).names):
                maps = [each for each in layer.modules() if isinstance(each, nn.Linear)]
                with torch.no_grad():
                    maps[-1].weight.mul_((2 * len(self.blocks)) ** -0.5)

    def forward_head(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states -> what `forward` gives: of all tokens where there is a head over the vocabulary."""
        if self.num_classes:
            x = x[torch.arange(x.shape[0], device=x.device), last_token(mask, x.shape[1])]
        x = x if self.head_drop is None else self.head_drop(x)
        return self.head(x)


def last_token(mask: Tensor | None, length: int) -> Tensor | int:
    """[B]: where the last token of each row stands; of rows without padding `length - 1`."""
    if mask is None:
        return length - 1
    return length - 1 - mask.flip(-1).int().argmax(-1)
