"""Text: `data=python_docs`, `tinyshakespeare`, `textfile`, `chat`, `glosses`, `textcsv`, `jsonl`,
`senses`, `squad`, `stories`."""

from datamodules.text.batches import NOTHING, LabelledText, SpanText, TextBatch
from datamodules.text.chat import Chat
from datamodules.text.corpus import Corpus, FileText, Text, Turns
from datamodules.text.jsonl import Jsonl
from datamodules.text.labelled import Glosses, TextCsv
from datamodules.text.module import TextData
from datamodules.text.questions import Question, QuestionCorpus, QuestionData
from datamodules.text.senses import Senses
from datamodules.text.sets import PythonDocs, TextFile, TinyShakespeare
from datamodules.text.squad import Squad
from datamodules.text.stories import Stories

__all__ = [
    "NOTHING", "Chat", "Corpus", "FileText", "Glosses", "Jsonl", "LabelledText", "PythonDocs", "Question", "QuestionCorpus",
    "QuestionData", "Senses", "SpanText", "Squad", "Stories", "Text", "TextBatch", "TextCsv", "TextData", "TextFile",
    "TinyShakespeare", "Turns",
]  # fmt: skip
