"""Tokenizers: text to ids and back; made of training text, of GPT-2's files, or of a tokenizer.json.

from zoo.text import train_tokenizer, from_file
tokenizer = train_tokenizer("bpe", texts, vocab_size=4096)
tokenizer.encode("a text"), tokenizer.decode([12, 7]), tokenizer.vocab_size, tokenizer.eos
tokenizer.save("tokenizer.json"); Tokenizer.load("tokenizer.json") == tokenizer
"""

from zoo.text.base import Tokenizer
from zoo.text.decoding import Decoding
from zoo.text.files import from_file, from_text
from zoo.text.gpt2 import gpt2
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import Bytes, Characters
from zoo.text.train import train_tokenizer

__all__ = [
    "Bytes", "Characters", "Decoding", "LibraryTokenizer", "Tokenizer", "from_file", "from_text", "gpt2", "train_tokenizer",
]  # fmt: skip
