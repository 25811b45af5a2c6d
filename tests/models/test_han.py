"""HAN: what is drawn of each meta-path, and the norm between the two attentions."""

import pytest
import torch
from torch import nn

from zoo.errors import ZooError
from zoo.models.graph.han import HAN

F, C, N = 5, 3, 12
TYPES = {"target": "a", "metapaths": [("a", "one", "a"), ("a", "two", "a")]}
NONE = torch.zeros(2, 0, dtype=torch.long)


def model(**changes):
    torch.manual_seed(0)
    return HAN(F, C, TYPES, head_dim=2, num_heads=2, hidden=4, dropout=0.0, attn_dropout=0.0, **changes)


def graphs():
    made = torch.Generator().manual_seed(1)
    return [torch.randint(N, (2, 40), generator=made) for _ in TYPES["metapaths"]]


def test_edges_are_left_out_of_the_meta_path_that_is_told():
    """A sparse meta-path has no edges to spare: the share that training leaves out is each path's own."""
    one, two = graphs()
    x, net = torch.randn(N, F), model(drop_edge=[0.0, 1.0]).train()
    torch.testing.assert_close(net(x, [one, two]), net.eval()(x, [one, NONE]))
    both = model(drop_edge=1.0).train()
    torch.testing.assert_close(both(x, [one, two]), both.eval()(x, [NONE, NONE]))


@pytest.mark.parametrize("drop_edge", [[0.5], [0.1, 0.2, 0.3], []])
def test_shares_for_another_number_of_meta_paths_are_refused(drop_edge):
    with pytest.raises(ZooError, match="one for each of the meta-paths one, two; got"):
        model(drop_edge=drop_edge)


def test_with_a_norm_the_scale_of_the_features_is_no_matter():
    """Words of a paper that add up to 1 are as good as their counts."""
    x, net = 10 * torch.randn(N, F), model(norm=nn.LayerNorm).eval()
    torch.testing.assert_close(net(1000 * x, [NONE, NONE]), net(x, [NONE, NONE]), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(model().eval()(1000 * x, [NONE, NONE]), model().eval()(x, [NONE, NONE]))
