"""What every language model says of itself: ids of tokens in, logits over the vocabulary (or classes) out."""

import warnings
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.attention import Full, Pattern, Position
from zoo.attention.caches import ModelCache, Policy
from zoo.errors import ZooError
from zoo.layers import trunc_normal
from zoo.models import examples
from zoo.models.base import Model, in_groups


class LanguageModel(Model):
    """A model of tokens. A family has `embed`, `position`, `blocks` and a `forward_features`; all else is here.

    Attributes:
        vocab_size: how many tokens it knows.
        context: places that it is made for. A learned position refuses more; for others more is a notice.
        objective: what it is trained for where nobody says otherwise: "causal" or "masked".
        sees: what a token may see, to which the pattern of each layer and of each call is AND-ed.
        dim: width of the hidden states.
    """

    reads = ("text",)
    heads = ("head", "token_head", "pooler")
    usual = MappingProxyType({**Model.usual, "position": "zoo.attention.Learned"})
    objective: ClassVar[str] = "causal"
    sees: ClassVar[Pattern] = Full()

    vocab_size: int
    context: int
    dim: int
    grad_checkpointing: bool = False
    _end_tokens: tuple[int, ...] | None = None
    embed_scale: float = 1.0
    embed: nn.Embedding
    position: Position
    drop: nn.Module | None
    blocks: nn.ModuleList
    norm: nn.Module | None
    head: nn.Module

    def __init__(self, vocab_size: int, context: int, dim: int, depth: int, num_heads: int):
        super().__init__()
        sizes = dict(vocab_size=vocab_size, context=context, dim=dim, depth=depth, num_heads=num_heads)
        if wrong := [f"{name}={value}" for name, value in sizes.items() if value < 1]:
            raise ZooError(f"Sizes of a language model are positive; got {', '.join(wrong)}.")
        self.vocab_size, self.context, self.dim = vocab_size, context, dim

    def inputs(self, batch: Any) -> tuple[Any, ...]:
        """ids and mask of a batch."""
        return batch.ids, batch.mask

    def example(self, draw: examples.Draw) -> Any:
        return examples.text(self, draw)

    def embeddings(self) -> dict[str, nn.Embedding]:
        return {"": self.embed}

    @property
    def end_tokens(self) -> tuple[int, ...] | None:
        """Ids that end a text: those that were set, else the tokenizer's end; None where there is none."""
        if self._end_tokens is not None:
            return self._end_tokens
        eos = None if self.tokenizer is None else self.tokenizer.eos
        return None if eos is None else (eos,)

    @end_tokens.setter
    def end_tokens(self, ids: tuple[int, ...] | None) -> None:
        self._end_tokens = ids

    def forward_features(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
        *,
        pos: Tensor | None = None,
        pattern: Pattern | None = None,
        cache: ModelCache | None = None,
        sees: Pattern | None = None,
    ) -> Tensor:
        """Hidden states [B, N, dim] after the last block, normalised where the model does that; arguments as of `forward`."""
        pos, places = self.placed(ids, mask, pos, cache)
        x = self.before_blocks(self.embed_tokens(ids, pos, cache), segments)
        sees = self.sees if sees is None else sees
        x = self.run_blocks(x, cache, pattern=sees if pattern is None else sees & pattern, pos=pos, places=places)
        return x if self.norm is None else self.norm(x)

    def forward_head(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states -> what `forward` gives: of each token where there is a head over the vocabulary, else of each row."""
        raise NotImplementedError(f"{type(self).__name__} has no forward_head")

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
        *,
        pos: Tensor | None = None,
        pattern: Pattern | None = None,
        cache: ModelCache | None = None,
        sees: Pattern | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """[B, N] -> logits [B, N, vocab_size]; hidden states where there is no head; [B, num_classes] with a classifier
        ([B, N, num_classes] with one of each token).

        Args:
            mask: [B, N] bool, True = a token; padding stands left or right of a row's tokens, which are as if alone (C5).
            segments: [B, N] long, which segment each token is of, for a model that has some (BERT); None: all of the first.
            pos: [N] or [B, N], places for the position part; default a row's own tokens, counted from 0 or behind what the
                cache holds. Packed documents count from 0 each.
            pattern: AND-ed to every layer's own.
            cache: of `new_cache`: the tokens follow those that it holds, and are added to it.
            sees: in place of the model's own `sees`: `Causal() | Prefix(n)` for a prefix LM.
            at: [n], indices into the B N tokens, row by row: logits [n, vocab_size] of these alone, as a large vocabulary is
                most of the work.
        """
        x = self.forward_features(ids, mask, segments, pos=pos, pattern=pattern, cache=cache, sees=sees)
        return self.forward_head(x if at is None else x.flatten(0, 1)[at], mask)

    # ---- where the tokens stand

    def placed(
        self, ids: Tensor, mask: Tensor | None, pos: Tensor | None, cache: ModelCache | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """(pos, places) for the attention: what positions go by, and what patterns go by, -1 where there is no token. None
        where the order in the sequence (behind what the cache holds) says it all.

        Raises: ZooError for ids outside the vocabulary, a mask with holes, more tokens than learned positions.
        """
        if ids.ndim != 2 or ids.is_floating_point():
            raise ZooError(f"A language model takes ids of tokens, integers [B, N]; got {ids.dtype} {list(ids.shape)}.")
        if mask is not None and (mask.dtype != torch.bool or mask.shape != ids.shape):
            raise ZooError(
                f"mask is boolean, True = a token, of the shape of ids, {list(ids.shape)}; got {mask.dtype} {list(mask.shape)}."
            )
        places = None
        if mask is not None:
            places = mask.cumsum(-1) - 1
            places = torch.where(mask, places if cache is None else places + cache.next_places(1), -1)
        self._check_values(ids, mask, pos, places, cache)
        if pos is None and places is not None:
            pos = places.clamp(min=0)
        elif pos is None and cache is not None:
            pos = cache.next_places(ids.shape[1])  # once for all layers
        return pos, places

    def embed_tokens(self, ids: Tensor, pos: Tensor | None, cache: ModelCache | None = None) -> Tensor:
        """ids [B, N] -> [B, N, dim] with their places in them, by default in order behind what the cache holds."""
        x = self.embed(ids)
        x = x if self.embed_scale == 1.0 else x * self.embed_scale
        if not self.position.acts_on:
            return x
        if pos is None:
            n = ids.shape[1]
            pos = torch.arange(n, device=ids.device) if cache is None else cache.next_places(n)
        return self.position.embed(x, pos)

    def before_blocks(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        """What is done to the embedded tokens. Raises: ZooError for segments where there are none."""
        if segments is not None:
            raise ZooError(f"{type(self).__name__} has no segments; leave them out.")
        return x if self.drop is None else self.drop(x)

    def _check_values(
        self, ids: Tensor, mask: Tensor | None, pos: Tensor | None, places: Tensor | None, cache: ModelCache | None
    ) -> None:
        """Look at the values on a CPU alone: elsewhere that would wait for the device."""
        n = ids.shape[1]
        if ids.device.type != "cpu" or torch.compiler.is_compiling() or not ids.numel():
            self._check_length(n if cache is None and mask is None and pos is None else 0)
            return
        least, most = (int(x) for x in ids.aminmax())
        if least < 0 or most >= self.vocab_size:
            raise ZooError(
                f"The id {least if least < 0 else most} is outside the vocabulary of this model, 0 to {self.vocab_size - 1}: "
                "was the text encoded with another tokenizer?"
            )
        if mask is not None and bool((mask[:, 1:] > mask[:, :-1]).sum(-1).add(mask[:, 0]).max() > 1):
            raise ZooError(
                "The mask has holes: padding stands left or right of a row's tokens, not among them. Leave out the tokens, or "
                "hide them with pattern=Padding(mask)."
            )
        given = places if pos is None else pos
        if given is not None:
            self._check_length(int(given.max()) + 1)
        else:
            self._check_length(n if cache is None else n + int(cache.next_places(1).max()))

    def _check_length(self, tokens: int) -> None:
        if tokens <= self.context:
            return
        kind = type(self).__name__
        if self.position.length is not None:
            raise ZooError(
                f"{tokens} tokens, but {kind} has {self.context} learned positions: give fewer, or train with a position that "
                "extends (position=rope, alibi or sinusoidal)."
            )
        if not torch.compiler.is_compiling():
            warnings.warn(
                f"More tokens than the {self.context} that this {kind} was made for: what it says of them was never trained.",
                stacklevel=6,
            )

    # ---- its parts

    def new_cache(self, batch: int, length: int, policy: Policy = "full") -> ModelCache | None:
        """An empty cache of `length` tokens for `batch` rows, in the dtype and on the device of the model.

        Args:
            policy: "full", "none" (which gives None), "window:N", "sinks:S+N", "heavy:H+N", "int8", or a factory of one
                layer's (see `zoo.attention.caches.make_cache`).
        """
        like = self.embed.weight
        attentions = [block.attn for block in self.blocks]
        return ModelCache.of(attentions, batch, length, policy, like.dtype, like.device)

    def run_blocks(self, x: Tensor, cache: ModelCache | None = None, **how: Any) -> Tensor:
        """The blocks in turn, each with its own part of the cache, or recomputed in the backward pass."""
        how = {name: value for name, value in how.items() if value is not None}
        for i, block in enumerate(self.blocks):
            if self.grad_checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False, **how)
            else:
                x = block(x, **how) if cache is None else block(x, cache=cache[i], **how)
        return x

    @property
    def linear_head(self) -> nn.Linear | None:
        """The classifier; the head over the vocabulary is none, and often the embedding itself."""
        return super().linear_head if self.num_classes else None

    def reset_classifier(self, num_classes: int) -> None:
        """A new classifier for `num_classes` classes in place of what stands at the end (0: nothing, hidden states), on the
        device and in the dtype of the model."""
        like = self.embed.weight
        self.num_classes, self.classes = num_classes, None
        self.head = nn.Linear(self.dim, num_classes) if num_classes else nn.Identity()
        if num_classes:
            trunc_normal(self.head)
        self.head.to(device=like.device, dtype=like.dtype)
        if self.config:
            self.config = {**self.config, "num_classes": num_classes, "token_head": False}

    def generate(self, ids: Any, max_new_tokens: int = 64, **how: Any) -> Any:
        """Tokens that follow, see `zoo.generation.generate`."""
        from zoo.generation import generate

        return generate(self, ids, max_new_tokens, **how)

    def no_weight_decay(self) -> set[str]:
        """Parameters of positions."""
        own = {f"position.{name}" for name, _ in self.position.named_parameters()}
        return own | {name for name, _ in self.named_parameters() if ".attn.position." in name}

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters, input to output: embedding, each block, then what follows (for layer-wise decay)."""
        return in_groups(self, len(self.blocks), ("embed", "position", "segments", "norm_pre"))

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = on

    def describe(self) -> dict[str, str]:
        return {"vocabulary": f"{self.vocab_size:,} tokens", "context": f"{self.context:,} tokens"}
