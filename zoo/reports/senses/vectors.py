"""Vectors of a word in sentences: Word2Vec's and BERT's, both learned on the training part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from zoo.config import instantiate
from zoo.models import build_model
from zoo.text import vectors
from zoo.training.run import train

PASSES = 20  # of Word2Vec: the sentences are few


@dataclass(frozen=True)
class Learned:
    """What was learned of one seed's sentences.

    data: `datamodules.text.Senses`, set up. kinds: name -> a function of sentences that gives a vector each, [n, width].
    trained: figures of BERT's training.
    """

    data: Any
    kinds: Mapping[str, Callable[[Sequence[Any]], np.ndarray]]
    trained: Mapping[str, float]

    @property
    def words(self) -> list[str]:
        """The words of two senses."""
        from datamodules.text.senses import SENSES

        return list(dict.fromkeys(sense.word for sense in SENSES))

    def describe(self) -> str:
        right = self.trained.get("test/accuracy", float("nan"))
        return f"{self.data.train_size:,} sentences; BERT guesses {right:.0%} of the hidden tokens of held-out frames"


#: Names of kinds of vectors: what is asked, and what stands beside it.
STATIC, CONTEXT = "Word2Vec, one vector a word", "BERT, in its sentence"
TABLE, AROUND = "BERT's embedding, one vector a word", "Word2Vec, mean of the other words"
UNTRAINED = "BERT untrained, in its sentence"


def learn(config: dict[str, Any]) -> Learned:
    """Train both on the sentences of a config of `data=senses`."""
    data = instantiate(config["data"])
    data.prepare_data()
    data.setup()
    record = train(config, None, data=data)
    task: Any = record.task
    model, tokenizer = task.model.eval(), data.spec.tokenizer
    static = vectors.learned(data.training_tokens, tokenizer, model.dim, config["seed"], epochs=PASSES)
    with torch.random.fork_rng():
        torch.manual_seed(config["seed"])
        untrained = build_model(model.config).eval()
    kinds = {
        STATIC: lambda found: np.stack([static[token(tokenizer, each)] for each in found]),
        TABLE: lambda found: embedded(model, tokenizer, found),
        CONTEXT: lambda found: contextual(model, tokenizer, found),
        UNTRAINED: lambda found: contextual(untrained, tokenizer, found),
        AROUND: lambda found: np.stack([around(static, tokenizer, each) for each in found]),
    }
    return Learned(data, kinds, record.metrics)


def place(tokenizer: Any, sentence: Any) -> int:
    """Which token of a sentence its noun begins with."""
    before = sentence.text[: sentence.at].rstrip()
    return len(tokenizer.encode(before)) + (tokenizer.bos is not None)


def token(tokenizer: Any, sentence: Any) -> int:
    """That token."""
    return tokenizer.document(sentence.text)[place(tokenizer, sentence)]


def embedded(model: Any, tokenizer: Any, sentences: Sequence[Any]) -> np.ndarray:
    """Rows of BERT's embedding."""
    ids = torch.tensor([token(tokenizer, each) for each in sentences])
    return model.embed.weight.detach()[ids].double().numpy()


@torch.no_grad()
def contextual(model: Any, tokenizer: Any, sentences: Sequence[Any]) -> np.ndarray:
    """What the last block gives at the noun, of which nothing is hidden."""
    rows = [tokenizer.document(each.text) for each in sentences]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), True
    at = torch.tensor([place(tokenizer, each) for each in sentences])
    return model.forward_features(ids, mask)[torch.arange(len(rows)), at].double().numpy()


def around(static: Mapping[int, np.ndarray], tokenizer: Any, sentence: Any) -> np.ndarray:
    """The mean of the vectors of all tokens but the noun; those that were not seen in training have none."""
    own = token(tokenizer, sentence)
    found = [static[id] for id in tokenizer.document(sentence.text) if id != own and id in static]
    return np.mean(found, axis=0)
