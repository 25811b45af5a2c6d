"""What every language model says of itself: ids of tokens in, logits over the vocabulary (or classes) out."""

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.attention import Full, Pattern, Position
from zoo.errors import ZooError
from zoo.layers import trunc_normal
from zoo.models.base import Model


class LanguageModel(Model):
    """A model of tokens. A family has `embed`, `position`, `blocks` and a `forward_features`; all else is here.

    Attributes:
        vocab_size: how many tokens it knows.
        context: places that it is made for. A learned position refuses more; for others more is a notice.
        objective: what it is trained for where nobody says otherwise: "causal" or "masked".
        sees: what a token may see, to which the pattern of each layer and of each call is AND-ed.
        tokenizer: between text and ids; None where nobody has told. It is saved with the model.
        dim: width of the hidden states.
    """

    reads = ("text",)
    objective: ClassVar[str] = "causal"
    sees: ClassVar[Pattern] = Full()

    vocab_size: int
    context: int
    dim: int
    tokenizer: Any = None
    grad_checkpointing: bool = False
    _end_tokens: tuple[int, ...] | None = None
    embed: nn.Embedding
    position: Position
    blocks: nn.ModuleList
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

    # ---- where the tokens stand

    def embed_tokens(self, ids: Tensor, pos: Tensor | None) -> Tensor:
        """ids [B, N] -> [B, N, dim] with their places in them."""
        x = self.embed(ids)
        return self.position.embed(x, torch.arange(ids.shape[1], device=ids.device) if pos is None else pos)

    def check_ids(self, ids: Tensor, places: int) -> None:
        """Raise ZooError for ids outside the vocabulary, or more `places` than a learned position has; tell of more than the
        model was made for. The values of ids are looked at on a CPU, where that waits for nobody."""
        if ids.ndim != 2 or ids.is_floating_point():
            raise ZooError(f"A language model takes ids of tokens, integers [B, N]; got {ids.dtype} {list(ids.shape)}.")
        if places > self.context:
            self._beyond(places)
        if ids.numel() and ids.device.type == "cpu" and not torch.compiler.is_compiling():
            least, most = (int(x) for x in ids.aminmax())
            if least < 0 or most >= self.vocab_size:
                wrong = least if least < 0 else most
                raise ZooError(
                    f"The id {wrong} is outside the vocabulary of this model, 0 to {self.vocab_size - 1}: was the text encoded "
                    "with another tokenizer?"
                )

    def _beyond(self, places: int) -> None:
        if self.position.length is not None:
            raise ZooError(
                f"{places} tokens, but {type(self).__name__} has {self.context} learned positions: give fewer, or train with "
                "a position that extends (position=rope, alibi or sinusoidal)."
            )
        if not torch.compiler.is_compiling():
            warnings.warn(
                f"{places} tokens: {type(self).__name__} was made for {self.context}, and what it says of more was never "
                "trained.",
                stacklevel=5,
            )

    # ---- its parts, for tasks

    def run_blocks(self, x: Tensor, cache: Any = None, **how: Any) -> Tensor:
        """The blocks in turn, each with its own part of the cache, or recomputed in the backward pass."""
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

    def no_weight_decay(self) -> set[str]:
        """Parameters of positions."""
        own = {f"position.{name}" for name, _ in self.position.named_parameters()}
        return own | {name for name, _ in self.named_parameters() if ".attn.position." in name}

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters, input to output: embedding, each block, then what follows (for layer-wise decay)."""
        groups: list[list[str]] = [[] for _ in range(len(self.blocks) + 2)]
        for name, _ in self.named_parameters():
            top, _, rest = name.partition(".")
            if top == "blocks":
                groups[int(rest.split(".")[0]) + 1].append(name)
            else:
                groups[0 if top in ("embed", "position", "segments", "norm_pre") else -1].append(name)
        return groups

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = on

    def describe(self) -> dict[str, str]:
        return {"vocabulary": f"{self.vocab_size:,} tokens", "context": f"{self.context:,} tokens"}
