"""One example of every class of the core, made from its signature: a new class is tested because it exists.

Classes are found in the files of zoo/attention, exported or not, and in those named by ZOO_ALSO (`ZOO_ALSO=my.scores pytest
tests/attention` holds your own to the contracts). What a class is not it says itself: `is_softmax`, `is_distribution`,
`by_content`, `is_relative`. One whose constructor names something that is not in `facts` fails with a sentence: add it there.
"""

import inspect
import itertools
import os
from dataclasses import replace
from functools import partial
from importlib import import_module
from pkgutil import walk_packages

import torch

import zoo.attention as core
from zoo.attention import Causal, Full, Pattern, Position, Prefix, Score, SkipPrefix, build

B, H, H_KV, N, D = 2, 4, 2, 7, 8


def facts(n: int = N, heads: int = H) -> dict:
    """What constructors may ask for, for sequences of n tokens."""
    return dict(
        head_dim=D, num_heads=heads, dim=heads * D, length=n, grid=(1, n), size=3, n=2, k=3,
        lengths=torch.tensor([n, max(n - 3, 1)]), ids=(torch.arange(n) * 5 // max(n, 1)) % 3,
        score=core.Dot(), position=core.RoPE(D), factor=1, bucket=2, rounds=2,
    )  # fmt: skip


#: what is about lists of edges or nodes of a graph, not about sequences: tests/attention/test_edges.py
ON_EDGES = (core.Edges, core.GraphEdges, core.AdditiveEdgeScore, core.MultiplicativeEdgeScore)
ON_NODES = (core.Laplacian, core.RandomWalk, core.ShortestPath)


MODULES = [
    *(
        found.name
        for found in walk_packages(core.__path__, "zoo.attention.")
        if not found.name.endswith("triton_kernels")
    ),
    "tests.attention.outsiders",
    *filter(None, os.environ.get("ZOO_ALSO", "").split(",")),
]


def subclasses(base: type) -> list[type]:
    """All concrete subclasses in those modules, in a stable order; wrappers around an example."""
    kinds = {
        x for name in MODULES for x in vars(import_module(name)).values() if inspect.isclass(x) and issubclass(x, base)
    }
    kinds -= {base, core.And, core.Or, SkipPrefix, *ON_EDGES, *ON_NODES}
    found = sorted((x for x in kinds if not x.__name__.startswith("_")), key=lambda kind: kind.__name__)
    return [around(kind) if {"score", "position"} & set(needs(kind)) else kind for kind in found]


def needs(kind: type) -> list[str]:
    """The arguments of its constructor without a default."""
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def around(kind: type) -> type:
    """A wrapper as a class that takes what other classes take: it is given a score or a position."""

    def __init__(self, head_dim: int, num_heads: int):
        known = facts(heads=num_heads)
        kind.__init__(self, **{name: known[name] for name in needs(kind)})

    return type(kind.__name__, (kind,), {"__init__": __init__, "__module__": __name__})


def make(kind: type, n: int = N, heads: int = H):
    missing = set(needs(kind)) - set(facts(n, heads))
    assert not missing, f"{kind.__name__} asks for {missing}: add an example value to tests/attention/examples.py"
    return build(kind, **facts(n, heads))


SCORES = subclasses(Score)
POSITIONS = subclasses(Position)
PATTERNS = {kind.__name__: partial(make, kind) for kind in subclasses(Pattern)} | {
    "Padding(mask)": lambda n=N: core.Padding(mask=torch.arange(n) >= torch.tensor([[0], [2]])),
    "Prefix[B]": lambda n=N: Prefix(torch.tensor([1, 3])),
    "Documents[B]": lambda n=N: core.Documents(torch.tensor([[0] * n, [i % 2 for i in range(n)]])),
    "Causal & Window": lambda n=N: Causal() & core.Window(3),
    "Causal | Prefix": lambda n=N: Causal() | Prefix(2),
    "Causal & Padding": lambda n=N: Causal() & core.Padding(facts(n)["lengths"]),
    "Causal & Documents": lambda n=N: Causal() & make(core.Documents, n),
    "Window | Global": lambda n=N: core.Window(2) | core.Global(1),
    "Causal & TopK": lambda n=N: Causal() & core.TopK(2),
    "TopK | Window": lambda n=N: core.TopK(2) | core.Window(1),
    "(Beyond & TopK) | Global": lambda n=N: (core.Beyond(1) & core.TopK(2)) | core.Global(1),
    "Causal & ProbSparse": lambda n=N: Causal() & core.ProbSparse(1),
    "ProbSparse & Padding": lambda n=N: core.ProbSparse(1) & core.Padding(facts(n)["lengths"]),
    "ProbSparse & Causal & Window": lambda n=N: core.ProbSparse(1) & Causal() & core.Window(4),
    "(Beyond & ProbSparse) | Global": lambda n=N: (core.Beyond(1) & core.ProbSparse(1)) | core.Global(1),
    "Causal & LSH": lambda n=N: Causal() & core.LSH(2, 2),
    "LSH | Window": lambda n=N: core.LSH(1, 2) | core.Window(2),
    "Window2D": lambda n=N: core.Window2D((1, 2), (1, n)),
    "Full & Causal | Global": lambda n=N: (Full() & Causal()) | core.Global(2),
}

#: those that are masks: fused kernels take no other
MASKS = {name: made for name, made in PATTERNS.items() if not made().by_content}


def tensors(q: int = N, k: int = N, heads: int = H, kv: int = H_KV, batch: int = B, seed: int = 0, **kind):
    """Random q [B, H, Q, D], k and v [B, H_kv, K, D] in float64 with gradients."""
    g = torch.Generator().manual_seed(seed)
    kind = {"dtype": torch.float64, **kind}
    sizes = ((batch, heads, q, D), (batch, kv, k, D), (batch, kv, k, D))
    return tuple(torch.randn(s, generator=g, **kind).requires_grad_() for s in sizes)


def naive(q, k, v, score, pattern, bias=None):
    """An independent implementation: Python loops over samples, heads, queries and keys; every weight by hand.

    A score that says that it is no softmax, and a pattern that says that it chooses by content, are asked for their own rule,
    one query at a time; one that compares queries (`needs_whole`), which tests/attention/test_chosen.py writes down, for all.
    """
    (batch, heads, Q, _), kv, K = q.shape, k.shape[1], k.shape[2]
    shared = torch.arange(heads) // (heads // kv)  # the key/value head of each query head
    out = torch.zeros(batch, heads, Q, v.shape[-1], dtype=q.dtype)
    weights = torch.zeros(batch, heads, Q, K, dtype=q.dtype)
    place = torch.tensor
    each = [score.pairs(q, k[:, shared, j : j + 1].expand(-1, -1, Q, -1)) for j in range(K)]
    logits = torch.stack(each, -1) if bias is None else torch.stack(each, -1) + bias
    for b, h, i, j in itertools.product(range(batch), range(heads), range(Q), range(K)):
        if not pattern.allowed(place(b), place(h), place(i + K - Q), place(j)):
            logits[b, h, i, j] = -torch.inf
    whole = core.AttentionCall(q, k, v, score, pattern)
    edited = pattern.edit(logits, whole) if pattern.needs_whole else logits
    for i in range(Q):
        call = replace(whole, q=q[:, :, i : i + 1], q_pos=place([i + K - Q]), k_pos=torch.arange(K))
        rows = edited[:, :, i : i + 1]
        if pattern.by_content and not pattern.needs_whole:
            rows = pattern.edit(rows, call)
        for b in range(batch):
            for h in range(heads):
                x = rows[b, h, 0]
                seen = [j for j in range(K) if x[j] > -torch.inf]
                if not seen:
                    continue
                x = x[seen]
                if score.is_softmax:
                    w = (x - x.max()).exp()
                    w = w / w.sum()
                else:
                    one = replace(call, q=q[b : b + 1, h : h + 1, i : i + 1], k=k[b : b + 1, h // (heads // kv)][None])
                    w = score.normalize(rows[b, h, 0].view(1, 1, 1, -1), one)[0, 0, 0, seen]
                weights[b, h, i, seen] = w
                out[b, h, i] = (w[:, None] * v[b, h // (heads // kv), seen]).sum(0)
    return out, weights
