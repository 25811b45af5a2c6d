"""A text of the model's own after each validation: what a loss does not tell."""

import json
import logging
import re
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule

from zoo.errors import ZooError, printable
from zoo.files import write_text
from zoo.models import Model

log = logging.getLogger(__name__)
BEGINNING = 24  # letters of a validation text that stand in for a prompt where the tokenizer has no beginning of a text


class Sample(Callback):
    """After each validation, let a causal language model write a text; log it, and keep it in `<folder>/samples.jsonl`.

    A line a validation: {"epoch", "step", "prompt", "text"}. The text depends on the weights and `seed` alone, so texts of two
    validations differ by what was learned between them; no random number of the training is used. A resumed run goes on
    where it was, and what an interrupted run had written beyond that is replaced. Nothing for other models, in a check
    before training, or under fast_dev_run.

    Args:
        folder: the run folder.
        prompt: what it goes on with; None: the beginning of a text or, of a tokenizer without one, of a validation text.
        tokens: how many at most.
        temperature: below 1 the likelier tokens become likelier still.
        seed: of what is drawn.
    """

    def __init__(
        self, folder: str, prompt: str | None = None, tokens: int = 96, temperature: float = 0.8, seed: int = 0
    ):
        if tokens < 1 or temperature < 0:
            raise ZooError(
                f"callbacks.sample.tokens={tokens} and temperature={temperature}: give 1 or more, and 0 or more."
            )
        self.file, self.prompt = Path(folder) / "samples.jsonl", prompt
        self.tokens, self.temperature, self.seed = tokens, temperature, seed

    def on_validation_end(self, trainer: Any, pl_module: LightningModule) -> None:
        task: Any = pl_module
        if trainer.sanity_checking or trainer.fast_dev_run or not trainer.is_global_zero or not writes(task.model):
            return
        try:
            prompt = self._prompt(task.model, trainer.datamodule)
            text = self._text(task.model, prompt)
        except ZooError as error:
            return log.info("no sample: %s", error)
        except Exception:  # it must not cost the run its training
            return log.warning("no sample could be drawn", exc_info=True)
        log.info("sample: %s", re.sub(r"\n\s*\n", "\n", printable(prompt + text, kept="\n\t").strip("\n")))
        self._keep({"epoch": trainer.current_epoch, "step": trainer.global_step, "prompt": prompt, "text": text})

    def _text(self, model: Any, prompt: str) -> str:
        from zoo.generation import text

        room = model.context - len(model.tokenizer.prompt(prompt))
        if room < 1:
            raise ZooError(f"the prompt fills the model's context of {model.context} tokens.")
        how: dict[str, Any] = {"temperature": self.temperature, "seed": self.seed, "stop": []}
        (made,) = text(model, [prompt], min(self.tokens, room), **how)
        return made

    def _prompt(self, model: Any, data: Any) -> str:
        if self.prompt is not None or model.tokenizer.bos is not None:
            return self.prompt or ""
        return next(iter(data.texts("val")), "\n")[: min(BEGINNING, max(model.context // 2, 1))]

    def _keep(self, sample: dict[str, Any]) -> None:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        before = [line for line in lines if json.loads(line)["step"] < sample["step"]]
        write_text(self.file, "\n".join([*before, json.dumps(sample)]) + "\n")


def writes(model: Model) -> bool:
    """Whether a model can go on with a text: a causal language model with its tokenizer and its head over the tokens."""
    from zoo.models.language.base import LanguageModel

    return (
        isinstance(model, LanguageModel)
        and model.objective == "causal"
        and not model.num_classes
        and model.tokenizer is not None
    )
