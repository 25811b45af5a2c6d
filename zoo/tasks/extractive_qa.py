"""Extractive question answering: where in a text the answer to a question begins and ends."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.models.language.spans import best_span, span_logits
from zoo.spec import Spec
from zoo.tasks.task import Task
from zoo.tasks.totals import Step
from zoo.tasks.whole_step import WholeStep


class ExtractiveQA(WholeStep, Task):
    """Minimise the mean of two cross-entropies over the tokens of each question's context (Devlin et al. 2019, section 4.2):

        loss = -(log p_start(i) + log p_end(j)) / 2,    p_start = softmax_t(s_t), p_end = softmax_t(e_t),
        answer = text of the span i <= j < i + max_answer_length of the largest s_i + e_j

    with (s_t, e_t) the model's two numbers of token t; of the question and of special tokens they count nowhere. A context
    longer than a row comes in overlapping windows, all in one batch: each of its tokens counts once, in the window in which it
    stands farthest from both ends, and the softmax is over the whole context (Clark and Gardner 2018, section 3.4: shared
    normalisation; the papers' own code normalises each window by itself, and leaves out those without the answer).

    Args:
        model: see `Task`, as are the arguments after `max_answer_length`; one that gives two numbers a token.
        max_answer_length: tokens of an answer, at most.

    Shapes: a batch is a `datamodules.text.SpanText` of B questions in R windows.
    Logs: loss of the first answer; of validation and test exact_match and f1, SQuAD's of the answer that is nearest (Rajpurkar
        et al. 2016, section 6.1; torchmetrics), as shares of 1; test/samples: questions, each once.
    Raises: ZooError for a model that says nothing of each token, or a length below 1.
    """

    learns = ("span",)
    monitor, mode = "exact_match", "max"
    means = ("exact_match", "f1")

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        max_answer_length: int = 30,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(max_answer_length=max_answer_length)
        if type(max_answer_length) is not int or max_answer_length < 1:
            raise ZooError(f"task.max_answer_length={max_answer_length} is not a number of tokens; give 1 or more.")
        if not getattr(self.model, "per_token", False) or self.model.num_classes != 2:
            raise ZooError(
                f"This {type(self.model).__name__} does not give two numbers a token, for the beginning and the end of an "
                "answer; take model=bert."
            )
        self.max_answer_length = max_answer_length

    @classmethod
    def outputs(cls, spec: Spec) -> int:
        """Two: of the beginning and of the end. Raises: ZooError for data without spans."""
        super().outputs(spec)
        return 2

    def step(self, batch: Any, stage: str) -> Step:
        logits = span_logits(self(*self.model.inputs(batch)), batch.places)
        start, end = logits.to(torch.promote_types(logits.dtype, torch.float32)).unbind(-1)
        loss = (F.cross_entropy(start, batch.start) + F.cross_entropy(end, batch.end)) / 2
        means = {} if stage == "train" else self._scores(batch, start.detach(), end.detach())
        return Step(loss, len(batch.start), logits, None, means)

    def _scores(self, batch: Any, start: Tensor, end: Tensor) -> dict[str, tuple[Tensor, float]]:
        """The sums of exact match and F1 over the questions of a batch, and how many there are."""
        said = texts(batch, *best_span(start, end, self.max_answer_length)[:2])
        pairs = [squad(*each) for each in zip(said, batch.answers, strict=True)]
        sums = torch.tensor(pairs, dtype=torch.float64).sum(0).to(start)
        return {name: (total, float(len(said))) for name, total in zip(self.means, sums, strict=True)}


def texts(batch: Any, first: Tensor, last: Tensor) -> list[str]:
    """The characters of the tokens first [B] to last [B] of each context."""
    starts = batch.starts.gather(1, first[:, None])[:, 0].tolist()
    ends = batch.ends.gather(1, last[:, None])[:, 0].tolist()
    return [context[i:j] for context, i, j in zip(batch.contexts, starts, ends, strict=True)]


def squad(said: str, answers: tuple[str, ...]) -> tuple[float, float]:
    """(exact match, F1) of one answer, shares of 1: SQuAD's, without case, punctuation and articles, of the best of the
    answers."""
    from torchmetrics.functional.text import squad as of_torchmetrics

    target: Any = {"answers": {"answer_start": [0] * len(answers), "text": list(answers)}, "id": ""}
    found = of_torchmetrics({"prediction_text": said, "id": ""}, target)
    return float(found["exact_match"]) / 100, float(found["f1"]) / 100
