"""A pattern is given to a model: choices by content, windows on the grid, and what it says of patterns that fit it badly."""

import warnings
from dataclasses import dataclass
from functools import partial

import pytest
import torch

from tests.attention.test_patterns import Best
from zoo.attention import (
    Attention,
    Causal,
    Edges,
    Full,
    Global,
    GraphEdges,
    Padding,
    Pattern,
    TopK,
    Window,
    Window2D,
    attend,
    record_attention,
)  # fmt: skip
from zoo.errors import ZooError
from zoo.models.graph.gat import GAT
from zoo.models.vision.vit import ViT

SMALL = dict(img_size=16, patch_size=4, in_chans=1, num_classes=3, dim=16, depth=2, num_heads=2)


def weights_of(model, *inputs):
    with record_attention(model.eval()) as maps:
        model(*inputs)
    return maps


@pytest.mark.parametrize("tokens", [dict(), dict(reg_tokens=2), dict(class_token=False, pool="mean")])
@pytest.mark.parametrize("pattern", [TopK(3), Best(3)])
def test_a_vit_chooses_among_its_patches(pattern, tokens):
    """Exactly n patches for each patch; class and register tokens stay seen and see all; it trains."""
    model = ViT(**SMALL, **tokens, pattern=pattern)
    n, x = model.num_prefix_tokens, torch.randn(2, 1, 16, 16)
    for weights in weights_of(model, x).values():
        seen = weights > 0
        assert seen[..., :n].all() and seen[:, :, :n].all()
        assert (seen[:, :, n:, n:].sum(-1) == 3).all()
    model.train()(x).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("tokens", [0, 2])
def test_a_window_on_the_grid_of_a_vit(tokens):
    model = ViT(**SMALL, reg_tokens=tokens, attention=partial(Attention, pattern=partial(Window2D, size=2)))
    n = model.num_prefix_tokens
    seen = weights_of(model, torch.randn(2, 1, 16, 16))["blocks.1.attn"] > 0
    assert seen[..., :n].all() and seen[:, :, :n].all()
    place = torch.arange(16)
    near = (place[:, None] // 4 - place // 4).abs().le(1) & (place[:, None] % 4 - place % 4).abs().le(1)
    assert (seen[:, :, n:, n:] == near).all()


def test_a_pattern_is_the_models_not_the_layers():
    """What is given is what every block has; joined to no tokens at all it is the very same."""
    window, bare = Window(3), dict(class_token=False, pool="mean")
    assert all(block.attn.pattern is window for block in ViT(**SMALL, **bare, pattern=window).blocks)
    bound = ViT(**SMALL, attention=partial(Attention, pattern=window, kernel="reference"))
    assert all(block.attn.pattern == (window | Global(1)) for block in bound.blocks)
    assert all(block.attn.kernel == "reference" for block in bound.blocks)
    assert isinstance(ViT(**SMALL).blocks[0].attn.pattern, Full)
    model = GAT(4, 3, attention=partial(Attention, pattern=Causal(), kernel="reference"))
    assert model.pattern == Causal() and all(isinstance(layer.attn.pattern, Full) for layer in model.layers)
    assert GAT(4, 3).pattern == GraphEdges() and GAT(4, 3, pattern=Full()).pattern == Full()


def test_a_pattern_that_hides_nothing_is_said():
    """Once: the second model at the same sizes is silent by the filter of warnings; one that hides something always is."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(2):
            ViT(**SMALL, pattern=Window(16))
        assert len(told) == 1 and "Window(size=16) hides nothing on 4 x 4 patches" in str(told[0].message)
        ViT(**SMALL, pattern=partial(Window2D, size=4))
        assert len(told) == 2 and "Window2D" in str(told[1].message)
        for pattern in (Window(15), partial(Window2D, size=3), Causal(), TopK(99), Full()):
            ViT(**SMALL, pattern=pattern)
        with torch.device("meta"):
            ViT(**SMALL, pattern=Window(3))
        ViT(**{**SMALL, "img_size": 4}, pattern=Window(3))  # one patch: nothing to hide
        assert len(told) == 2


@pytest.mark.parametrize("make, words", [
    (lambda: ViT(**SMALL, pattern=GraphEdges()), "is for the edges of a graph, and an image has none"),
    (lambda: ViT(**SMALL, pattern=Window(3) | GraphEdges()), "is for the edges of a graph"),
    (lambda: ViT(**SMALL, pattern=Window), "The pattern Window needs size, and this model has grid, prefix, num_heads"),
    (lambda: ViT(**SMALL, attention=partial(Attention, pattern="window")), "pattern is an object"),
    (lambda: GAT(4, 3, pattern=partial(Window2D, size=2)), "The pattern Window2D needs grid, and this model has nothing"),
    (lambda: GAT(4, 3, pattern=GraphEdges() & Best(2)), r"Best\(n=2\) chooses keys by their content in a matrix and says"),
    (lambda: Edges(torch.zeros(2, 1).long(), 2) & (TopK(1) | Window(2)), "no edit_segments"),
])  # fmt: skip
def test_errors_are_sentences(make, words):
    with pytest.raises(ZooError, match=words):
        make()


def test_a_gat_chooses_among_a_nodes_edges():
    """The k edges of highest logit into each node, of each head; the rest weigh 0; it trains."""
    edges = torch.randint(20, (2, 150))
    model = GAT(4, 3, pattern=GraphEdges() & TopK(2), self_loops=None, dropout=0.0, attn_dropout=0.0)
    x = torch.randn(20, 4)
    for edge_index, alpha, _ in weights_of(model, x, edges).values():
        for node in range(20):
            into = alpha[edge_index[1] == node]
            assert ((into > 0).sum(0) == min(2, len(into))).all()
    model.train()(x, edges).sum().backward()
    dense = GAT(4, 3, pattern=TopK(2), self_loops=None).eval()
    assert ((weights_of(dense, x, edges)["layers.0.attn"] > 0).sum(-1) == 2).all()


@pytest.mark.parametrize("extra", ["nothing", "bias", "causal", "groups", "loops"])
def test_a_choice_among_edges_on_every_kernel(extra):
    """The edge list against the oracle, which asks `edit` for one target at a time, and against the dense pattern."""
    g = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, 3, 9, 4, generator=g, dtype=torch.float64).requires_grad_() for _ in range(3))
    where = torch.randperm(81, generator=g)[:40]
    index, how = torch.stack([where // 9, where % 9]), {}
    edges = Edges(index, 9, group=torch.randint(2, (40,), generator=g) if extra == "groups" else None)
    edges = edges.with_self_loops() if extra == "loops" else edges
    rest = Causal() if extra == "causal" else Full()
    if extra == "bias":
        bias = torch.randn(2, 3, 9, 9, generator=g, dtype=torch.float64)
        bias[:, :, :, 3] = -torch.inf
        how = dict(bias=bias)
    outs = [
        attend(q, k, v, pattern=edges & TopK(2) & rest, kernel=name, **how).out for name in ("edge_list", "reference")
    ]
    torch.testing.assert_close(*outs)
    for a, b in zip(*(torch.autograd.grad(out.square().sum(), (q, k, v)) for out in outs), strict=True):
        torch.testing.assert_close(a, b)
    if extra != "groups":
        mask = torch.zeros(9, 9, dtype=torch.bool)
        mask[edges.edge_index[1], edges.edge_index[0]] = True
        dense = attend(q, k, v, pattern=Allowed(mask) & TopK(2) & rest, **how).out
        torch.testing.assert_close(outs[0], dense)


@dataclass(frozen=True, eq=False)
class Allowed(Pattern):
    mask: torch.Tensor

    def allowed(self, b, h, q, k):
        return self.mask[q, k]


def test_a_batch_of_images_with_padding():
    """A run-time pattern is joined to a choice by content as to any other: what it hides is never chosen."""
    layer = ViT(**SMALL, pattern=TopK(3)).blocks[0].attn.eval()
    with record_attention(layer) as maps:
        layer(torch.randn(2, 17, 16), pattern=Padding(torch.tensor([9, 17])))
    assert (maps[""][0, ..., 9:] == 0).all() and ((maps[""][:, :, 1:, 1:] > 0).sum(-1) == 3).all()
