"""Text: `data=python_docs`, `tinyshakespeare`, `textfile`, `chat`, `glosses`, `textcsv`, `jsonl`,
`senses`, `squad`, `stories`, `conll`, `doc_terms`."""

from datamodules.text.batches import NOTHING, LabelledText, SpanText, TaggedText, TextBatch
from datamodules.text.chat import Chat
from datamodules.text.conll import Conll
from datamodules.text.corpus import Corpus, FileText, Tagged, Text, Turns
from datamodules.text.doc_terms import DocTerms
from datamodules.text.jsonl import Jsonl
from datamodules.text.labelled import Glosses, TextCsv
from datamodules.text.module import TextData
from datamodules.text.questions import Question, QuestionCorpus, QuestionData
from datamodules.text.senses import Senses
from datamodules.text.sets import PythonDocs, TextFile, TinyShakespeare
from datamodules.text.squad import Squad
from datamodules.text.stories import Stories
from datamodules.text.tagged import TaggedData

__all__ = [
    "NOTHING", "Chat", "Conll", "Corpus", "DocTerms", "FileText", "Glosses", "Jsonl", "LabelledText", "PythonDocs",
    "Question", "QuestionCorpus", "QuestionData", "Senses", "SpanText", "Squad", "Stories", "Tagged", "TaggedData",
    "TaggedText", "Text", "TextBatch", "TextCsv", "TextData", "TextFile", "TinyShakespeare", "Turns",
]  # fmt: skip
