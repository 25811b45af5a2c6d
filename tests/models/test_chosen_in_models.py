"""ProbSparse and LSH in the models: images with and without class tokens, text, graphs."""

import pytest
import torch

from zoo.attention import LSH, Edges, Global, GraphEdges, ProbSparse, record_attention
from zoo.errors import ZooError
from zoo.models.graph.gat import GAT
from zoo.models.language.gpt import GPT
from zoo.models.vision.vit import ViT

SMALL = dict(img_size=16, patch_size=2, in_chans=1, num_classes=3, dim=16, depth=2, num_heads=2)
BOTH = [ProbSparse(1), LSH(1, 8)]


@pytest.mark.parametrize("tokens", [dict(class_token=False, pool="mean"), dict(), dict(reg_tokens=2)], ids=str)
@pytest.mark.parametrize("pattern", BOTH, ids=str)
def test_a_vit_chooses_among_its_patches(pattern, tokens):
    """Without a class token the pattern is the model's own; with one the choice is made among the patches, and the class token
    sees all. It trains, every parameter, and in evaluation it gives the same twice."""
    model, x = ViT(**SMALL, **tokens, pattern=pattern), torch.randn(2, 1, 16, 16)
    n = model.num_prefix_tokens
    assert (model.blocks[0].attn.pattern == pattern) == (n == 0)
    model.train()(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with record_attention(model.eval()) as maps:
        out = model(x)
    torch.manual_seed(7)
    assert torch.equal(model(x), out)
    for weights in maps.values():
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 64 + n))
        assert (weights[:, :, :n] > 0).all() and (weights[..., :n] > 0).all()
        rows = weights[:, :, n:, n:]
        if isinstance(pattern, ProbSparse):
            uniform = (rows - rows.mean(-1, keepdim=True)).abs().amax(-1) < 1e-6
            assert (uniform.sum(-1) == 64 - pattern.count(64)).all()
        else:
            assert (rows == 0).any() and (rows.diagonal(dim1=-2, dim2=-1) > 0).all()


@pytest.mark.parametrize("kernel", ["probsparse", None])
def test_the_kernel_of_a_vit(kernel):
    """A ViT without a class token is computed by the fast kernel; its output is the oracle's."""
    model, x = (
        ViT(**SMALL, class_token=False, pool="mean", pattern=ProbSparse(1)).double().eval(),
        torch.randn(2, 1, 16, 16),
    )
    outs = []
    for name in (kernel, "reference"):
        for block in model.blocks:
            block.attn.kernel = name
        outs.append(model(x.double()))
    torch.testing.assert_close(*outs)


def test_sums_have_no_class_token():
    with pytest.raises(ZooError, match=r'ProbSparse\(lazy="mean"\)'):
        ViT(**SMALL, pattern=ProbSparse(lazy="sum"))


@pytest.mark.parametrize("pattern", BOTH, ids=str)
def test_text_is_causal_and_refuses_steps(pattern):
    """A prompt is read whole; what is written after it is read again for each token, or refused with the way out."""
    model = GPT(vocab_size=20, dim=16, depth=2, num_heads=2, context=40, pattern=pattern).eval()
    ids = torch.randint(20, (1, 30))
    moved = ids.clone()
    moved[:, 20:] = (moved[:, 20:] + 1) % 20
    torch.testing.assert_close(model(moved)[:, :20], model(ids)[:, :20])
    with pytest.raises(ZooError, match='cache="none"'):
        model.generate(ids, max_new_tokens=3)
    assert model.generate(ids, max_new_tokens=3, cache="none").ids.shape[-1] == 3


@pytest.mark.parametrize("pattern", BOTH, ids=str)
def test_graphs(pattern):
    """Over all nodes as over any tokens; along edges it is refused, with the reason."""
    x, edges = torch.randn(20, 4), torch.randint(20, (2, 60))
    model = GAT(4, 3, pattern=pattern, self_loops=None)
    model.train()(x, edges).sum().backward()
    assert torch.equal(*(model.eval()(x, edges) for _ in range(2)))
    with pytest.raises(ZooError, match="says nothing of edges"):
        GAT(4, 3, pattern=GraphEdges() & pattern)
    with pytest.raises(ZooError, match="says nothing of edges"):
        Edges(edges, 20) & (pattern | Global(1))
