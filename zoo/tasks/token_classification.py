"""A tag for each word: entities, told by the first token of each of their words; scored as whole entities."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.config import instantiate
from zoo.errors import ZooError
from zoo.tasks.objectives import NOTHING
from zoo.tasks.task import Task
from zoo.tasks.totals import Step
from zoo.tasks.whole_step import WholeStep
from zoo.text.entities import OUTSIDE, is_tag

OF_ENTITIES = ("f1", "precision", "recall")


class TokenClassification(WholeStep, Task):
    """Minimise the cross-entropy between the logits at each word's first token and the word's tag (Devlin et al. 2019, 5.3):

        loss = -sum_w log softmax(model(ids))_first(w),tag(w) / W

    W is the number of words of the whole optimizer step, over accumulated batches and processes alike (C9).

    Entities are read off the likeliest tags by seqeval, strictly as IOB2: an entity counts where its first word, its last and
    its kind are right, and an I- that goes on with nothing is none.

        precision = right / said,    recall = right / there,    f1 = 2 right / (said + there)

    of all entities of the part. A word that has no token in the row (beyond the context) is said to be O.

    Args:
        model: see `Task`, as are the arguments up to `mode`; with `per_token`.
        noise: config of what is done to a training batch's tokens, see `zoo.tasks.noise`; None: nothing.

    Shapes: a batch has ids [B, N], mask, tags [B, N] (-100: no word's first token), gold [B, W] (the tags of all words, -100
        behind them), places [B, W] (`datamodules.text.TaggedText`).
    Logs: loss, accuracy (share of the words with the right tag); in validation and test f1, precision, recall; test/words.
    Raises: ZooError for a model that does not classify tokens, and where seqeval is not installed.
    """

    learns = ("tags",)
    monitor, mode = "f1", "max"
    counted: ClassVar[str] = "words"
    means = ("accuracy", *OF_ENTITIES)

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
        noise: Mapping[str, Any] | None = None,
    ):
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(noise=noise)
        self.noise = instantiate(self.hparams["noise"]) if noise else None
        if not (self.model.num_classes and getattr(self.model, "per_token", False)):
            raise ZooError(
                f"This {type(self.model).__name__} does not classify each token, which tags of words need; take model=bert."
            )

    def setup(self, stage: str) -> None:
        if not find_spec("seqeval"):
            raise ZooError("task=token_classification scores entities by seqeval: pip install 'attention-zoo[text]'.")
        super().setup(stage)

    def step(self, batch: Any, stage: str) -> Step:
        inputs = self.model.inputs(batch)
        if self.noise is not None and stage == "train":
            inputs = (self.noise(batch, self.model.tokenizer), *inputs[1:])
        logits = self(*inputs)
        asked = batch.tags != NOTHING
        words, tags = logits[asked], batch.tags[asked]
        wide = words.to(torch.promote_types(words.dtype, torch.float32))
        nats = F.cross_entropy(wide, tags, reduction="sum")
        said = self.said(batch, logits)
        there = int((batch.gold != NOTHING).sum())
        means: dict[str, tuple[Tensor, float]] = {"accuracy": ((said == batch.gold).sum(), float(there))}
        if stage != "train":
            means |= self._entities(batch, said)
        return Step(nats / max(len(tags), 1), len(tags), words, None, means, there)

    @torch.no_grad()
    def said(self, batch: Any, logits: Tensor) -> Tensor:
        """[B, W]: the likeliest tag of each word, O where it has no token."""
        outside = tags_of(self.model).index(OUTSIDE)
        return logits.argmax(-1).gather(1, batch.places.clamp(min=0)).where(batch.places >= 0, outside)

    def _entities(self, batch: Any, said: Tensor) -> dict[str, tuple[Tensor, float]]:
        """Sums of which the means are made: right entities, and how many were said and are there."""
        names, counts = tags_of(self.model), (batch.gold != NOTHING).sum(1).tolist()
        true, found = (
            [[names[i] for i in row[:n]] for row, n in zip(part.tolist(), counts, strict=True)]
            for part in (batch.gold, said)
        )
        right, many, all_ = agreed(true, found)
        total = torch.tensor(float(right), device=said.device)
        return {"f1": (2 * total, many + all_), "precision": (total, many), "recall": (total, all_)}

    def derived(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """0 where there was nothing to divide by, as seqeval has it."""
        if self.trainer.training:
            return {}
        return {name: torch.zeros(()) for name in OF_ENTITIES if name not in values}


def tags_of(model: Any) -> list[str]:
    """What a model calls its tags. Raises: ZooError where they have no names, or are none of IOB2."""
    names = list(model.classes or [])
    if OUTSIDE not in names or not all(map(is_tag, names)):
        shown = ", ".join(names[:3]) if names else "none"
        raise ZooError(
            f"The model's classes ({shown[:60]}) are no tags of words: O, and B- and I- with a kind, as B-PER."
        )
    return names


def agreed(true: Any, found: Any) -> tuple[int, int, int]:
    """(entities that are in both, in `found`, in `true`) of sentences' tags, by seqeval's strict reading of IOB2."""
    from seqeval.scheme import IOB2, Entities

    both = [
        [set(each) for each in Entities([list(tags) for tags in part], scheme=IOB2).entities] for part in (true, found)
    ]
    right = sum(len(t & f) for t, f in zip(*both, strict=True))
    return right, sum(map(len, both[1])), sum(map(len, both[0]))
