"""The figure of a run of a captioner: where it looks while it says each word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.errors import ZooError

IMAGES = 4  # test images that are drawn


class CaptionFigures:
    """Draws from the test images of a trainer."""

    def draws(self) -> list[Callable]:
        """What there is to draw; each is called with trainer, task and file."""
        return [self.captions]

    def captions(self, trainer: Any, task: Any, png: Path) -> None:
        """What the model says of the first test images, greedy, and where it looks meanwhile; of the last layer the mean of its
        heads."""
        from zoo.inspect.captions import Shown, choose, look, plot_captions
        from zoo.inspect.preprocess import to_pixels

        model, data = task.model, trainer.datamodule
        if data is None:
            raise ZooError("there is no data module to take test images from.")
        batch, references = data.test_rows(IMAGES), data.references("test")
        images = batch.source.to(next(model.parameters()))
        made, shown = model.generate(images), []
        for i, ids in enumerate(ids[:n] for ids, n in zip(made.ids.tolist(), made.lengths.tolist(), strict=True)):
            looked = look(model, images[i : i + 1], ids)
            said = model.tokenizer.decode([id for id in ids if id != model.tokenizer.eos])
            right = said if said in references[i] else f"{said}\nnot: {references[i][0]}"
            pixels = to_pixels(batch.source[i : i + 1], model.preprocess)[0]
            shown.append(Shown(right, pixels, looked.words, choose(looked)))
        plot_captions(shown, png)
