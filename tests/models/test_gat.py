"""The GAT: its equation, every option; recorded weights (D1)."""

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

import zoo
import zoo.attention as core
from tests.models.gats import QUIET, VARIANTS, C, E, F, N, given, graph, mixed, model
from zoo.attention import Attention, Edges, Full, GraphEdges, Laplacian, SeparateQKV, record_attention
from zoo.errors import ZooError
from zoo.models.graph.gat import GAT

CONF = Path(zoo.__file__).parents[1] / "conf" / "score"


def test_parameters_are_those_of_the_paper():
    """Velickovic et al. 2018, section 3.3, by hand: W, the halves of a, and the bias of each layer."""
    first, last = 1433 * 64 + 2 * 8 * 8 + 64, 64 * 7 + 2 * 7 + 7
    assert sum(p.numel() for p in GAT(1433, 7).parameters()) == first + last == 92373
    heads = 8 * (64 * 7 + 2 * 7) + 7
    assert sum(p.numel() for p in GAT(1433, 7, out_heads=8).parameters()) == first + heads


def dense_gat(net, x, index):
    """The model as matrices: one adjacency with self-loops, -inf elsewhere."""
    n = len(x)
    seen = torch.zeros(n, n, dtype=torch.bool).index_put((index[1], index[0]), torch.tensor(True)) | torch.eye(n).bool()
    for i, layer in enumerate(net.layers):
        heads, score = layer.attn.num_heads, layer.attn.score
        h = (x @ layer.attn.projection.map.weight.T).view(n, heads, -1).transpose(0, 1)  # [H, N, D]
        logits = (h * score.query[:, None]).sum(-1)[:, :, None] + (h * score.key[:, None]).sum(-1)[:, None]
        logits = torch.where(logits > 0, logits, 0.2 * logits).masked_fill(~seen, -torch.inf)
        out = logits.softmax(-1) @ h
        last = i == len(net.layers) - 1
        joined = out.mean(0) if last else out.transpose(0, 1).reshape(n, -1)
        x = joined + layer.attn.output.bias
        x = x if last else torch.where(x > 0, x, x.exp() - 1)
    return x


@pytest.mark.parametrize("depth, out_heads", [(1, 1), (2, 1), (3, 2)])
def test_equals_a_dense_gat(depth, out_heads):
    """Equations 1 to 6 with matrices, gradients of all parameters included, on a graph with loops of its own."""
    net, x = model(depth=depth, out_heads=out_heads, **QUIET).double(), torch.randn(N, F).double().requires_grad_()
    index = graph().unique(dim=1)
    for p in net.parameters():
        p.data.normal_()
    got, want = net(x, index), dense_gat(net, x, index)
    torch.testing.assert_close(got, want)
    inputs = [x, *net.parameters()]
    torch.testing.assert_close(*(torch.autograd.grad(mixed(y), inputs) for y in (got, want)))


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_learn(name):
    """Every option: the right shape, a gradient for every parameter, prepared Edges the same as an edge_index."""
    net, inputs = model(**VARIANTS[name]), given(name)
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    out = net(*inputs)
    assert out.shape == (2 if inputs[4] is not None else N, C)
    mixed(out).backward()
    assert not [path for path, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    net.eval()
    assert torch.equal(net(inputs[0], Edges(inputs[1], N), *inputs[2:]), net(*inputs))


@pytest.mark.parametrize("score", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_score_of_the_configs(score):
    """Contract 7: a GAT with any score, along edges and over all nodes, learns."""
    kind = getattr(core, yaml.safe_load(score.read_text())["_target_"].split(".")[-1])
    for pattern in (GraphEdges(), Full()):
        net = model(attention=partial(Attention, score=kind, projection=SeparateQKV, pattern=pattern), **QUIET)
        if kind.uses_places and isinstance(pattern, GraphEdges):
            with pytest.raises(ZooError, match="goes by the places of keys, which nodes of a graph have not"):
                net(torch.randn(N, F), graph())
            continue
        mixed(net(torch.randn(N, F), graph())).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", ["gat", "gatv2 with edge features", "transformer"])
def test_recorded_weights(name, train):
    """D1, bug 23, contract 8: weights in the order of the input, loops marked, before dropout, a sum of 1 for each target; the
    output is the same bit for bit."""
    net, (x, index, attr, *_) = model(**VARIANTS[name]).train(train), given(name)
    torch.manual_seed(1)
    want = net(x, index, attr)
    torch.manual_seed(1)
    with record_attention(net) as maps:
        assert torch.equal(net(x, index, attr), want)
    assert list(maps) == ["layers.0.attn", "layers.1.attn"]
    looped = VARIANTS[name].get("self_loops", "mean") is not None
    kept = index[:, index[0] != index[1]] if looped else index
    for path, heads in (("layers.0.attn", 2), ("layers.1.attn", 2 if name == "transformer" else 1)):
        weights = maps[path]
        assert torch.equal(weights.edge_index[:, ~weights.is_loop], kept)
        assert weights.edge_index[:, weights.is_loop].tolist() == ([list(range(N))] * 2 if looped else [[], []])
        assert weights.alpha.shape == (weights.edge_index.shape[1], heads) and not weights.alpha.requires_grad
        sums = torch.zeros(N, heads).index_add(0, weights.edge_index[1], weights.alpha)
        torch.testing.assert_close(
            sums[weights.edge_index[1].unique()], torch.ones(len(weights.edge_index[1].unique()), heads)
        )
    if name == "gat" and not train:
        out = net.layers[0].attn.projection(x[None])[2][0, :, maps["layers.0.attn"].edge_index[0]]  # [H, E', D]
        out = torch.zeros(2, N, 4).index_add(
            1, maps["layers.0.attn"].edge_index[1], out * maps["layers.0.attn"].alpha.T[..., None]
        )
        torch.testing.assert_close(
            out.transpose(0, 1).flatten(1), net.layers[0].attn(x[None], pattern=net.seen(index, N, None, None))[0]
        )


def test_recorded_full_attention_is_a_matrix():
    net, (x, index, *_) = model(**VARIANTS["full"]), given("full")
    with record_attention(net) as maps:
        net(x, index)
    assert maps["layers.0.attn"].shape == (1, 2, N, N)


def test_inputs_of_a_data_object():
    from torch_geometric.data import Data

    data = Data(x=torch.randn(N, F), edge_index=graph(), edge_attr=torch.rand(E, 2), laplacian=torch.randn(N, 4))
    x, index, attr, pos, batch, _ = model(position=partial(Laplacian, k=4)).inputs(data)
    assert x is data.x and index is data.edge_index and attr is None and pos is data.laplacian and batch is None
    assert model(edge_dim=2).inputs(data)[2] is data.edge_attr and model().inputs(data)[3] is None
