"""Text: `data=python_docs`, `tinyshakespeare`, `textfile`, `chat`, `glosses`, `textcsv`. Batches are `TextBatch`es."""

from datamodules.text.batches import NOTHING, LabelledText, TextBatch
from datamodules.text.corpus import Corpus, FileText, Text, Turns
from datamodules.text.module import TextData
from datamodules.text.sets import PythonDocs, TextFile, TinyShakespeare

__all__ = [
    "NOTHING", "Corpus", "FileText", "LabelledText", "PythonDocs", "Text", "TextBatch", "TextData", "TextFile",
    "TinyShakespeare", "Turns",
]  # fmt: skip
