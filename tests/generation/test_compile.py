"""compile=True: the same tokens from one graph a bucket of lengths. How often the compiler is called does not depend on which
one it is; the real one takes half a minute (slow)."""

import pytest
import torch
from torch._dynamo.utils import counters

from tests.generation.tiny import KINDS, prompt, tiny
from zoo.generation import packed, reader


@pytest.fixture
def graphs(monkeypatch):
    """How many there are so far."""
    monkeypatch.setattr(reader, "BACKEND", "eager")
    torch._dynamo.reset()
    counters.clear()
    yield lambda: counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", KINDS)
def test_same_tokens(kind, graphs):
    model, x = tiny(kind), prompt(9)
    want = model.generate(x, 20, temperature=0)
    got = model.generate(x, 20, temperature=0, compile=True)
    assert torch.equal(got.ids, want.ids) and graphs() == 1
    torch.testing.assert_close(got.logprobs, want.logprobs, atol=1e-4, rtol=1e-4)


def test_one_graph_a_bucket(graphs):
    """Not one more from token to token, prompt to prompt, call to call; each bucket of lengths has its own."""
    model = tiny(context=512, depth=1)
    for n, new in ((3, 5), (9, 20), (30, 30), (1, 60), (50, 14)):
        for how in (dict(temperature=0), dict(seed=n, top_k=5)):
            model.generate(prompt(n), new, compile=True, **how)
    assert graphs() == 1
    model.generate(prompt(20), 60, temperature=0, compile=True)  # 128 slots: half of them are read first, then all
    assert graphs() == 3
    for n, new in ((50, 60), (33, 90), (60, 61)):
        model.generate(prompt(n), new, temperature=0, compile=True)
    assert graphs() == 3


def test_across_buckets_the_tokens_are_the_same(graphs):
    model, x = tiny(context=512, depth=1), prompt(40)
    want = model.generate(x, 150, temperature=0)
    assert torch.equal(model.generate(x, 150, temperature=0, compile=True).ids, want.ids)


@pytest.mark.slow  # by default tests/attention/test_caches.py, whose caches these are
@pytest.mark.parametrize("cache", ["int8", "window:8", "sinks:2+8", "heavy:4+6"])
def test_other_caches(cache, graphs):
    model, rows = tiny(), [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [4, 5]]
    want = model.generate(rows, 20, temperature=0, cache=cache).ids
    assert torch.equal(model.generate(rows, 20, temperature=0, cache=cache, compile=True).ids, want)
    assert graphs() == 1


def test_padded_beams_and_drafts(graphs):
    model, rows = tiny(depth=1), [[1, 2, 3, 4, 5, 6], [4, 5]]
    want = model.generate(rows, 12, temperature=0, num_beams=3).ids
    assert torch.equal(model.generate(rows, 12, temperature=0, num_beams=3, compile=True).ids, want)
    assert graphs() == 1
    want, draft = model.generate(rows[:1], 12, temperature=0).ids, tiny("gpt", seed=3, depth=1)
    assert torch.equal(model.generate(rows[:1], 12, temperature=0, compile=True, draft=draft).ids, want)


def test_packed_weights(graphs, monkeypatch):
    """They stand in for the model's own in the compiled step too, and new ones need no new graph."""
    monkeypatch.setattr(packed, "NUMBERS", 1)
    model = tiny(depth=1)
    for seed in (0, 1):
        model.load_state_dict(tiny(depth=1, seed=seed).state_dict())
        want = model.generate(prompt(9), 20, temperature=0, cache="none").ids
        assert torch.equal(model.generate(prompt(9), 20, temperature=0, compile=True).ids, want)
        assert model in packed._made and graphs() == 1


def test_models_share_no_limit(graphs):
    """As torch has for one function."""
    with torch._dynamo.config.patch(recompile_limit=1):
        for seed in range(3):
            model = tiny("gpt", seed=seed, depth=1)
            want = model.generate(prompt(4), 3, temperature=0).ids
            assert torch.equal(model.generate(prompt(4), 3, temperature=0, compile=True).ids, want)


@pytest.mark.slow
def test_with_the_real_compiler():
    torch._dynamo.reset()
    counters.clear()
    model = tiny("llama")
    for n in (7, 30):
        want = model.generate(prompt(n), 20, temperature=0).ids
        assert torch.equal(model.generate(prompt(n), 20, temperature=0, compile=True).ids, want)
    assert counters["stats"]["unique_graphs"] == 1
