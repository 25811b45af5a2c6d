"""The figures of a finished run. What is drawn is in zoo.inspect; here is when, and from what."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from zoo.errors import ZooError

log = logging.getLogger(__name__)


class Figures(Callback):
    """After a test, draw learning curves, confusion matrix and attention maps into `<folder>/figures`.

    A figure that cannot be drawn (a model without attention, a run that only tested) is left out with a line in the
    log: it must not cost the run its results. Not drawn under fast_dev_run.

    Args:
        folder: the run folder; metrics.csv is read from it.
        images: how many test images the attention maps show.
    """

    def __init__(self, folder: str, images: int = 6):
        self.folder, self.images = Path(folder), images

    def on_test_end(self, trainer: Any, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:
            return
        for logger in trainer.loggers:
            logger.save()  # rows may still be on their way to metrics.csv
        for draw in (self.learning_curves, self.confusion_matrix, self.attention_maps):
            png = self.folder / "figures" / f"{draw.__name__}.png"
            _try(draw, trainer, pl_module, png)

    def learning_curves(self, trainer: Trainer, task: LightningModule, png: Path) -> None:
        from zoo.inspect.plots import learning_curves

        path = self.folder / "metrics.csv"
        if not path.is_file():
            raise ZooError(f"{path} is missing; the run logged nothing (logger=csv writes it).")
        learning_curves(path, png)

    def confusion_matrix(self, trainer: Trainer, task: LightningModule, png: Path) -> None:
        from zoo.inspect.plots import confusion_matrix

        counts = getattr(task, "confusion", None)
        if counts is None:
            raise ZooError(f"{type(task).__name__} counts no confusion matrix.")
        confusion_matrix(counts, _classes(trainer, len(counts)), png)

    @torch.no_grad()
    def attention_maps(self, trainer: Any, task: Any, png: Path) -> None:
        from zoo.attention import record_attention
        from zoo.inspect.maps import attention_maps, patch_attention

        model, data = task.model, trainer.datamodule
        images, labels = data.test_images(self.images)
        with record_attention(model) as recorded:
            # forward, not a call: it is the plain model even where the call is compiled.
            logits = model.eval().forward(images.to(task.device))
        if not recorded:
            raise ZooError("no attention was recorded.")
        last = list(recorded.values())[-1]
        class_token = getattr(model, "cls_token", None) is not None
        maps = patch_attention(last, model.grid, model.num_prefix_tokens, class_token)
        names = _classes(trainer, logits.shape[-1])
        pairs = zip(labels.tolist(), logits.argmax(-1).tolist(), strict=True)
        titles = [names[true] if true == said else f"{names[true]}\nnot {names[said]}" for true, said in pairs]
        mean, std = (torch.tensor(data.preprocess[key]).view(-1, 1, 1) for key in ("mean", "std"))
        attention_maps(images.cpu() * std + mean, maps, png, titles)


def _classes(trainer: Any, n: int) -> list[str]:
    """Names of the classes, their numbers where the data give none."""
    return list(getattr(trainer.datamodule, "classes", None) or map(str, range(n)))


def _try(draw: Callable, trainer: Trainer, task: LightningModule, png: Path) -> None:
    try:
        draw(trainer, task, png)
    except ZooError as error:
        log.info("%s is left out: %s", png.name, error)
    except Exception:
        log.warning("%s could not be drawn", png.name, exc_info=True)
