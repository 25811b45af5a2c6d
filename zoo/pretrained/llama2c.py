"""llama2.c's model files: a header of whole numbers, then the weights of a Llama in float32, one after another.

version 0   7 numbers: dim, hidden_dim, layers, heads, key/value heads, vocabulary (negative: the head has a matrix of its
            own), context; embedding, then each kind of matrix for all layers, the last norm, two tables of RoPE's angles,
            the head.
version 1   "ak42", the version, the 7 numbers, a byte for whether the head is the embedding, zeros up to 256 bytes; norms
            first, no tables.
version 2   int8 in groups: refused.

The file is mapped, not read, and its size must be what the header asks for, to the byte.
"""

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.pretrained.weights import State

MAGIC = 0x616B3432  # "ak42"
NAMES = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")
START = {0: 28, 1: 256}  # bytes before the weights
#: Ids that end a text: 1 begins the next one, where llama2.c stops; 2 is the tokenizer's own end.
ENDS = (1, 2)
Shapes = list[tuple[str, tuple[int, ...]]]


def is_folder(folder: Path) -> bool:
    """Whether a folder holds .bin files, of which one may be a model of llama2.c's."""
    return folder.is_dir() and any(folder.glob("*.bin"))


def find(folder: Path) -> tuple[Path, Path | None]:
    """(the model's file, its tokenizer's) in a folder of both: tokenizer.bin or tok*.bin is the tokenizer.

    Raises: ZooError where there are several of one kind, or no model.
    """
    files = sorted(folder.glob("*.bin"))
    tokenizers = [path for path in files if path.name.startswith("tok")]
    models = [path for path in files if path not in tokenizers]
    if len(models) != 1 or len(tokenizers) > 1:
        raise ZooError(
            f"{str(folder)!r} holds {', '.join(path.name for path in files)[:500]}: {len(models)} models and {len(tokenizers)} "
            "tokenizers (tok*.bin); name the model's file, and the other as tokenizer=."
        )
    return models[0], tokenizers[0] if tokenizers else None


def read(path: Path) -> tuple[dict[str, Any], State]:
    """(the plain config of our Llama, its tensors, mapped from the file).

    Raises: ZooError for a file of another kind or version, or with bytes missing or left over (both sizes are named).
    """
    version, sizes, tied = _header(path)
    shapes = list(_shapes(version, sizes, tied))
    needed, held = START[version] + 4 * sum(prod(shape) for _, shape in shapes), path.stat().st_size
    if needed != held:
        raise ZooError(
            f"{str(path)!r} holds {held:,} bytes, and its header ({_said(sizes)}) asks for {needed:,}: {abs(needed - held):,} "
            f"are {'missing' if held < needed else 'left over'}. Copy it again; a file of another kind than llama2.c's is "
            "not read here."
        )
    content = torch.from_file(str(path), shared=False, size=held, dtype=torch.uint8)[START[version] :].view(
        torch.float32
    )
    found: dict[str, Tensor] = {}
    at = 0
    for name, shape in shapes:
        found[name] = content[at : at + prod(shape)].view(shape)
        at += prod(shape)
    return _config(sizes, tied), dict(_named(found, sizes["n_layers"]))


def _header(path: Path) -> tuple[int, dict[str, int], bool]:
    with open(path, "rb") as file:
        start = file.read(256)
    if len(start) < START[0]:
        raise ZooError(f"{str(path)!r} holds {len(start)} bytes, less than the {START[0]} of a header of llama2.c's.")
    version = 0
    if struct.unpack("<I", start[:4])[0] == MAGIC:
        version = struct.unpack("<i", start[4:8])[0]
        if version == 2:
            raise ZooError(
                f"{str(path)!r} is of llama2.c's version 2, int8 weights, which is not read here: export it with --version 1."
            )
        if version != 1:
            raise ZooError(f"{str(path)!r} is of llama2.c's version {version}; versions 0 and 1 are read.")
        if len(start) < START[1]:
            raise ZooError(
                f"{str(path)!r} holds {len(start)} bytes, less than the {START[1]} of a header of version 1."
            )
    at = 8 if version else 0
    sizes = dict(zip(NAMES, struct.unpack("<7i", start[at : at + 28]), strict=True))
    tied = sizes["vocab_size"] > 0
    if version:
        if start[36] > 1:
            raise ZooError(
                f"{str(path)!r}: the byte that says whether the head is the embedding is {start[36]}, not 0 or 1."
            )
        tied = bool(start[36])
    else:
        sizes["vocab_size"] = abs(sizes["vocab_size"])
    wrong = [name for name, size in sizes.items() if size < 1]
    if not wrong:
        wrong = ["n_heads"] if sizes["dim"] % (2 * sizes["n_heads"]) else []
        wrong += ["n_kv_heads"] if sizes["n_heads"] % sizes["n_kv_heads"] else []
    if wrong:
        raise ZooError(f"{str(path)!r} is no model of llama2.c's: {', '.join(wrong)} cannot be, among {_said(sizes)}.")
    return version, sizes, tied


def _shapes(version: int, sizes: dict[str, int], tied: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes in the order of the file."""
    dim, hidden, layers, heads, kv_heads, vocab, context = sizes.values()
    width = dim // heads
    norms = {"attention_norm": (layers, dim), "ffn_norm": (layers, dim), "norm": (dim,)}
    maps = {
        "wq": (layers, dim, dim), "wk": (layers, kv_heads * width, dim), "wv": (layers, kv_heads * width, dim),
        "wo": (layers, dim, dim), "w1": (layers, hidden, dim), "w2": (layers, dim, hidden), "w3": (layers, hidden, dim),
    }  # fmt: skip
    embedding = {"tok_embeddings": (vocab, dim)}
    if version:
        order = [*norms, *embedding, *maps]
    else:
        order = [*embedding, "attention_norm", "wq", "wk", "wv", "wo", "ffn_norm", "w1", "w2", "w3", "norm"]
    whole: dict[str, tuple[int, ...]] = norms | maps | embedding
    yield from ((name, whole[name]) for name in order)
    if not version:  # cosines and sines, which are computed here
        yield from ((name, (context, width // 2)) for name in ("freqs_cos", "freqs_sin"))
    if not tied:
        yield "output", (vocab, dim)


def _named(found: dict[str, Tensor], layers: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors under our names."""
    yield "embed.weight", found["tok_embeddings"]
    yield "norm.weight", found["norm"]
    if "output" in found:
        yield "head.weight", found["output"]
    for i in range(layers):
        block = f"blocks.{i}"
        yield f"{block}.norm1.weight", found["attention_norm"][i]
        yield f"{block}.norm2.weight", found["ffn_norm"][i]
        yield f"{block}.attn.projection.qkv.weight", torch.cat([found[name][i] for name in ("wq", "wk", "wv")])
        yield f"{block}.attn.output.proj.weight", found["wo"][i]
        for theirs, ours in (("w1", "gate"), ("w2", "down"), ("w3", "up")):
            yield f"{block}.mlp.{ours}.weight", found[theirs][i]


def _config(sizes: dict[str, int], tied: bool) -> dict[str, Any]:
    dim, hidden, layers, heads, kv_heads, vocab, context = sizes.values()
    return {
        "_target_": "zoo.models.language.llama.Llama",
        **dict(vocab_size=vocab, context=context, dim=dim, depth=layers, num_heads=heads, num_kv_heads=kv_heads),
        **dict(hidden=hidden, tied=tied),
        "position": {"_target_": "zoo.attention.RoPE", "_partial_": True, "base": 10000.0, "halves": False},
        "norm": {"_target_": "torch.nn.RMSNorm", "_partial_": True, "eps": 1e-5},
        "end_tokens": list(ENDS),
    }


def _said(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())
