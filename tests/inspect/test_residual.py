"""The residual stream under the names of the equations of zoo/layers/block.py, exactly."""

import pytest
import torch
from torch import nn

from zoo.attention import Attention
from zoo.errors import ZooError
from zoo.inspect import record_residual
from zoo.layers import Block, FeedForward, post_norm, pre_norm


def block(order, **more) -> Block:
    return Block(8, Attention(8, 2), FeedForward(8, 16), order=order, **more)


def added(steps, part: str, branch: str):
    """What a sublayer adds to the stream: after layer scale and drop path where there are any."""
    return steps.get(f"{branch}.out", steps[f"{part}.out"])


@pytest.mark.parametrize("more", [{}, {"layer_scale": 0.1}, {"drop_path": 0.5}], ids=str)
def test_pre_norm(more):
    model, x = nn.Sequential(block(pre_norm, **more), block(pre_norm, **more)), torch.randn(4, 5, 8)
    with record_residual(model) as stream:
        out = model(x)
    assert list(stream) == ["0", "1"]
    for part, steps in zip(model, stream.values(), strict=True):
        X, Y, Z = (steps[name] for name in "XYZ")
        assert torch.equal(steps["attn.in"], part.norm1(X))  # Y = X + MHA(LN X)
        assert torch.equal(Y, X + added(steps, "attn", "branch1"))
        assert torch.equal(steps["mlp.in"], part.norm2(Y))  # Z = Y + FFN(LN Y)
        assert torch.equal(Z, Y + added(steps, "mlp", "branch2"))
    assert torch.equal(stream["0"]["X"], x)
    assert torch.equal(stream["1"]["X"], stream["0"]["Z"])
    assert torch.equal(stream["1"]["Z"], out)


@pytest.mark.parametrize("more", [{}, {"layer_scale": 0.1}, {"drop_path": 0.5}], ids=str)
def test_post_norm(more):
    model, x = block(post_norm, **more), torch.randn(4, 5, 8)
    with record_residual(model) as stream:
        out = model(x)
    steps = stream[""]
    X, T2, T3, T5, H = (steps[name] for name in ("X", "T2", "T3", "T5", "H"))
    assert torch.equal(X, x) and torch.equal(steps["attn.in"], X)
    assert torch.equal(T2, X + added(steps, "attn", "branch1"))
    assert torch.equal(T3, model.norm1(T2))
    assert torch.equal(steps["mlp.in"], T3)
    assert torch.equal(T5, T3 + added(steps, "mlp", "branch2"))
    assert torch.equal(H, model.norm2(T5)) and torch.equal(H, out)


def test_another_order_is_read_by_the_places():
    def sandwich(x, norm, sublayer, branch):
        return x + branch(norm(sublayer(norm(x))))

    x = torch.randn(1, 3, 8)
    with record_residual(block(sandwich)) as stream:
        block(sandwich)
    assert stream == {}
    model = block(sandwich)
    with record_residual(model) as stream:
        out = model(x)
    assert "Y" not in stream[""]
    assert torch.equal(stream[""]["in"], x) and torch.equal(stream[""]["out"], out)
    assert torch.equal(stream[""]["norm1.in"], stream[""]["attn.out"])


def test_wrappers_are_stripped_and_hooks_removed():
    inner = nn.ModuleDict({"module": nn.Sequential(block(pre_norm))})
    with record_residual(inner) as stream:
        inner["module"](torch.randn(1, 3, 8))
    assert list(stream) == ["0"]
    with pytest.raises(RuntimeError), record_residual(inner):
        raise RuntimeError
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in inner.modules())


def test_nothing_recorded_holds_a_graph():
    model = block(pre_norm)
    with record_residual(model) as stream:
        model(torch.randn(1, 3, 8)).sum().backward()
    assert not any(tensor.requires_grad for tensor in stream[""].values())


def test_a_model_without_blocks_is_refused():
    with pytest.raises(ZooError, match="Linear holds no zoo"), record_residual(nn.Linear(1, 1)):
        pass
