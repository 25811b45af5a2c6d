"""Contract 8 and B2: recording sees the weights and changes nothing."""

import pytest
import torch
from torch import nn

from tests.attention.examples import POSITIONS, SCORES, B, D, H, N, make
from zoo.attention import KERNELS, Attention, Causal, record_attention
from zoo.attention.record import strip_wrappers
from zoo.errors import ZooError

DIM = H * D
INSIDE = [None, *(kind for kind in POSITIONS if make(kind).acts_inside)]


class Two(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.layers = nn.ModuleList(Attention(DIM, H, **how) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("kernel", [None, *(k.name for k in KERNELS)])
@pytest.mark.parametrize("kind", SCORES)
def test_recording_leaves_outputs_bit_for_bit(kind, kernel, train):
    """Any score, any kernel, pinned or not, training (with dropout, same random numbers) or not."""
    model = Two(score=kind, kernel=kernel, pattern=Causal(), dropout=0.3, num_kv_heads=2).train(train)
    x = torch.randn(B, N, DIM)
    try:
        torch.manual_seed(1)
        want = model(x)
    except ZooError:
        return  # this kernel cannot run this score, pinned or not
    torch.manual_seed(1)
    with record_attention(model) as maps:
        got = model(x)
    assert torch.equal(got, want)
    assert torch.equal(torch.rand(3), torch.rand(3)) is False  # the generator goes on as usual
    assert list(maps) == ["layers.0", "layers.1"]
    for weights in maps.values():
        assert weights.shape == (B, H, N, N) and not weights.requires_grad
        torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, N))  # bug 23: before dropout
        assert (weights.triu(1) == 0).all()
    assert all(layer.recorder is None for layer in model.layers)


@pytest.mark.parametrize("position", INSIDE)
def test_recorded_weights_are_those_of_the_output(position):
    """With the values known, weights @ v gives the output: what is recorded is what was computed."""
    layer = Attention(DIM, H, position=None if position is None else make(position), output=nn.Identity()).eval()
    x = torch.randn(B, N, DIM)
    with record_attention(layer) as maps:
        out = layer(x)
    v = layer.projection(x)[2]
    torch.testing.assert_close(maps[""] @ v, out)


def test_only():
    model = Two()
    for only, paths in (
        ("layers.1", ["layers.1"]),
        ("layers.*", ["layers.0", "layers.1"]),
        (["layers.0"], ["layers.0"]),
    ):
        with record_attention(model, only=only) as maps:
            model(torch.randn(B, N, DIM))
        assert list(maps) == paths
    with pytest.raises(ZooError, match=r"layers\.0"), record_attention(model, only="layer.0"):
        pass
    with pytest.raises(ZooError, match="no Attention"), record_attention(nn.Linear(2, 2)):
        pass


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo's own look at .grad at a graph break
def test_paths_of_wrapped_models():
    """`module.` and `_orig_mod.` are stripped; a compiled model records, bit for bit, and goes on after it."""
    model = Two().eval()
    x = torch.randn(B, N, DIM)
    for fullgraph in (False, True):
        torch.compiler.reset()
        compiled = torch.compile(model, backend="eager", fullgraph=fullgraph)
        plain = compiled(x)
        for _ in range(2):
            with record_attention(compiled) as maps:
                assert torch.equal(compiled(x), plain)
            assert torch.equal(compiled(x), plain)
            assert list(maps) == ["layers.0", "layers.1"]
            torch.testing.assert_close(maps["layers.1"].sum(-1), torch.ones(B, H, N))
    with record_attention(nn.ModuleDict({"module": model})) as maps:
        model(x)
    assert list(maps) == ["layers.0", "layers.1"]
    assert strip_wrappers("module._orig_mod.my_module.attn") == "my_module.attn"


def test_an_error_inside_leaves_no_recorder():
    model = Two()
    with pytest.raises(RuntimeError), record_attention(model):
        raise RuntimeError
    assert all(layer.recorder is None for layer in model.layers)
