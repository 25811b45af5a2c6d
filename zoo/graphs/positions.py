"""What is made of a graph before a model sees it, the same in training and predict: encodings of positions, bags of words.

Where a node is in its graph: Laplacian eigenvectors, return probabilities of random walks (both PyG's), distances.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError, nearest

KINDS = ("laplacian", "random_walk", "shortest_path")
LARGEST = 5000  # nodes of a graph whose distances are all kept: 25 MB


def check_wanted(wanted: Mapping[str, int], many: bool) -> None:
    """Refuse kinds and numbers that cannot be; distances between all nodes only for one graph as a whole (not `many`)."""
    for kind, number in wanted.items():
        if kind not in KINDS:
            raise ZooError(f"data.positions: {kind} is unknown: {nearest(kind, KINDS)}")
        if not isinstance(number, int) or number < 1:
            raise ZooError(f"data.positions: {kind}={number} is not a number from 1 on.")
    if many and "shortest_path" in wanted:
        raise ZooError(
            "distances (shortest_path) are a matrix over the nodes of one full graph, not of batches; use "
            "data.loader=full and a set of one graph, or another position."
        )


def add_positions(graphs: Sequence[Any], wanted: Mapping[str, int]) -> None:
    """Add `laplacian` [N, k], `random_walk` [N, k] (float32) or `shortest_path` [N, N] to each graph."""
    made: dict[int, dict[str, Tensor]] = {}  # graphs that share their edges share these too: grids of pixels do
    for number, graph in enumerate(graphs):
        name = f"graph {number}" if len(graphs) > 1 else "the graph"
        edges, nodes = graph.edge_index, graph.num_nodes
        if id(edges) not in made:
            makers = {"laplacian": laplacian, "random_walk": random_walk, "shortest_path": distance}
            made[id(edges)] = {k: makers[k](edges, nodes, most, name) for k, most in wanted.items()}
        graph.update(made[id(edges)])


def laplacian(edge_index: Tensor, nodes: int, k: int, name: str = "the graph") -> Tensor:
    """The k eigenvectors of I - D^-1/2 A D^-1/2 after the first, in order of eigenvalue: [N, k].

    Always the same ones: the solver starts from fixed numbers, and of v and -v that is taken whose largest entry is
    positive. (Training may flip them; nothing here does.)
    """
    from torch_geometric.data import Data
    from torch_geometric.transforms import AddLaplacianEigenvectorPE
    from torch_geometric.utils import is_undirected

    if k >= nodes:
        raise ZooError(
            f"{name} has {nodes} nodes, so {nodes - 1} eigenvectors after the first, not {k}; ask for fewer."
        )
    both = is_undirected(edge_index, num_nodes=nodes)
    start = {"v0": np.random.default_rng(0).standard_normal(nodes)}
    transform = AddLaplacianEigenvectorPE(k, attr_name="found", is_undirected=both, **start)
    with torch.random.fork_rng(devices=[]):  # PyG draws signs
        found = transform(Data(edge_index=edge_index, num_nodes=nodes)).found
    largest = found.gather(0, found.abs().argmax(0, keepdim=True))
    return (found * torch.where(largest < 0, -1, 1)).float()


def random_walk(edge_index: Tensor, nodes: int, k: int, name: str = "the graph") -> Tensor:
    """The probabilities that a random walk is back after 1, ..., k steps: [N, k]."""
    from torch_geometric.data import Data
    from torch_geometric.transforms import AddRandomWalkPE

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*[Ss]parse.*")  # torch's, of PyG's sparse matrices: beta, and unchecked
        return AddRandomWalkPE(k, attr_name="found")(Data(edge_index=edge_index, num_nodes=nodes)).found.float()


def distance(edge_index: Tensor, nodes: int, most: int, name: str = "the graph") -> Tensor:
    """Steps from node i (row) to node j along the edges, `most` for all that are further, most + 1 for unreachable."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    if nodes > LARGEST:
        raise ZooError(
            f"{name} has {nodes} nodes, and the distances between all would be a matrix of {nodes**2:,} entries; "
            f"shortest_path is for graphs of at most {LARGEST} nodes, take another position."
        )
    source, target = edge_index.numpy()
    ones = np.ones(len(source), dtype=np.float32)
    steps = shortest_path(csr_array((ones, (source, target)), shape=(nodes, nodes)), unweighted=True)
    steps = np.where(np.isinf(steps), most + 1, steps.clip(max=most))
    return torch.from_numpy(steps.astype(np.uint8 if most < 255 else np.int64))


def normalised(x: Tensor) -> Tensor:
    """Rows that add up to 1, for bags of words: PyG's NormalizeFeatures, which first takes off the smallest value of all,
    and leaves rows that add up to less than 1."""
    from torch_geometric.data import Data
    from torch_geometric.transforms import NormalizeFeatures

    return NormalizeFeatures()(Data(x=x.clone())).x


def grid(rows: int, columns: int) -> Tensor:
    """edge_index [2, E] of a grid: each cell and the cells beside, above and below it, in both directions."""
    cell = torch.arange(rows * columns).view(rows, columns)
    across = torch.stack([cell[:, :-1].flatten(), cell[:, 1:].flatten()])
    down = torch.stack([cell[:-1].flatten(), cell[1:].flatten()])
    return torch.cat([across, across.flip(0), down, down.flip(0)], dim=1)
