"""Sets that are made in code: of scikit-learn's digits, and of numbers alone."""

import math
from collections.abc import Sequence
from itertools import islice, permutations

import numpy as np
import torch

from datamodules.graphs.collection import GraphCollection
from datamodules.sampling import generator
from datamodules.splits import fractions, per_class
from zoo.errors import ZooError
from zoo.graphs import grid


def digits_knn(neighbours: int, labels_per_class: int, val_nodes: int, seed: int) -> GraphCollection:
    """Each digit is tied to its nearest in pixels, and they to it: 1,797 nodes in one graph."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import kneighbors_graph
    from torch_geometric.data import Data

    found = load_digits()
    size = len(found.data)
    if not 0 < neighbours < size:
        raise ZooError(f"data.neighbours={neighbours} cannot be had among {size} digits; use 1 to {size - 1}.")
    near = kneighbors_graph(found.data, neighbours)
    pairs = near.maximum(near.T).tocoo()
    edge_index = torch.from_numpy(np.stack([pairs.row, pairs.col]).astype(np.int64))
    labels = torch.from_numpy(found.target.astype(np.int64))
    x = torch.from_numpy((found.data / 16).astype(np.float32))
    splits = per_class(labels, labels_per_class, val_nodes, seed)
    return GraphCollection([Data(x=x, edge_index=edge_index, labels=labels)], tuple(map(str, range(10))), splits)


def digits_graphs(split: Sequence[float], seed: int) -> GraphCollection:
    """Each digit as a graph of 8x8 pixels; a node knows its intensity, row and column, each in [0, 1]."""
    from sklearn.datasets import load_digits
    from torch_geometric.data import Data

    found = load_digits()
    labels = torch.from_numpy(found.target.astype(np.int64))
    pixels = torch.from_numpy((found.data / 16).astype(np.float32))
    places = torch.cartesian_prod(torch.linspace(0, 1, 8), torch.linspace(0, 1, 8))
    edge_index = grid(8, 8)
    graphs = [
        Data(x=torch.cat([shade[:, None], places], 1), edge_index=edge_index, labels=label[None])
        for shade, label in zip(pixels, labels, strict=True)
    ]
    splits = fractions(labels, split, seed)
    return GraphCollection(graphs, tuple(map(str, range(10))), splits, multi_graph=True, graph_level=True)


def dictionary_lookup(keys: int, graphs: int, train_fraction: float, val_fraction: float, seed: int) -> GraphCollection:
    """Complete bipartite graphs in which each query must find the value of its key.

    Nodes 0..k-1 are the queries (key i, no value), k..2k-1 the keys (key i, value p(i)) of a permutation p; every key
    has an edge to every query. x is one-hot key [k] and one-hot value [k + 1], the last of which means none: a linear
    map of it is the paper's sum of two embeddings. As in the paper's code, the graphs of which each (key, value) was
    drawn to be known make up training (and validation); all with an unknown pair are for the test.
    Source: Brody, Alon and Yahav 2022, dictionary_lookup/tasks/dictionary_lookup.py in tech-srl/how_attentive_are_gats.
    """
    from torch_geometric.data import Data

    if keys < 2 or graphs < 2:
        raise ZooError(f"data.keys={keys} and data.graphs={graphs} leave nothing to look up; give 2 or more of each.")
    if not (0 < train_fraction < 1 and 0 <= val_fraction < 1):
        raise ZooError(
            f"data.train_fraction={train_fraction}, data.val_fraction={val_fraction} are not shares below 1."
        )
    numbers = generator(seed)
    if math.factorial(keys) <= graphs:
        values = torch.tensor(list(islice(permutations(range(keys)), graphs)))
    else:
        drawn = torch.rand(graphs, keys, generator=numbers, dtype=torch.float64).argsort(1)
        values = torch.unique(drawn, dim=0)  # a permutation drawn twice could lie in training and validation
    values = values[torch.randperm(len(values), generator=numbers)]
    known = torch.zeros(keys * keys, dtype=torch.bool)
    share = train_fraction ** (1 / keys)  # of the pairs, so that `train_fraction` of the graphs know all of theirs
    known[torch.randperm(keys * keys, generator=numbers)[: int(share * keys**2)]] = True
    seen = known[torch.arange(keys) * keys + values].all(1).nonzero()[:, 0]
    val = round(val_fraction * len(seen))
    test = torch.ones(len(values), dtype=torch.bool).index_fill(0, seen, False).nonzero()[:, 0]
    splits = {"train": seen[val:], "val": seen[:val], "test": test}

    edge_index = torch.cartesian_prod(torch.arange(keys, 2 * keys), torch.arange(keys)).T.contiguous()
    scored = torch.arange(2 * keys) < keys
    key = torch.eye(keys).repeat(2, 1)
    value = torch.eye(keys + 1)
    nothing = torch.full((keys,), keys)
    made = [
        Data(
            x=torch.cat([key, value[torch.cat([nothing, row])]], 1),
            edge_index=edge_index,
            labels=row.repeat(2),
            scored=scored,
        )
        for row in values
    ]
    return GraphCollection(made, tuple(map(str, range(keys))), splits, multi_graph=True)
