"""Packed weights: the same model, faster; nothing of it stays behind."""

import pytest
import torch
from torch import nn

from tests.generation.tiny import prompt, tiny
from zoo.generation import packed
from zoo.generation.packed import packed_of


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(packed, "NUMBERS", 1)
    monkeypatch.setattr(packed, "LARGE", 1000)  # so that there are both kinds


def test_the_model_is_as_before():
    """Same modules, same tie, after a whole text, a stream that was left, and an error."""
    model, x = tiny("gpt"), prompt()
    before = dict(model.named_modules()), dict(model.named_parameters())
    want = model.generate(x, 8, temperature=0).ids  # too few steps for a copy
    assert model not in packed._made
    assert torch.equal(model.generate(x, 20, temperature=0).ids[:, :8], want) and model in packed._made
    next(model.generate(x, 20, temperature=0, stream=True))
    with pytest.raises(RuntimeError), packed._made[model].in_place():
        assert model.head.weight.stride() == (1, 24) and isinstance(model.blocks[1].mlp.fc1, packed.PackedLinear)
        raise RuntimeError
    assert model.head.weight is model.embed.weight
    for now, then in zip((dict(model.named_modules()), dict(model.named_parameters())), before, strict=True):
        assert [*now] == [*then] and all(now[name] is then[name] for name in now)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(1, 1), (3, 1), (1, 5), (2, 8)], ids=str)
def test_the_product(rows, bias, dtype):
    linear, x = nn.Linear(48, 40, bias=bias, dtype=dtype), torch.randn(*rows, 48, dtype=dtype)
    with torch.no_grad():
        torch.testing.assert_close(
            packed.PackedLinear(linear)(x), linear(x), atol=2e-2 if dtype != torch.float32 else 1e-5, rtol=1e-2
        )


def test_a_hook_is_called():
    model, seen = tiny(), []
    model.head.register_forward_hook(lambda *how: seen.append(1))
    model.generate(prompt(), 20, temperature=0)
    assert len(seen) == 20


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
    assert packed_of(model, 1, 2) is None and packed_of(model, packed.ROWS + 1, 50) is None
    assert packed_of(tiny(dtype=torch.float64), 1, 50) is None
    monkeypatch.setattr(packed, "_free_memory", lambda: 1000.0)
    assert packed_of(model, 1, 50) is None
    monkeypatch.undo()
    monkeypatch.setattr(packed, "NUMBERS", 1)
    made = packed_of(model, 1, 50)
    assert made is not None and packed_of(model, 1, 2) is made  # once it is there
