"""The figures of a run of a model of pairs: where it looks while it says its own answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.errors import ZooError

PAIRS = 4  # test pairs that are drawn
LAYERS = 4  # of each


class PairFigures:
    """Draws from the test pairs of a trainer."""

    def draws(self) -> list[Callable]:
        """What there is to draw; each is called with trainer, task and file."""
        return [self.alignments]

    def alignments(self, trainer: Any, task: Any, png: Path) -> None:
        """What the model says of the first test pairs, greedy, and what it reads of each source token meanwhile: a panel for
        each layer that looks at the source, of its heads the mean."""
        from zoo.inspect.alignment import Panel, align, looking, plot_alignments

        model = task.model
        looking(model)  # a model that does not look back says nothing for this
        if trainer.datamodule is None:
            raise ZooError("there is no data module to take test pairs from.")
        batch = trainer.datamodule.test_rows(PAIRS)
        device = next(model.parameters()).device
        longest = 2 * batch.source.shape[1] + 10
        made = model.generate(batch.source.to(device), batch.lengths.to(device), max_new_tokens=longest)
        source, target, said = (
            [ids[:n] for ids, n in zip(rows.tolist(), lengths.tolist(), strict=True)]
            for rows, lengths in (
                (batch.source, batch.lengths), (batch.target, batch.target_lengths), (made.ids, made.lengths)
            )
        )  # fmt: skip
        panels = []
        for i, each in enumerate(align(model, source, said)):
            layers = len(each.weights)
            shown = (
                range(layers) if layers <= LAYERS else [round(k * (layers - 1) / (LAYERS - 1)) for k in range(LAYERS)]
            )
            right = "exactly right" if said[i] == target[i][1:] else "not exactly right"
            for layer in shown:
                title = right if layers == 1 else f"{right}\nlayer {layer}"
                panels.append(Panel(title, each.source, each.target, each.weights[layer].mean(0)))
        plot_alignments(panels, png, columns=len(shown) if layers > 1 else None)
