"""Conformal quantiles of a forecaster: from the errors on the validation windows, with the weights of today."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.series.base import Forecaster
from zoo.models.series.conformal import Conformal


def with_conformal(model: Any) -> Any:
    """A forecaster, or the config of one, with a `Conformal` around its head."""
    config = model.config if isinstance(model, Forecaster) else model
    if not isinstance(model, Forecaster | Mapping) or isinstance(getattr(model, "head", None), Conformal):
        return model
    if config is not None:
        head, path = config.get("head"), f"{Conformal.__module__}.{Conformal.__name__}"
        if not isinstance(head, Mapping) or head.get("_target_") != path:
            sizes = {name: config[name] for name in ("channels", "horizon")}
            config = {**config, "head": {"_target_": path, **({"head": dict(head)} if head else {}), **sizes}}
    if not isinstance(model, Forecaster):
        return config
    model.head = Conformal(model.head, model.channels, model.horizon)
    model.config = config
    return model


def validation_errors(task: Any, head: Conformal, data: Any) -> Tensor:
    """[windows, H, C, ...] of all processes, NaN where nothing was observed: what `Conformal.calibrate` takes.

    Args:
        task: in a loop of its trainer.
        data: its data module.
    """
    if data is None:
        raise ZooError(
            "task.conformal=true takes the errors on the validation windows, and there is no data module to take them "
            "from; test with datamodule=..., once."
        )
    mine = []
    with torch.no_grad(), task.trainer.precision_plugin.forward_context():
        for batch in data.val_dataloader():
            batch = {name: tensor.to(task.device) for name, tensor in batch.items()}
            errors = head.errors(task(*task.model.inputs(batch)), batch["future_values"])
            observed = batch.get("future_observed_mask")
            errors = errors if observed is None else errors.masked_fill(~observed.unsqueeze(-1), float("nan"))
            mine.append(errors.cpu())
    own = torch.cat(mine) if mine else torch.zeros(0, *head.offsets.shape)
    everyone = [own] * task.trainer.world_size
    if len(everyone) > 1:
        torch.distributed.all_gather_object(everyone, own)
    return torch.cat(everyone).to(task.device)
