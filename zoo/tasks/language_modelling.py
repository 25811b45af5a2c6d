"""Language modelling: what comes next, or what was hidden; every mean is over tokens, whatever the batches (C9)."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from zoo.attention import Documents
from zoo.errors import ZooError, nearest
from zoo.spec import WORDS, Spec
from zoo.tasks.classification import right_class
from zoo.tasks.objectives import MASK_RATE, NOTHING, OBJECTIVES, ask
from zoo.tasks.task import RowMetric, Task
from zoo.tasks.totals import Step
from zoo.tasks.whole_step import WholeStep


class LanguageModelling(WholeStep, Task):
    """Minimise the negative log-likelihood of the tokens that are asked for, in nats a token.

        loss = -sum_t log softmax(model(ids))_t,target_t / T

    T is the number of predicted tokens of the whole optimizer step, over accumulated batches and processes alike, so the
    gradient is that of the one big batch whatever its parts (C9).

    Args:
        model: see `Task`, as are the arguments from `layer_decay` to `mode`.
        objective: "causal" (the next token), "prefix" (the next token behind a prefix that is seen whole), "masked" (hidden
            tokens); None: what the model says of itself.
        mask_rate: of "masked", the share of the tokens that are asked for, in training and evaluation alike; None: .15, BERT's.
            More of them teach more a step, and leave less to tell them by (Wettig et al. 2023); their losses do not compare.

    Shapes: a batch has ids [B, N], targets [B, N] (the next token; -100: none), mask, pos, documents, num_bytes, sample, seed,
        epoch (`datamodules.text.TextBatch`). The shift by one is made there alone.
    Logs: loss, accuracy, perplexity = exp(loss) and bits_per_byte = sum of nats / log 2 / bytes of the targets' text; of
        masked tokens, which are no text, loss and accuracy. test/tokens: how many were predicted.
    Raises: ZooError on an unknown objective, data that are no text, a masked one without a mask token.
    """

    learns = ("tokens",)
    monitor, mode = "loss", "min"
    counted: ClassVar[str] = "tokens"
    means = ("bits_per_byte",)

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        objective: str | None = None,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
        mask_rate: float | None = None,
    ):
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(objective=objective, mask_rate=mask_rate)
        self.objective = getattr(self.model, "objective", "causal") if objective is None else objective
        if self.objective not in OBJECTIVES:
            raise ZooError(f"task.objective={self.objective!r} is unknown; {nearest(str(objective), OBJECTIVES)}")
        self.mask_rate = MASK_RATE if mask_rate is None else mask_rate
        if isinstance(mask_rate, bool) or not isinstance(self.mask_rate, int | float) or not 0 < self.mask_rate < 1:
            raise ZooError(f"task.mask_rate={mask_rate} is not a share of the tokens; give a number between 0 and 1.")
        if mask_rate is not None and self.objective != "masked":
            raise ZooError(
                f"task.mask_rate is of task.objective=masked, and this model learns by {self.objective!r}; leave it out."
            )
        if self.model.num_classes:
            raise ZooError("The model's head is a classifier of texts; leave model.num_classes out.")

    @classmethod
    def outputs(cls, spec: Spec) -> int:
        """None beside the vocabulary, which is the data's. Raises: ZooError for data that are no text."""
        if spec.modality != "text":
            there = WORDS.get(spec.modality, spec.modality)
            raise ZooError(f"{cls.__name__} learns from text, and the data has {there}; take another task=.")
        return 0

    def step(self, batch: Any, stage: str) -> Step:
        asked = ask(self.objective, batch, self.model.tokenizer, self.mask_rate)
        how: dict[str, Any] = {} if asked.sees == getattr(self.model, "sees", None) else {"sees": asked.sees}
        if batch.documents is not None:
            how |= {"pattern": Documents(batch.documents), "pos": batch.pos}
        wanted = (asked.targets != NOTHING).flatten().nonzero()[:, 0]
        count, targets = len(wanted), asked.targets.flatten()
        if count < len(targets):
            targets, how["at"] = targets[wanted], wanted
        logits = self(asked.ids, batch.mask, **how)
        logits = logits if logits.ndim == 2 else logits.flatten(0, 1)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        nats = F.cross_entropy(wide, targets, reduction="sum")
        bits = {} if (size := self._bytes(batch, targets)) is None else {"bits_per_byte": (nats / math.log(2), size)}
        return Step(nats / max(count, 1), count, logits, targets, bits)

    def _bytes(self, batch: Any, targets: Tensor) -> int | None:
        """How many bytes of text the targets stand for; None where that is not known."""
        if self.objective == "causal":
            return None if batch.num_bytes is None else int(batch.num_bytes.sum())
        sizes = getattr(self.model.tokenizer, "token_bytes", None)
        if self.objective == "masked" or sizes is None:
            return None
        return int(torch.as_tensor(sizes)[targets.cpu()].sum())

    def metrics(self, stage: str) -> dict[str, RowMetric | Metric]:
        return {"accuracy": right_class}

    def derived(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"perplexity": values["loss"].exp()} if "loss" in values and self.objective != "masked" else {}
