"""The sentence of a language model says what its tokens see."""

import pytest

import zoo
from zoo.inspect.words import sentence


@pytest.mark.parametrize(
    "name, more, pattern",
    [
        ("gpt_mini", {}, "Causal()"),
        ("llama_mini", {"pattern": {"_target_": "zoo.attention.Window", "size": 8}}, "Causal() & Window(size=8)"),
        ("bert_mini", {}, "Full()"),
    ],
)
def test_what_its_tokens_see(name, more, pattern):
    model = zoo.create_model(name, vocab_size=20, dim=16, depth=1, num_heads=4, **more)
    assert f"x {pattern} x" in sentence(model)
