"""Masked patches: a model of series learns by filling in what was hidden of a window."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from zoo.errors import ZooError
from zoo.models.series.base import EXOGENOUS
from zoo.spec import Spec
from zoo.tasks.forecast_scores import absolute_error, squared_error
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.task import RowMetric, Task
from zoo.tasks.totals import Step
from zoo.tasks.whole_step import WholeStep

RANDOM = "zoo.layers.patch_masking.RandomPatches"


class MaskedPatches(WholeStep, Task):
    """Minimise the squared error of the hidden patches of the lookback, over the cells that were observed.

        loss = sum (x - model(x, hidden))^2 / count,    over hidden patches, of windows as the model norms them

    A share `ratio` of each channel's patches is hidden, each channel's own. Patches do not overlap, or a hidden one could be
    read off its neighbours. In training the draw is fresh, in validation and test a function of what the window holds: figures
    are the same at any batch size and on any number of processes (bug 21). The horizon is not looked at.

    Args:
        model: one with a `masking` and `reconstruct`, as PatchTST; see `Task`, as are the arguments after `ratio`.
        ratio: of the patches that are hidden; None: as the model's `masking` has it.

    Logs: loss, mse (the same), mae; test/samples, windows.
    Raises: ZooError on a model that hides no patches, or whose patches overlap.
    Source: Nie et al. 2023, section 3.2.
    """

    learns = ("values",)
    monitor, mode = "loss", "min"

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        ratio: float | None = None,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(ratio=ratio)
        if getattr(self.model, "masking", None) is None:
            raise ZooError(
                f"task=masked_patches is for models that fill in hidden patches, and {type(self.model).__name__} as it is "
                "built hides none; take model=patchtst."
            )
        cut: Any = self.model.patch_embed
        if cut.stride < cut.patch or cut.padding:
            raise ZooError(
                f"task=masked_patches: patches of {cut.patch} steps, {cut.stride} apart, overlap, and a hidden one could be "
                "read off its neighbours; take model.stride as model.patch, and model.end_padding=false."
            )

    @classmethod
    def of_model(cls, model: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
        """Of a model with patches those that do not overlap, of which some are hidden."""
        if "patch" not in model:
            raise ZooError("task=masked_patches is for models of patches; take model=patchtst.")
        masking = {"_target_": RANDOM, **(model.get("masking") or {})}
        masking |= {} if task.get("ratio") is None else {"ratio": task["ratio"]}
        return {**model, "masking": masking, "stride": model["patch"], "end_padding": False}

    @classmethod
    def outputs(cls, spec: Spec) -> int:
        return Forecasting.outputs(spec)

    def step(self, batch: Mapping[str, Tensor], stage: str) -> Step:
        model: Any = self.model
        past, columns = batch["past_values"], [batch.get(name) for name in EXOGENOUS]
        hidden = None if stage == "train" else self.hidden(past)
        found = model.reconstruct(past, batch.get("past_observed_mask"), hidden, columns)
        asked = found.mask.unsqueeze(-1).expand(found.patches.shape)
        asked = asked if found.observed is None else asked & found.observed
        made, true = found.out[asked], found.patches[asked].detach()
        loss = squared_error(made.to(torch.promote_types(made.dtype, torch.float32)), true).sum()
        return Step(loss / max(len(made), 1), len(made), made, true, samples=len(past))

    def hidden(self, past: Tensor) -> Tensor:
        """[B, C, N] bool: what is hidden of each window, by its own content."""
        model: Any = self.model
        drawn = []
        for seed in fingerprints(past).tolist():
            drawn.append(model.masking.draw(1, model.channels, model.num_patches, torch.Generator().manual_seed(seed)))
        found = torch.cat(drawn)
        found[:, list(model.masking.shown)] = False
        return found.to(past.device)

    def metrics(self, stage: str) -> dict[str, RowMetric | Metric]:
        return {"mse": squared_error, "mae": absolute_error}


def fingerprints(windows: Tensor) -> Tensor:
    """[B] whole numbers from 0 to 2^62, of the bits of windows [B, ...], the same on every device."""
    bits = windows.detach().float().contiguous().flatten(1).view(torch.int32).long()
    odd = 2 * torch.arange(bits.shape[1], device=bits.device) + 1
    return (bits * odd * 2654435761).sum(1) & (2**62 - 1)
