"""The figures of a finished run. What is drawn is in zoo.inspect; here is when, and from what."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import one_hot

from zoo.callbacks.captions import CaptionFigures
from zoo.callbacks.checkpoint import chooser
from zoo.callbacks.pairs import PairFigures
from zoo.callbacks.series import SeriesFigures
from zoo.errors import ZooError
from zoo.models import GraphModel, Model

log = logging.getLogger(__name__)
WORDS = 24  # tokens of a test text whose attention is drawn


class Figures(Callback):
    """After a test, draw into `<folder>/figures` what the data allows.

    Learning curves; a confusion matrix where the task counts one; of a model of images attention_maps of
    `datamodule.test_images(n)`; of one of graphs neighbourhood and attention_entropy of `datamodule.example()`; of one
    of text token_attention of the beginning of `datamodule.test_rows(1)`; of one of series forecasts, error_by_step,
    attention_maps and, where it gives probabilities, calibration of the test windows; of one of pairs quality_by_length
    of the test's rows and alignments of the first test pairs; of a captioner captions of the first test images. A
    figure that cannot be drawn (a model
    without attention, a run that only tested) is left out with a line in the log: it must not cost the run its
    results. Not drawn under fast_dev_run.

    Args:
        folder: the run folder; metrics.csv is read from it.
        images: how many test images the attention maps show.
    """

    def __init__(self, folder: str, images: int = 6):
        self.folder, self.images = Path(folder), images

    def on_test_end(self, trainer: Any, pl_module: LightningModule) -> None:
        task: Any = pl_module
        if not trainer.is_global_zero or trainer.fast_dev_run:
            return
        for logger in trainer.loggers:
            logger.save()  # rows may still be on their way to metrics.csv
        draws = [self.learning_curves, self.confusion_matrix] if "confusion" in task.results else [self.learning_curves]
        if "image" in task.model.reads:
            draws.append(self.attention_maps)
        if isinstance(task.model, GraphModel):
            draws += [self.neighbourhood, self.attention_entropy]
        if "text" in task.model.reads:
            draws.append(self.token_attention)
        if "series" in task.model.reads and task.forecasts:
            draws += SeriesFigures().draws()
        if "pairs" in task.model.reads:
            draws += PairFigures().draws()
        if "captions" in task.model.reads:
            draws += CaptionFigures().draws()
        for draw in draws:
            png = self.folder / "figures" / f"{draw.__name__}.png"
            _try(draw, trainer, task, png)

    def learning_curves(self, trainer: Trainer, task: Any, png: Path) -> None:
        from zoo.inspect.plots import learning_curves

        path = self.folder / "metrics.csv"
        if not path.is_file():
            raise ZooError(f"{path} is missing; the run logged nothing (logger=csv writes it).")
        of_best = getattr(chooser(trainer), "logged", {})
        chosen = of_best["epoch"] + 1 if "epoch" in of_best else None
        learning_curves(path, png, task.monitor, task.mode, chosen)

    def confusion_matrix(self, trainer: Trainer, task: Any, png: Path) -> None:
        from zoo.inspect.plots import confusion_matrix

        counts = task.results["confusion"]
        confusion_matrix(counts, _classes(task.model, len(counts)), png)

    def attention_maps(self, trainer: Any, task: Any, png: Path) -> None:
        from zoo.inspect.maps import attention_maps
        from zoo.inspect.predictions import predict
        from zoo.inspect.preprocess import to_pixels
        from zoo.preprocess import Preprocess

        data = trainer.datamodule
        images, labels = data.test_images(self.images)
        outputs, maps = predict(task.model, images)
        if maps is None:
            raise ZooError(f"{type(task.model).__name__} has no attention to patches.")
        titles = _titles(task.model, labels, outputs)
        attention_maps(to_pixels(images, Preprocess(**data.preprocess)), maps, png, titles)

    def neighbourhood(self, trainer: Any, task: Any, png: Path) -> None:
        from zoo.inspect import interesting_node, plot_neighbourhood, weights_of

        graph = trainer.datamodule.example()
        weights = next(iter(weights_of(task.model, graph).values()))
        labels = _node_labels(graph) if task.model.targets != "numbers" else None
        plot_neighbourhood(weights, interesting_node(weights, labels), png, labels, task.model.classes)

    def attention_entropy(self, trainer: Any, task: Any, png: Path) -> None:
        from zoo.inspect import plot_entropy, weights_of

        graph = trainer.datamodule.example()
        plot_entropy(weights_of(task.model, graph), graph.num_nodes, png)

    def token_attention(self, trainer: Any, task: Any, png: Path) -> None:
        from zoo.inspect.tokens import TOKENS, choose, plot_tokens, read

        row = trainer.datamodule.test_rows(1)
        shown = torch.ones_like(row.ids[0], dtype=torch.bool) if row.mask is None else row.mask[0]
        if row.documents is not None:  # the first of them: they do not see each other
            shown = shown & (row.documents[0] == row.documents[0][shown][0])
        segments = getattr(row, "segments", None)  # a question and what it is about, as far as a figure can show them
        count = WORDS if segments is None else TOKENS
        ids = row.ids[0][shown][:count].tolist()
        kinds = None if segments is None else segments[0][shown][:count].tolist()
        plot_tokens(choose(read(task.model, ids, kinds).weights), [task.model.tokenizer.token(id) for id in ids], png)


def _node_labels(graph: Any) -> Tensor | None:
    """Labels of nodes, -1 where `scored` says that a node has none; None where it is graphs that are labelled."""
    labels, batch, scored = (graph.get(name) for name in ("labels", "batch", "scored"))
    if labels is None or (batch is not None and len(labels) != len(batch)):
        return None
    return labels if scored is None or labels.ndim > 1 else labels.where(scored, -1)


def _titles(model: Model, targets: Tensor, outputs: Tensor) -> list[str]:
    """What each image is, and what the model says where that is something else."""
    names = _classes(model, outputs.shape[-1])

    def word(row: list[float]) -> str:
        if model.targets == "numbers":
            return " ".join(f"{number:.3g}" for number in row)
        return ", ".join(name for name, yes in zip(names, row, strict=True) if yes) or "none"

    said = outputs
    if model.targets == "class":
        said = one_hot(outputs.argmax(-1), len(names))
        targets = one_hot(targets, len(names))
    elif model.targets == "labels":
        said = outputs > 0
    pairs = zip(map(word, targets.tolist()), map(word, said.tolist()), strict=True)
    return [true if true == answer else f"{true}\nnot {answer}" for true, answer in pairs]


def _classes(model: Model, n: int) -> list[str]:
    """Names of the classes, their numbers where nobody has told."""
    return list(model.classes or map(str, range(n)))


def _try(draw: Callable, trainer: Trainer, task: LightningModule, png: Path) -> None:
    try:
        draw(trainer, task, png)
    except ZooError as error:
        log.info("%s is left out: %s", png.name, error)
    except Exception:  # a figure must not cost the run its results
        log.warning("%s could not be drawn", png.name, exc_info=True)
