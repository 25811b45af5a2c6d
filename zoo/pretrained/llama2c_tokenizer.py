"""llama2.c's tokenizer.bin: for each id a score and the bytes of its piece. It is SentencePiece's BPE (Kudo, Richardson 2018).

Text gets a space in front; its characters, and the bytes of those that have no piece, are merged two by two, the pair whose
piece has the best score first. The `tokenizers` library does that with a list of merges, which is made of the scores here.
"""

import math
import struct
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.text import LibraryTokenizer, Tokenizer

BYTES, LETTERS = 8_000_000, 256  # of the file, and of a piece; Llama 2's: 0.4 MB, 48
SPACE = "\u2581"  # SentencePiece's letter for it; the file has plain spaces
SPECIAL = ("<unk>", "<s>", "</s>")  # ids 0, 1, 2
FIRST = len(SPECIAL)  # of the 256 bytes, where there are such pieces


def read(path: Path) -> Tokenizer:
    """The tokenizer of such a file; prompts begin with id 1.

    Raises: ZooError for a file that is none: bytes missing or left over, a piece that is no UTF-8 or there twice.
    """
    pieces, scores = _pieces(path)
    tokenizer = LibraryTokenizer(_built(path, pieces, scores), "file", bos=1, eos=2, unk=0, pad=None, mask=None)
    if tokenizer.vocab_size != len(pieces):
        raise ZooError(f"{str(path)!r} has {len(pieces)} pieces, of which {tokenizer.vocab_size} can be told apart.")
    return tokenizer


def _pieces(path: Path) -> tuple[list[str], list[float]]:
    with open(path, "rb") as file:
        content = file.read(BYTES + 1)
    if len(content) > BYTES:
        raise ZooError(f"{str(path)!r} is larger than {BYTES // 10**6} MB, which no tokenizer.bin is.")
    pieces: list[str] = []
    scores: list[float] = []
    at = 4  # the first number is the length of the longest piece
    while at + 8 <= len(content):
        score, length = struct.unpack_from("<fI", content, at)
        at += 8
        if at + length > len(content):
            raise ZooError(
                f"{str(path)!r} ends after {len(content):,} bytes, and its piece {len(pieces)} alone would end after "
                f"{at + length:,}: it is cut off, or no tokenizer.bin."
            )
        try:
            pieces.append(content[at : at + length].decode())
        except UnicodeDecodeError:
            raise ZooError(
                f"{str(path)!r}: piece {len(pieces)} (byte {at}) is no UTF-8; it is no tokenizer.bin."
            ) from None
        if not math.isfinite(score) or length > 4 * LETTERS:
            raise ZooError(
                f"{str(path)!r}: piece {len(scores)} has a score of {score} and {length} bytes, as no tokenizer.bin has."
            )
        scores.append(score)
        at += length
    if at != len(content) or len(pieces) < FIRST:
        raise ZooError(
            f"{str(path)!r} holds {len(content):,} bytes, of which {len(pieces)} pieces take {at:,}: it is no tokenizer.bin."
        )
    return pieces, scores


def _built(path: Path, pieces: list[str], scores: list[float]) -> Any:
    from tokenizers import Tokenizer as Inner
    from tokenizers import decoders, models, normalizers, processors

    hexed = [f"<0x{byte:02X}>" for byte in range(256)]
    own = pieces[FIRST : FIRST + 256]
    in_bytes = own in (hexed, [chr(byte) for byte in range(256)])  # older files have the letter itself
    names = [*SPECIAL, *(hexed if in_bytes else []), *pieces[FIRST + 256 * in_bytes :]]
    names = [name if i < FIRST else name.replace(" ", SPACE) for i, name in enumerate(names)]
    vocab = {name: id for id, name in enumerate(names)}
    if len(vocab) < len(names):
        twice = next(id for id, name in enumerate(names) if vocab[name] != id)
        raise ZooError(
            f"{str(path)!r}: the piece {pieces[twice]!r:.80} stands there twice, as {twice} and {vocab[names[twice]]}."
        )
    merges = []
    for id in range(FIRST + 256 * in_bytes, len(names)):
        name = names[id]
        halves = ((name[:i], name[i:]) for i in range(1, len(name)))
        merges += [(-scores[id], id, pair) for pair in halves if pair[0] in vocab and pair[1] in vocab]
    inner = Inner(
        models.BPE(
            vocab, [pair for *_, pair in sorted(merges)], unk_token=SPECIAL[0], fuse_unk=True, byte_fallback=in_bytes
        )
    )
    inner.add_special_tokens(list(SPECIAL))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    inner.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return inner
