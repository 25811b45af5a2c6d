"""What general compressors make of a text that follows another: gzip and xz beside a language model's bits per byte.

    8 (|c(train + test)| - |c(train)|) / |test|

The compressor has seen the training part when it comes to the test part, as the model has; of it gzip remembers 32 KiB, xz all.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterable
from itertools import chain

MOST = 2**25  # bytes of each part that are looked at: the end of the training part, the beginning of the test part
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip -9": lambda text: zlib.compress(text, 9),
    "xz": lambda text: lzma.compress(text, preset=9),
}


def bits_per_byte(train: Iterable[str | bytes], test: Iterable[str | bytes], most: int = MOST) -> dict[str, float]:
    """Bits that each compressor adds for a byte of the test part; empty where that part is.

    Args:
        train: the texts of the training part; one follows another, with a new line between them.
        test: those of the test part.
        most: bytes of each part. Of a longer training part the last are taken, of a longer test part the first.
    """
    before, after = joined(train, most, last=True), joined(test, most)
    if not after:
        return {}
    both = before + after
    return {name: 8 * (len(c(both)) - len(c(before))) / len(after) for name, c in COMPRESSORS.items()}


def joined(texts: Iterable[str | bytes], most: int, last: bool = False) -> bytes:
    """The texts behind each other as bytes, a new line after each; the first `most` of these, or the last."""
    found = bytearray()
    for part in chain.from_iterable((text.encode() if isinstance(text, str) else text, b"\n") for text in texts):
        found += part
        if last and len(found) > 2 * most:
            del found[:-most]
        elif not last and len(found) >= most:
            break
    return bytes(found[-most:] if last else found[:most])
