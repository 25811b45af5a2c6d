"""Weights column by column: the same model, faster; nothing of it stays behind."""

import pytest
import torch
from torch import nn

from tests.generation.tiny import prompt, tiny
from zoo.generation import columns
from zoo.generation.columns import columns_of


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(columns, "NUMBERS", 1)


def test_the_model_is_as_before():
    """Same parameters, same tie, same strides, after a whole text, a stream that was left, and an error."""
    model, x = tiny("gpt"), prompt()
    before = {name: (value, value.stride()) for name, value in model.named_parameters()}
    want = model.generate(x, 8, temperature=0).ids  # too few steps for a copy
    assert model not in columns._made
    assert torch.equal(model.generate(x, 20, temperature=0).ids[:, :8], want) and model in columns._made
    next(model.generate(x, 20, temperature=0, stream=True))
    with pytest.raises(RuntimeError), columns._made[model].in_place():
        assert model.head.weight is not model.embed.weight and model.head.weight.stride() == (1, 24)
        raise RuntimeError
    assert model.head.weight is model.embed.weight
    assert {name: (value, value.stride()) for name, value in model.named_parameters()}.keys() == before.keys()
    assert all(
        value is before[name][0] and value.stride() == before[name][1] for name, value in model.named_parameters()
    )


def test_changed_weights_are_seen():
    """By an optimizer's step, a load, a matrix of its own, data set anew."""
    model, x = tiny(), prompt()
    model.generate(x, 20, temperature=0)

    def check():
        fresh = tiny()
        fresh.load_state_dict(model.state_dict())
        assert torch.equal(model.generate(x, 20, temperature=0).ids, fresh.generate(x, 20, temperature=0).ids)

    model(x).sum().backward()
    torch.optim.SGD(model.parameters(), 1e-2).step()
    check()
    model.load_state_dict(tiny(seed=5).state_dict())
    check()
    model.blocks[0].mlp.down.weight.data = torch.randn(32, 96)
    check()
    model.blocks[1].mlp.down.weight = nn.Parameter(torch.randn(32, 96))
    check()


def test_only_where_it_is_faster(monkeypatch):
    model = tiny()
    assert columns_of(model, 1, 2) is None and columns_of(model, 20, 50) is None
    assert columns_of(tiny(dtype=torch.bfloat16), 1, 50) is None
    monkeypatch.setattr(columns, "_free_memory", lambda: 1000.0)
    assert columns_of(model, 1, 50) is None
    monkeypatch.undo()
    monkeypatch.setattr(columns, "NUMBERS", 1)
    made = columns_of(model, 1, 50)
    assert made is not None and columns_of(model, 1, 2) is made  # once it is there
