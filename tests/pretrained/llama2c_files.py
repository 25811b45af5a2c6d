"""Files of llama2.c's form, written number by number, and what its model computes, token by token, in plain steps."""

import math
import struct
from itertools import pairwise
from pathlib import Path

import torch

SIZES = dict(dim=24, hidden=40, layers=2, heads=4, kv_heads=2, vocab=50, context=32)


def weights(tied=True, seed=0, **sizes):
    """Random tensors by llama2.c's names, and the sizes."""
    s = SIZES | sizes
    width, generator = s["dim"] // s["heads"], torch.Generator().manual_seed(seed)
    shapes = {
        "tok_embeddings": (s["vocab"], s["dim"]), "attention_norm": (s["layers"], s["dim"]),
        "wq": (s["layers"], s["dim"], s["dim"]), "wk": (s["layers"], s["kv_heads"] * width, s["dim"]),
        "wv": (s["layers"], s["kv_heads"] * width, s["dim"]), "wo": (s["layers"], s["dim"], s["dim"]),
        "ffn_norm": (s["layers"], s["dim"]), "w1": (s["layers"], s["hidden"], s["dim"]),
        "w2": (s["layers"], s["dim"], s["hidden"]), "w3": (s["layers"], s["hidden"], s["dim"]), "norm": (s["dim"],),
        **({} if tied else {"output": (s["vocab"], s["dim"])}),
    }  # fmt: skip
    found = {name: torch.randn(shape, generator=generator) * shape[-1] ** -0.5 for name, shape in shapes.items()}
    return {name: tensor + ("norm" in name) for name, tensor in found.items()}, s


ORDERS = {
    0: "tok_embeddings attention_norm wq wk wv wo ffn_norm w1 w2 w3 norm",
    1: "attention_norm ffn_norm norm tok_embeddings wq wk wv wo w1 w2 w3",
}


def write(path: Path, version=1, tied=True, head=None, **sizes):
    """A file of version 0 or 1; gives its tensors and sizes."""
    tensors, s = weights(tied, **sizes)
    vocab = -s["vocab"] if version == 0 and not tied else s["vocab"]
    numbers = struct.pack(
        "<7i", *(s[key] for key in ("dim", "hidden", "layers", "heads", "kv_heads")), vocab, s["context"]
    )
    start = (
        numbers
        if version == 0
        else (struct.pack("<Ii", 0x616B3432, version) + numbers + bytes([tied])).ljust(256, b"\0")
    )
    body = [tensors[name] for name in ORDERS[version].split()]
    if version == 0:
        body += [torch.full((2, s["context"], s["dim"] // s["heads"] // 2), 0.5)]  # angles that nobody reads
    body += [] if tied else [tensors["output"]]
    path.write_bytes(start + b"".join(each.numpy().tobytes() for each in body))
    return tensors, s


def logits(tensors, s, ids) -> torch.Tensor:
    """[N, vocab] of ids [N]: each token attends to those before it and itself."""
    width, x = s["dim"] // s["heads"], tensors["tok_embeddings"][ids]

    def normed(x, gain):
        return gain * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    def turned(x):  # [N, heads, width]: pairs of neighbours as complex numbers
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        angle = torch.arange(len(x))[:, None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
        return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)[:, None]).flatten(-2)

    for i in range(s["layers"]):
        h = normed(x, tensors["attention_norm"][i])
        q, k, v = ((h @ tensors[name][i].T).view(len(ids), -1, width) for name in ("wq", "wk", "wv"))
        q, k = turned(q), turned(k)
        out = torch.zeros(len(ids), s["heads"], width)
        for t in range(len(ids)):
            for head in range(s["heads"]):
                group = head // (s["heads"] // s["kv_heads"])
                share = (k[: t + 1, group] @ q[t, head] / math.sqrt(width)).softmax(0)
                out[t, head] = share @ v[: t + 1, group]
        x = x + out.flatten(1) @ tensors["wo"][i].T
        h = normed(x, tensors["ffn_norm"][i])
        gate = h @ tensors["w1"][i].T
        x = x + (gate * gate.sigmoid() * (h @ tensors["w3"][i].T)) @ tensors["w2"][i].T
    return normed(x, tensors["norm"]) @ tensors.get("output", tensors["tok_embeddings"]).T


# ---- tokenizers -----------------------------------------------------------------------------------------------------------

PIECES = ["<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256))]
WORDS = [" t", "he", " the", "th", "in", "er", " a", "re", " there", "on", " once", "on ", "ce", " on", " o", "nc", "é"]
LETTERS = [*" abcdefghijklmnopqrstuvwxyzTO.,'é"]


def pieces(old=False):
    """[(piece, score)] of a small tokenizer: the later a merge was learned, the lower its score; letters lowest of all."""
    words = [word for word in WORDS if word not in LETTERS]
    first = PIECES if not old else PIECES[:3] + [chr(byte) for byte in range(256)]
    scored = [(piece, 0.0) for piece in first]
    scored += [(word, -float(i)) for i, word in enumerate(words)]
    return scored + [(letter, -float(len(words) + i)) for i, letter in enumerate(LETTERS)]


def write_tokenizer(path: Path, scored) -> Path:
    body = [piece.encode() for piece, _ in scored]
    content = struct.pack("<I", max(map(len, body)))
    for piece, (_, score) in zip(body, scored, strict=True):
        content += struct.pack("<fI", score, len(piece)) + piece
    path.write_bytes(content)
    return path


def encode(scored, text) -> list[int]:
    """llama2.c's way: letters or their bytes, then the best pair again and again."""
    ids = {piece: id for id, (piece, _) in reversed(list(enumerate(scored))) if id > 258}
    found = []
    for letter in " " + text if text else "":
        found += [ids[letter]] if letter in ids else [byte + 3 for byte in letter.encode()]
    while True:
        pairs = [scored[a][0] + scored[b][0] for a, b in pairwise(found)]
        best = max(
            (i for i, pair in enumerate(pairs) if pair in ids),
            key=lambda i: (scored[ids[pairs[i]]][1], -i),
            default=None,
        )
        if best is None:
            return found
        found[best : best + 2] = [ids[pairs[best]]]
