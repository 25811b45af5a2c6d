"""Text: `data=python_docs`, `tinyshakespeare`, `textfile`, `chat`, `glosses`, `textcsv`, `jsonl`, `senses`."""

from datamodules.text.batches import NOTHING, LabelledText, TextBatch
from datamodules.text.chat import Chat
from datamodules.text.corpus import Corpus, FileText, Text, Turns
from datamodules.text.jsonl import Jsonl
from datamodules.text.labelled import Glosses, TextCsv
from datamodules.text.module import TextData
from datamodules.text.senses import Senses
from datamodules.text.sets import PythonDocs, TextFile, TinyShakespeare

__all__ = [
    "NOTHING", "Chat", "Corpus", "FileText", "Glosses", "Jsonl", "LabelledText", "PythonDocs", "Senses", "Text", "TextBatch",
    "TextCsv", "TextData", "TextFile", "TinyShakespeare", "Turns",
]  # fmt: skip
