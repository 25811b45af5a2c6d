"""GPT-2's tokenizer (Radford et al. 2019), of its published encoder.json and vocab.bpe."""

import json
from pathlib import Path

from zoo.errors import ZooError, one_line
from zoo.text.library import LibraryTokenizer

#: The published files and their sha256.
FILES = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
END = "<|endoftext|>"


def gpt2(encoder: str | Path, merges: str | Path) -> LibraryTokenizer:
    """The 50,257 tokens of GPT-2; `<|endoftext|>` both begins and ends a document.

    Args:
        encoder: encoder.json, token -> id.
        merges: vocab.bpe, a merge a line behind a line with the version.
    Raises: ZooError for files that are something else. Whether they are the published ones, who found them has checked (FILES).
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    try:
        vocab = json.loads(Path(encoder).read_text(encoding="utf-8"))
        lines = Path(merges).read_text(encoding="utf-8").split("\n")[1:]
        pairs = [(left, right) for left, right in (line.split() for line in lines if line)]
        inner = Tokenizer(models.BPE(vocab, pairs))
    except Exception as error:  # of files, of JSON, and the library has no error of its own
        raise ZooError(f"{encoder} and {merges} are no encoder.json and vocab.bpe: {one_line(error, 200)}") from error
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(END, special=True)])
    return LibraryTokenizer(inner, "gpt2", pad=None, mask=None, unk=None)
