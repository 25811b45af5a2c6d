"""Text: `data=python_docs`, `tinyshakespeare`, `textfile`, `chat`, `glosses`, `textcsv`. Batches are `TextBatch`es."""

from datamodules.text.batches import NOTHING, LabelledText, TextBatch

__all__ = ["NOTHING", "LabelledText", "TextBatch"]
