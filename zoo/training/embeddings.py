"""Embeddings that start from vectors: `model.embedding=word2vec | path.vec | glove.txt`.

A setting of a training, as `init=` is: the architecture is the same, so no config of a model knows of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback
from torch import nn

from zoo.errors import ZooError, nearest
from zoo.text import vectors

log = logging.getLogger("train")
LEARNED = "word2vec"
#: {"tokens": ..., "of": ..., "share": ..., "share_of_text": ...} by side, or of the one that there is.
Coverage = dict[str, Any]


def check(given: Any, init: Any) -> None:
    """Refuse what names no vectors, and vectors for a model that comes with its own."""
    if given is None:
        return
    named = given.values() if isinstance(given, Mapping) and given else [given]
    if not all((isinstance(each, str) and each) or (each is None and isinstance(given, Mapping)) for each in named):
        raise ZooError(
            f"model.embedding={given} names no vectors; give word2vec, or a file of them, or of pairs "
            "'{source: one.vec, target: other.vec}'."
        )
    if init:
        raise ZooError(
            f"model.embedding={given} would write over the embeddings of init={init}; leave one of them out."
        )


def start(model: nn.Module, given: str | Mapping[str, str | None], data: Any, seed: int) -> Coverage:
    """Write vectors over a model's embeddings of tokens, as they are; a token without one keeps what it began with.

    Args:
        model: with its tokenizer, fit for the data.
        given: "word2vec" (learned by gensim on the tokens of the training part), or a file (`zoo.text.vectors.from_file`); of
            pairs that is for both sides, or by side.
        data: set up, with `training_tokens(side)`.

    Returns: how many tokens have a vector, of those that stand for text, and which share of the training part's they are.
    Raises: ZooError for a model without embeddings of tokens, or vectors that do not fit.
    """
    sides: dict[str, nn.Embedding] = getattr(model, "embeddings", dict)()
    if not sides:
        raise ZooError(f"model.embedding={given} is of tokens, and {type(model).__name__} has no embeddings of them.")
    if isinstance(given, Mapping):
        for side in given.keys() - sides.keys():
            raise ZooError(
                f"model.embedding.{side}={given[side]} is of no side of the model; {nearest(str(side), sides)}"
            )
    chosen = dict(given) if isinstance(given, Mapping) else dict.fromkeys(sides, given)
    found = {}
    for group in _shared(sides):
        sources = {chosen.get(side) for side in group}
        if len(sources) > 1:
            raise ZooError(
                f"model.embedding={given}: {' and '.join(group)} have one matrix in this {type(model).__name__}; name one "
                "source for both, or set model.joint=false."
            )
        if source := sources.pop():
            found[" and ".join(group)] = _start(model, sides[group[0]], group, source, data, seed)
    return next(iter(found.values())) if len(sides) == 1 else found


def _start(model: Any, embedding: nn.Embedding, sides: list[str], source: str, data: Any, seed: int) -> Coverage:
    tokenizer = model.source_tokenizer if sides == ["source"] else model.tokenizer
    if tokenizer is None:
        raise ZooError(
            f"model.embedding={source}: this {type(model).__name__} has no tokenizer, which says what its tokens are."
        )
    width = embedding.embedding_dim

    def texts() -> Any:
        return (text for side in sides for text in data.training_tokens(side))

    learned = source == LEARNED
    made = vectors.learned(texts, tokenizer, width, seed) if learned else vectors.from_file(source, tokenizer, width)
    ids = sorted(made)
    with torch.no_grad():
        rows = torch.from_numpy(np.stack([made[id] for id in ids]))
        embedding.weight[torch.tensor(ids, device=embedding.weight.device)] = rows.to(embedding.weight)
    counts = np.zeros(embedding.num_embeddings, np.int64)
    for text in texts():
        counts += np.bincount(np.asarray(text, np.int64), minlength=len(counts))
    counts[list(tokenizer.special)] = 0
    of = tokenizer.vocab_size - len(tokenizer.special)
    share_of_text = float(counts[ids].sum() / max(int(counts.sum()), 1))
    name, whose = LEARNED if learned else Path(source).name, " and ".join(filter(None, sides))
    log.info(
        f"{whose} embeddings from {name}: {len(ids):,} of {of:,} tokens ({len(ids) / of:.1%}), {share_of_text:.1%} of those "
        "of the training part".lstrip()
    )
    return {"from": name, "tokens": len(ids), "of": of, "share": len(ids) / of, "share_of_text": share_of_text}


def _shared(sides: Mapping[str, nn.Embedding]) -> list[list[str]]:
    """Sides by the matrix that they have."""
    groups: dict[int, list[str]] = {}
    for side, embedding in sides.items():
        groups.setdefault(id(embedding.weight), []).append(side)
    return list(groups.values())


class Started(Callback):
    """Keeps in checkpoints what the embeddings started from: a training that goes on has them, and tells it again."""

    def __init__(self, coverage: Coverage | None = None):
        self.coverage = coverage or {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"coverage": self.coverage}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, of which plain values alone are taken."""
        self.coverage = _plain(state.get("coverage"))


def _plain(found: Any) -> Coverage:
    if not isinstance(found, dict):
        return {}
    each = {str(key): _plain(value) if isinstance(value, dict) else value for key, value in found.items()}
    return {key: value for key, value in each.items() if isinstance(value, dict | int | float | str)}
