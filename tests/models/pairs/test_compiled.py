"""compile=true of models of pairs: a graph of any length where a target is read in one call, else a sentence."""

import pytest
import torch
from torch._dynamo.utils import counters

from zoo.errors import ZooError
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.luong import Luong
from zoo.models.pairs.transformer import Transformer2017

V = 11


@pytest.mark.slow  # fifteen seconds; which compiler it is does not matter to how often it is called
def test_one_graph_for_all_lengths():
    """No break, though lengths are looked at; the first length has its own, the others share one."""
    torch.manual_seed(0)
    model = Transformer2017(V, V, 8, depth=1, num_heads=2, hidden=8)
    torch._dynamo.reset()
    counters.clear()
    model.compile(backend="eager")
    for S, T in ((7, 9), (12, 10), (5, 6), (11, 7)):
        source, target = torch.randint(V, (4, S)), torch.randint(V, (4, T))
        lengths = torch.tensor([S, 2, S - 1, 1])
        torch.testing.assert_close(model(source, target, lengths), model.forward(source, target, lengths))
    assert counters["stats"]["unique_graphs"] == 2 and not counters["graph_break"]
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", [Bahdanau, Luong])
def test_a_loop_over_steps_is_refused(kind):
    with pytest.raises(ZooError, match=f"this {kind.__name__} goes along a target step by step.*leave compile out"):
        kind(V, V, 8).compile()


def test_without_steps_it_is_not():
    model = Luong(V, V, 8, input_feeding=False)
    model.compile()
    assert model._compiled_call_impl is not None
