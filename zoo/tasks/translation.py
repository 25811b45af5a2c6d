"""Saying one sequence for another: the next token of the target, given the source and what was said before."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from zoo.errors import ZooError
from zoo.spec import WORDS, PairSpec, Spec
from zoo.tasks.classification import right_class
from zoo.tasks.draws import uniform
from zoo.tasks.task import RowMetric, Task
from zoo.tasks.totals import Step
from zoo.tasks.whole_step import WholeStep


class Translation(WholeStep, Task):
    """Minimise the negative log-likelihood of targets, in nats a token:

        loss = -sum_t log p(y_t | y_<t, x) / T

    T is the number of target tokens of the whole optimizer step, the end token counted, padding not (C9). The shift by one,
    from what is read to what is asked, is made here alone.

    Args:
        model: see `Task`, as are the arguments after `exact_match`; a `zoo.models.pairs.base.PairModel`.
        label_smoothing: share of the probability that is spread over the vocabulary, in training alone (Szegedy et al. 2016,
            section 7); None: what the model's paper has.
        teacher_forcing: probability that a decoder reads the true token and not its own likeliest, drawn for each step and
            sentence, in training (Bengio et al. 2015, section 2.4); below 1 for models alone that step along a target.
        exact_match: whether validation and test say the share of targets that greedy decoding gets exactly right.

    Shapes: a batch has source [B, S], lengths [B], target [B, T], target_lengths [B], sample, seed, epoch
        (`datamodules.pairs.PairBatch`).
    Logs: loss, accuracy of the next token, perplexity = exp(loss), exact_match; test/tokens: how many were asked for.
    Raises: ZooError for settings out of range, teacher_forcing below 1 of a model that does not step, data that are no pairs.
    """

    learns = ("tokens",)
    monitor, mode = "loss", "min"
    counted: ClassVar[str] = "tokens"

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        label_smoothing: float | None = None,
        teacher_forcing: float = 1.0,
        exact_match: bool = True,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(label_smoothing=label_smoothing, teacher_forcing=teacher_forcing, exact_match=exact_match)
        if label_smoothing is None:
            label_smoothing = getattr(self.model, "label_smoothing", 0.0)
        if not 0 <= label_smoothing < 1:
            raise ZooError(f"task.label_smoothing={label_smoothing} is not a share; give a number from 0 to below 1.")
        if not 0 <= teacher_forcing <= 1:
            raise ZooError(f"task.teacher_forcing={teacher_forcing} is not a probability; give a number from 0 to 1.")
        if teacher_forcing < 1 and not getattr(self.model, "stepping", False):
            raise ZooError(
                f"task.teacher_forcing={teacher_forcing}: this {type(self.model).__name__} reads a target in one call: there "
                "is no step at which its own token could be fed; leave it out."
            )
        self.label_smoothing, self.teacher_forcing, self.exact_match = label_smoothing, teacher_forcing, exact_match
        self.means = ("exact_match",) if exact_match else ()

    @classmethod
    def outputs(cls, spec: Spec) -> int:
        """None beside the vocabulary, which is the data's. Raises: ZooError for data that are no pairs."""
        if not isinstance(spec, PairSpec):
            there = WORDS.get(spec.modality, spec.modality)
            raise ZooError(
                f"{cls.__name__} learns from pairs of sequences, and the data has {there}; take another task=."
            )
        return 0

    def step(self, batch: Any, stage: str) -> Step:
        given, asked = batch.target[:, :-1], batch.target[:, 1:]
        logits = (
            self._free(batch, given)
            if stage == "train" and self.teacher_forcing < 1
            else self(batch.source, given, batch.lengths)
        )
        there = torch.arange(asked.shape[1], device=asked.device) < (batch.target_lengths - 1)[:, None]
        logits, targets = logits[there], asked[there]
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        smoothing = self.label_smoothing if stage == "train" else 0.0
        nats = F.cross_entropy(wide, targets, reduction="sum", label_smoothing=smoothing)
        means = {} if stage == "train" or not self.exact_match else {"exact_match": self._exact(batch)}
        return Step(nats / max(len(targets), 1), len(targets), logits, targets, means)

    def _free(self, batch: Any, given: Tensor) -> Tensor:
        """Logits of a target of which some tokens are the model's own."""
        model: Any = self.model
        B, T = given.shape
        forced = uniform(batch.seed, batch.epoch, batch.sample, T, purpose=1) < self.teacher_forcing
        memory, state, token, found = model.encode(batch.source, batch.lengths), None, given[:, :1], []
        for t in range(T):
            logits, state = model.decode(token, memory, state)
            found.append(logits)
            own = logits[:, -1].argmax(-1)
            if t + 1 < T:
                token = torch.where(forced[:, t + 1], given[:, t + 1], own)[:, None]
        return torch.cat(found, 1) if found else given.new_zeros(B, 0, model.target_vocab).float()

    @torch.no_grad()
    def _exact(self, batch: Any) -> tuple[Tensor, float]:
        """How many targets of a batch greedy decoding says, and how many there are."""
        model: Any = self.model
        most = batch.target.shape[1] - 1
        ends = batch.target.gather(1, (batch.target_lengths - 1)[:, None])[:, 0]
        begin, end = int(batch.target[0, 0]), int(ends[0])
        made = model.generate(batch.source, batch.lengths, begin=begin, stop=end, max_new_tokens=most)
        n, asked = made.ids.shape[1], batch.target[:, 1:]
        said = F.pad(made.ids, (0, most - n), value=-1)
        beyond = torch.arange(most, device=asked.device) >= (batch.target_lengths - 1)[:, None]
        return ((said == asked) | beyond).all(1).sum(), float(len(batch))

    def metrics(self, stage: str) -> dict[str, RowMetric | Metric]:
        return {"accuracy": right_class}

    def derived(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"perplexity": values["loss"].exp()} if "loss" in values else {}
