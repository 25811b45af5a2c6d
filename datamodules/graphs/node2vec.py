"""node2vec (Grover and Leskovec 2016): what a node's surroundings look like, as features.

A PyG `Node2Vec`, whose constructor asks for pyg-lib: the walks, for which it does, are here, and its loss in a form that
reads each walk once instead of once for every window in it.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.files import cached
from zoo.errors import ZooError, nearest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """embedding_dim: width. walk_length nodes a walk, of which context_size ones in a row belong together;
    walks_per_node of them from each node, in each of the epochs. p: how rarely a walk turns back; q: how rarely it
    leaves a neighbourhood. batch_size nodes a step of SparseAdam with rate lr."""

    embedding_dim: int = 128
    walk_length: int = 20
    context_size: int = 10
    walks_per_node: int = 10
    num_negative_samples: int = 1
    p: float = 1.0
    q: float = 1.0
    epochs: int = 5
    batch_size: int = 128
    lr: float = 0.01

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ZooError(f"data.node2vec.{field.name}={value} is not a number above 0.")
        if not 1 < self.context_size <= self.walk_length:
            raise ZooError(
                f"data.node2vec.context_size={self.context_size} does not fit walk_length={self.walk_length}; "
                "it lies between 2 and that."
            )


def settings(given: dict[str, Any] | None) -> Settings:
    """The settings of a config; a misspelt one is refused."""
    known = [field.name for field in fields(Settings)]
    for key in (given or {}).keys() - set(known):
        raise ZooError(f"data.node2vec.{key} is not a setting; {nearest(key, known)}")
    return Settings(**(given or {}))


def features(edge_index: Tensor, nodes: int, chosen: Settings, seed: int, cache: Path) -> Tensor:
    """Embeddings [N, embedding_dim] of the nodes, learned the first time and kept for this graph, settings and seed."""
    key = json.dumps([asdict(chosen), nodes, seed], sort_keys=True).encode() + edge_index.numpy().tobytes()
    target = cache / "graphs" / f"node2vec-{hashlib.sha256(key).hexdigest()[:16]}.npy"
    return torch.from_numpy(np.array(cached(target, lambda: learn(edge_index, nodes, chosen, seed).numpy())))


def learn(edge_index: Tensor, nodes: int, chosen: Settings, seed: int) -> Tensor:
    """Train the embeddings; the same ones for the same seed, whatever the state of the global random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = embedding(edge_index, nodes, chosen)
        optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=chosen.lr)
        for epoch in range(chosen.epochs):
            losses = []
            for batch in torch.randperm(nodes).split(chosen.batch_size):
                optimizer.zero_grad()
                loss = model.loss(*model.sample(batch))
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            log.info(f"node2vec: epoch {epoch + 1} of {chosen.epochs}, loss {np.mean(losses):.4f}")
        return model.embedding.weight.detach().clone()


def embedding(edge_index: Tensor, nodes: int, chosen: Settings) -> Any:
    """PyG's Node2Vec with `walks` and `window_loss` below; `sample` gives whole walks [W, walk_length]."""
    from torch_geometric.nn import Node2Vec

    class Walking(Node2Vec):
        def __init__(self):  # as in PyG, without the look for pyg-lib
            torch.nn.Module.__init__(self)
            self.num_nodes, self.EPS = nodes, 1e-15
            self.rowptr, self.col = neighbours(edge_index, nodes)
            self.walk_length = chosen.walk_length - 1
            for name in ("embedding_dim", "context_size", "walks_per_node", "num_negative_samples", "p", "q"):
                setattr(self, name, getattr(chosen, name))
            self.embedding = torch.nn.Embedding(nodes, chosen.embedding_dim, sparse=True)

        def pos_sample(self, batch):
            start = batch.repeat(self.walks_per_node)
            return walks(self.rowptr, self.col, start, self.walk_length, self.p, self.q)

        def neg_sample(self, batch):
            start = batch.repeat(self.walks_per_node * self.num_negative_samples)
            return torch.cat([start[:, None], torch.randint(nodes, (len(start), self.walk_length))], 1)

        def loss(self, pos_rw, neg_rw):
            return window_loss(self.embedding(pos_rw), self.embedding(neg_rw), self.context_size, self.EPS)

    return Walking()


def window_loss(positive: Tensor, negative: Tensor, context: int, eps: float = 1e-15) -> Tensor:
    """-log sigmoid(z_i . z_j), of chance pairs -log(1 - sigmoid(z_i . z_j)): means over the pairs in which i begins a
    window of `context` nodes of its walk and j is another node of it. positive, negative: embeddings [W, L, D]."""
    length = positive.shape[1]
    ahead = torch.arange(length) - torch.arange(length)[:, None]
    pairs = (ahead > 0) & (ahead < context) & (torch.arange(length)[:, None] <= length - context)
    near, chance = (torch.sigmoid(z @ z.mT) for z in (positive, negative))
    # All products are made, and those outside a window weigh nothing: cheaper than to pick and scatter back.
    positive_loss, negative_loss = (near + eps).log(), (1 - chance + eps).log()
    sums = (positive_loss * pairs).sum() / len(positive) + (negative_loss * pairs).sum() / len(negative)
    return -sums / pairs.sum()


def neighbours(edge_index: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """(ptr [N + 1], col [E]): node i has edges to col[ptr[i] : ptr[i + 1]], ascending."""
    source, target = edge_index
    order = (source * nodes + target).argsort()
    count = torch.bincount(source, minlength=nodes)
    return torch.cat([count.new_zeros(1), count.cumsum(0)]), target[order]


def walks(ptr: Tensor, col: Tensor, start: Tensor, length: int, p: float = 1.0, q: float = 1.0) -> Tensor:
    """Random walks of `length` steps [len(start), length + 1]; where no edge leads out a walk stays.

    From t over v the next node x has a weight of 1/p if x = t, 1 if t has an edge to x, else 1/q. Drawn by rejection: a
    uniform neighbour is kept with probability weight / largest weight.
    """
    nodes = len(ptr) - 1
    degree = ptr[1:] - ptr[:-1]
    pairs = torch.arange(nodes).repeat_interleave(degree) * nodes + col  # ascending: every edge as a number
    largest = max(1 / p, 1.0, 1 / q)
    path = [start]
    for step in range(length):
        here = path[-1]
        there = here.clone()
        open_ = (degree[here] > 0).nonzero()[:, 0]
        while len(open_):
            at = here[open_]
            pick = (torch.rand(len(at), dtype=torch.float64) * degree[at]).long()
            proposed = col[ptr[at] + pick]
            there[open_] = proposed
            if step == 0 or p == q == 1:
                break
            before = path[-2][open_]
            number = before * nodes + proposed
            found = torch.searchsorted(pairs, number).clamp(max=len(pairs) - 1)
            weight = torch.where(pairs[found] == number, 1.0, 1 / q)
            weight = torch.where(proposed == before, 1 / p, weight)
            open_ = open_[torch.rand(len(at)) * largest >= weight]
        path.append(there)
    return torch.stack(path, 1)
