"""Whole words: the vocabulary of the papers before sub-words, put together to plain text again.

    A man's t-shirt.    ->    A  man  ##'  ##s  t  ##-  ##shirt  ##.

A word is a run of letters and digits, any other sign a word by itself; "##" marks what has no space before it, as WordPiece
does. So a word is one token wherever it stands, and text comes back as it was, but for what was no known word (<unk>) and for
runs of spaces.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
MARK = "##"
#: Between two signs without a space between them, one of which at least is no letter or digit.
SEAM = r"(?<=\S)(?=[^\w\s])|(?<=[^\w\s])(?=\S)"


def words(texts: Iterable[str], special: Sequence[str], lower: bool, min_count: int) -> Any:
    """A tokenizer of the library: the special tokens, then words seen `min_count` times or more, the most frequent first."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    seams = normalizers.Replace(Regex(SEAM), f" {MARK}")
    normalizer = normalizers.Sequence([normalizers.Lowercase(), seams]) if lower else seams
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text).split())
    often = sorted(
        (word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word)
    )
    known = dict.fromkeys([*special, *often])
    inner = Tokenizer(models.WordLevel({word: id for id, word in enumerate(known)}, unk_token="<unk>"))
    inner.normalizer, inner.pre_tokenizer = normalizer, pre_tokenizers.WhitespaceSplit()
    inner.decoder = decoders.WordPiece(prefix=MARK, cleanup=False)
    inner.add_special_tokens([AddedToken(name, special=True) for name in special])
    return inner
