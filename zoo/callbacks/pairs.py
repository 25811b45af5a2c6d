"""The figures of a run of a model of pairs: how good long sources fare, and where it looks while it says its own answer."""

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
        return [self.quality_by_length, self.alignments]

    def quality_by_length(self, trainer: Any, task: Any, png: Path) -> None:
        """BLEU, or of strings that are no words the share that is exactly right, against the length of the source."""
        from zoo.inspect.lengths import Line, plot_by_length
        from zoo.tasks.by_length import bins, quality, score

        if not (rows := task.predictions):
            raise ZooError("the test has said nothing in words or letters.")
        in_words, name = trainer.datamodule.in_words, type(task.model).__name__
        parts = bins(rows, in_words)
        line = Line([[score(each.rows, in_words).value for each in parts]])
        labels, counts = [each.label for each in parts], [len(each.rows) for each in parts]
        value = f"{score(rows, in_words).value:.1f}"
        title = f"{name}: {f'BLEU {value}' if in_words else f'{value} % exactly right'} of {len(rows):,}"
        how: Any = {"unit": "words" if in_words else "letters", "quality": quality(in_words), "title": title}
        plot_by_length({name: line}, labels, counts, png, **how)

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
