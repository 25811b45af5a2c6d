"""Saying one sequence for another: the next token of the target, given the source and what was said before."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from zoo.errors import ZooError
from zoo.spec import WORDS, PairSpec, Spec
from zoo.tasks.bleu import bleu as count
from zoo.tasks.bleu import package
from zoo.tasks.classification import right_class
from zoo.tasks.decoding import Decoding, Said, asked, columns, of_all, predictions
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
        exact_match: whether validation, by greedy decoding, and test say the share of targets that are exactly right.
        decode: how a test says its targets: {num_beams, max_new_tokens, length_penalty}, see `zoo.tasks.decoding.Decoding`.
        bleu: whether a test whose targets are words says BLEU, by the package sacrebleu.

    Shapes: a batch has source [B, S], lengths [B], target [B, T], target_lengths [B], sample, seed, epoch
        (`datamodules.pairs.PairBatch`).
    Logs: loss, accuracy of the next token, perplexity = exp(loss), exact_match; test/tokens: how many were asked for; test/bleu
        and, of small letters, test/bleu_lc, on whole texts, each once whatever the processes; `signatures` of how. After a test
        `predictions` are its rows in words.
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
        decode: Mapping[str, Any] | None = None,
        bleu: bool = True,
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
        self.remember(decode=decode or {}, bleu=bleu)
        self.decode, self.bleu = Decoding.of(decode), bleu
        self.label_smoothing, self.teacher_forcing, self.exact_match = label_smoothing, teacher_forcing, exact_match
        self.means = ("exact_match",) if exact_match else ()
        self._said: Said = {}

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
        said = self._say(batch, stage)
        means = {"exact_match": self._exact(batch, said)} if self.exact_match and said is not None else {}
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

    # ---- what is said

    @property
    def _texts(self) -> Any:
        """The data, where it knows its pairs as texts; else None."""
        data = getattr(self._trainer, "datamodule", None)
        return data if hasattr(data, "references") and self.model.tokenizer is not None else None

    @property
    def _scored(self) -> bool:
        """Whether a test says BLEU."""
        return self.bleu and self._texts is not None and self._texts.in_words

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self._scored:
            package()  # it is missed before a training, not after

    def on_test_epoch_start(self) -> None:
        super().on_test_epoch_start()
        self._said, self.predictions, self.signatures = {}, [], {}

    def _say(self, batch: Any, stage: str) -> Said | None:
        """What is said for the rows of a batch, where it is asked: greedily but in a test."""
        if stage == "train" or not (self.exact_match or (stage == "test" and self._texts is not None)):
            return None
        if stage == "test":
            said = self.decode.say(self.model, batch)
            self._said |= said
            return said
        return Decoding(max_new_tokens=max(int(batch.target_lengths.max()) - 1, 1)).say(self.model, batch)

    def _exact(self, batch: Any, said: Said) -> tuple[Tensor, float]:
        """How many targets of a batch are said, and how many there are."""
        right = sum(said[row] == ids for row, ids in asked(batch).items())
        return torch.tensor(right, device=batch.target.device), float(len(batch))

    def on_test_epoch_end(self) -> None:
        if self._texts is not None:
            said = of_all(self._said, self.trainer.world_size)
            self.predictions = predictions(said, self._texts, self.model.tokenizer.decode)
            for name, lowercase in (("test/bleu", False), ("test/bleu_lc", True)) if self._scored else ():
                found = count(*columns(self.predictions), lowercase)
                self.log(name, found.score, batch_size=1, sync_dist=True)
                self.signatures[name] = found.signature
        super().on_test_epoch_end()

    def metrics(self, stage: str) -> dict[str, RowMetric | Metric]:
        return {"accuracy": right_class}

    def derived(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"perplexity": values["loss"].exp()} if "loss" in values else {}
