"""What a token is drawn from, and that it is."""

import pytest
import torch
from scipy.stats import chisquare

from tests.generation.tiny import prompt, tiny
from zoo.errors import ZooError
from zoo.generation import sampling
from zoo.generation.sampling import Draws, Sampling

HOW = [
    dict(temperature=0.7),
    dict(top_k=5),
    dict(top_k=500),
    dict(top_p=0.6),
    dict(top_p=1.0),
    dict(min_p=0.2),
    dict(repetition_penalty=1.4),
    dict(repetition_penalty=0.7),
    dict(temperature=1.7, top_k=12, top_p=0.8, min_p=0.05, repetition_penalty=1.2),
]


def theirs(how, scores, tokens):
    """transformers' processors, in its order."""
    from transformers.generation import logits_process as of

    parts = []
    if "repetition_penalty" in how:
        parts.append(of.RepetitionPenaltyLogitsProcessor(how["repetition_penalty"]))
    if "temperature" in how:
        parts.append(of.TemperatureLogitsWarper(how["temperature"]))
    for name, kind in (("top_k", of.TopKLogitsWarper), ("top_p", of.TopPLogitsWarper), ("min_p", of.MinPLogitsWarper)):
        if name in how:
            parts.append(kind(how[name]))
    for part in parts:
        scores = part(tokens, scores)
    return scores.softmax(-1)


@pytest.mark.parametrize("first", [512, 4])
@pytest.mark.parametrize("how", HOW, ids=str)
def test_as_in_transformers(how, first, monkeypatch):
    monkeypatch.setattr(sampling, "FIRST", first)
    scores, tokens = 2 * torch.randn(6, 40, dtype=torch.float64), torch.randint(40, (6, 9))
    seen = torch.zeros(6, 40, dtype=torch.bool).scatter_(1, tokens, True)
    torch.testing.assert_close(Sampling(**how).probabilities(scores, seen), theirs(how, scores, tokens))


def test_temperature_near_0_is_greedy_and_no_overflow():
    scores = 50 * torch.randn(3, 40)
    want = torch.zeros(3, 40, dtype=torch.float64).scatter_(1, scores.argmax(-1, keepdim=True), 1.0)
    for temperature in (0, 1e-30, 1e-300):
        assert torch.equal(Sampling(temperature).probabilities(scores), want)


def test_tokens_are_drawn_from_it():
    """The relative frequencies of 20,000 draws; a token of probability 0 never."""
    p = torch.tensor([0.0, 0.5, 0.0, 0.1, 0.38, 0.02, 0.0], dtype=torch.float64)
    draws = Draws(3, 1)
    count = torch.stack([draws.token(p[None])[0] for _ in range(20_000)]).bincount(minlength=7)
    assert count[p == 0].sum() == 0
    assert chisquare(count[p > 0], 20_000 * p[p > 0]).pvalue > 1e-3


def test_texts_are_drawn_from_the_model():
    """Chi-square over all texts of two tokens, 3,000 rows with a seed each."""
    V, start = 4, [0, 1, 2]
    model, how = tiny("gpt", vocab_size=V, spread=0.2), dict(temperature=0.8, top_k=3, repetition_penalty=1.3)
    got = model.generate([start] * 3000, 2, seed=0, **how).ids
    p = torch.ones(V**2, dtype=torch.float64)
    texts = torch.cartesian_prod(torch.arange(V), torch.arange(V))
    for t in range(2):
        ids = torch.cat([torch.tensor(start).expand(V**2, -1), texts[:, :t]], 1)
        seen = torch.zeros(V**2, V, dtype=torch.bool).scatter_(1, ids, True)
        with torch.no_grad():
            p *= Sampling(**how).probabilities(model(ids)[:, -1], seen).gather(1, texts[:, t : t + 1])[:, 0]
    count = (got[:, 0] * V + got[:, 1]).bincount(minlength=V**2)
    assert not count[p == 0].any() and chisquare(count[p > 0], 3000 * p[p > 0]).pvalue > 1e-3


def test_a_penalty_leaves_padding_out():
    """Row 0's padding holds id 0, which row 0 has not."""
    model = tiny("gpt", tied=False, head_bias=True)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(0.5)[0] = 1.0
    rows = [[3], [4, 5, 6, 7]]
    got = model.generate(rows, 1, temperature=0, repetition_penalty=1e6)
    assert got.ids.tolist() == [[0], [0]]
    assert model.generate([[3, 0], [4, 5, 6, 7]], 1, temperature=0, repetition_penalty=1e6).ids[0, 0] != 0


def test_what_was_generated_counts_as_seen():
    got = tiny().generate(prompt(4), 15, temperature=0, repetition_penalty=1e9)
    assert len({*got.ids[0].tolist(), *prompt(4)[0].tolist()}) >= 15


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (dict(temperature=-0.1), "temperature is at least 0"),
        (dict(temperature=float("nan")), "temperature is at least 0"),
        (dict(temperature=float("inf")), "temperature is at least 0"),
        (dict(top_p=0), r"top_p is in \(0, 1\]"),
        (dict(top_p=1.1), r"top_p is in \(0, 1\]"),
        (dict(top_k=0), "top_k is a number of tokens"),
        (dict(top_k=2.5), "top_k is a number of tokens"),
        (dict(min_p=-0.1), r"min_p is in \[0, 1\]"),
        (dict(min_p=1.5), r"min_p is in \[0, 1\]"),
        (dict(repetition_penalty=0), "repetition_penalty is above 0"),
        (dict(seed=1.5), "seed is a whole number"),
        (dict(max_new_tokens=0), "max_new_tokens is a whole number"),
        (dict(max_new_tokens=True), "max_new_tokens is a whole number"),
        (dict(prefill_chunk=0), "prefill_chunk is a number of tokens"),
        (dict(prefill_chunk=2, cache="none"), "prefill_chunk needs a cache"),
        (dict(compile=True, cache="none"), "compile=True needs a cache"),
        (dict(cache="window:0"), "cache='window:0' is none of"),
        (dict(num_beams=0), "num_beams is a whole number"),
        (dict(num_beams=2), "num_beams=2 searches for the likeliest text, and temperature=1.0 draws"),
        (dict(num_beams=2, temperature=0, stream=True), "stream= exclude each other"),
        (dict(num_beams=2, temperature=0, draft="lookup"), "draft= exclude each other"),
    ],
    ids=str,
)
def test_refused(how, says):
    with pytest.raises(ZooError, match=says):
        tiny().generate(prompt(), **how)
