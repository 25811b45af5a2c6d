"""zoo.quantize: int8 weights, within their rounding, under the names of before."""

import pytest
import torch
from torch import nn

import zoo
from tests.generation.tiny import prompt, tiny
from zoo.errors import ZooError
from zoo.layers.quantized import Int8Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(1,), (2, 1), (3, 5), (4, 40)], ids=str)
def test_within_its_rounding(rows, bias):
    """|w - s q| <= s / 2 in each weight; and the product of a few rows is that of many, up to bfloat16."""
    linear = nn.Linear(96, 40, bias=bias)
    made = Int8Linear(linear)
    step = made.scale.float()[:, None]
    error = (made.weight * step - linear.weight).abs()
    assert (error <= 0.5 * step + linear.weight.abs().amax(1, keepdim=True) * 2**-8).all()  # the largest may be cut off
    x = torch.randn(*rows, 96)
    want = (x.bfloat16().double() @ (made.weight * step).double().T).float() + (linear.bias if bias else 0)
    torch.testing.assert_close(made(x), want.detach(), atol=2e-2, rtol=1e-2)


def test_rows_of_zeros():
    linear = nn.Linear(32, 8)
    with torch.no_grad():
        linear.weight[3] = 0
    assert torch.equal(Int8Linear(linear)(torch.randn(2, 32))[:, 3], linear.bias[3].detach().expand(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_model(dtype):
    """The model itself stays as it is; names, hooks and the rest are its own; logits move by little."""
    model, x = tiny("gpt", dtype=dtype, spread=0.1), prompt(20)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = zoo.quantize(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert made.blocks[0].mlp.fc1.weight.dtype == torch.int8 and made.head.weight.dtype == torch.int8
    assert {*before} <= {*made.state_dict()} and made.embed.weight is model.embed.weight
    assert not any(isinstance(each, Int8Linear) for each in model.modules())
    with torch.no_grad():
        want, got = (each(x).float().log_softmax(-1) for each in (model, made))
    assert got.isfinite().all() and (got.exp() * (got - want)).sum(-1).mean() < 1e-3  # nats
    got = made.generate(x, 8, temperature=0)
    assert got.ids.shape == (1, 8) and model.generate(x, 8, temperature=0, draft=made).acceptance > 0.5


def test_its_bytes():
    model = tiny("llama", vocab_size=500)
    made = zoo.quantize(model)
    size = sum(x.nbytes for x in (*made.parameters(), *made.buffers())) - made.embed.weight.nbytes
    whole = sum(x.nbytes for x in model.parameters())
    assert size < 0.32 * whole


def test_any_model():
    from zoo.layers import FeedForward

    model = FeedForward(16, 64).eval()
    x = torch.randn(3, 16)
    with torch.no_grad():
        torch.testing.assert_close(zoo.quantize(model)(x), model(x), atol=2e-2, rtol=2e-2)


def test_it_is_not_saved(tmp_path):
    with pytest.raises(ZooError, match="A quantised model is not saved"):
        zoo.save(zoo.quantize(zoo.create_model("llama_mini", vocab_size=64)), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_refused():
    with pytest.raises(ZooError, match=r"quantised to 'int4'; did you mean 'int8'"):
        zoo.quantize(tiny(), "int4")
    with pytest.raises(ZooError, match=r"ReLU has no nn\.Linear"):
        zoo.quantize(nn.ReLU())
