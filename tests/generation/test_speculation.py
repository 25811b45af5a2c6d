"""Speculative decoding changes the time, not the text: nor its distribution."""

import pytest
import torch
from scipy.stats import chisquare

from tests.generation.tiny import prompt, tiny
from zoo.errors import ZooError
from zoo.generation.prompts import prompts
from zoo.generation.reader import Reader
from zoo.generation.sampling import Draws, Sampling
from zoo.generation.speculation import Lookup, Speculation
from zoo.generation.stopping import Rows, Stop

V, NEW = 4, 3


def exact(model, x, sampling):
    """The probability of each continuation of NEW tokens, by all V ** NEW of them."""
    whole = torch.cartesian_prod(*[torch.arange(V)] * NEW)
    p = torch.ones(len(whole), dtype=torch.float64)
    for t in range(NEW):
        ids = torch.cat([x.expand(len(whole), -1), whole[:, :t]], 1)
        seen = torch.zeros(len(whole), V, dtype=torch.bool).scatter_(1, ids, True)
        with torch.no_grad():
            p *= sampling.probabilities(model(ids)[:, -1], seen).gather(1, whole[:, t : t + 1])[:, 0]
    return p


@pytest.mark.parametrize(
    "how", [dict(temperature=1.0), dict(temperature=0.7, top_k=3, repetition_penalty=0.8)], ids=str
)
@pytest.mark.parametrize("draft", ["lookup", "a model"])
def test_exact_in_distribution(draft, how):
    """Chi-square over all texts of three tokens."""
    model, x = tiny("gpt", vocab_size=V, depth=1), torch.tensor([[0, 1, 2, 3, 0, 1]])
    p = exact(model, x, Sampling(**how))
    proposer = tiny("gpt", vocab_size=V, depth=1, seed=4) if draft == "a model" else draft
    count = torch.zeros(V**NEW, dtype=torch.float64)
    acceptance = []
    for seed in range(400):
        got = model.generate(x, NEW, seed=seed, draft=proposer, **how)
        count[int(got.ids[0] @ torch.tensor([V**2, V, 1]))] += 1
        acceptance.append(got.acceptance)
    often = p * count.sum() >= 5  # rarer texts are one class together
    assert not count[p == 0].any()
    pooled, expected = ([*x[often].tolist(), float(x[~often].sum())] for x in (count, p * count.sum()))
    assert chisquare(pooled, expected).pvalue > 1e-3
    assert 0.1 < sum(acceptance) / len(acceptance) < 0.9  # both branches were gone through


def test_a_draft_that_is_always_wrong_changes_nothing():
    """A proposer of the least likely token: its tokens go, and the text stays."""
    model, x = tiny(), prompt()
    want = model.generate(x, 12, temperature=0).ids

    class Wrong(Lookup):
        def propose(self, ids, most, seen):
            with torch.no_grad():
                worst = int(model(torch.tensor([ids]))[0, -1].argmin())
            q = torch.zeros(min(most, 3), 24, dtype=torch.float64)
            q[:, worst] = 1.0
            return [worst] * min(most, 3), q

    start, rows = prompts(x, vocab_size=24), Rows(Stop([], vocab_size=24), [[]])
    loop = Speculation(Reader(model, 1, 40), Wrong(24, x.device), Sampling(0.0), Draws(0, 1))
    assert [int(step.token) for step in loop.steps(start, rows, 12)] == want[0].tolist() and loop.acceptance == 0


def test_lookup_proposes_what_followed_the_longest_run_the_latest():
    lookup = Lookup(10, torch.device("cpu"))
    text = [1, 2, 3, 4, 9, 2, 3, 5, 6, 2, 3]
    assert lookup.propose(text, 3, None)[0] == [5, 6, 2]  # of "2 3" the latest, not the first
    text += [4]
    assert lookup.propose(text, 3, None)[0] == [9, 2, 3]  # "2 3 4" is longer than "4"
    chosen, q = lookup.propose([*text, 7], 3, None)
    assert chosen == [] and q.shape == (0, 10)
    assert lookup.propose([*text, 7, 7], 8, None)[0] == [7]


def test_repetition_is_found():
    """A model that repeats itself accepts what lookup proposes."""
    model = tiny("llama", spread=0.02)
    got = model.generate(prompt(12).repeat(1, 3), 25, temperature=0, draft="lookup")
    assert got.acceptance > 0.5


@pytest.mark.parametrize("cache", ["full", "none", "int8"])
def test_caches_that_can_go_back(cache):
    model, x = tiny(), prompt()
    want = model.generate(x, 12, temperature=0, cache=cache).ids
    assert torch.equal(model.generate(x, 12, temperature=0, cache=cache, draft=tiny("gpt", seed=2)).ids, want)


def test_a_cache_that_cannot_go_back():
    with pytest.raises(ZooError, match="has let go of tokens"):
        tiny().generate(prompt(), 12, temperature=0, cache="window:4", draft=tiny("gpt", seed=2))


def test_refused():
    model, x = tiny(), prompt()
    for draft, says in (
        (tiny(vocab_size=30), "The draft has a vocabulary of 30 and the model one of 24"),
        ("guess", "draft is a model or \"lookup\"; got 'guess'"),
        (tiny("gpt", num_classes=2), "This GPT has a classifier of 2 classes"),
        (tiny("gpt", context=9), "GPT has 9 learned ones"),
    ):
        with pytest.raises(ZooError, match=says):
            model.generate(x, 12, draft=draft)
    with pytest.raises(ZooError, match="draft= is for one text at a time; got 2"):
        model.generate([[1], [2]], 12, draft="lookup")


def test_another_tokenizer_is_refused():
    from zoo.text import Characters

    model, draft = tiny(), tiny("gpt", seed=2)
    model.tokenizer, draft.tokenizer = Characters.of(["abc"]), Characters.of(["abd"])
    with pytest.raises(ZooError, match="The draft has another tokenizer"):
        model.generate(prompt(), 3, draft=draft)
    draft.tokenizer = Characters.of(["abc"])
    assert model.generate(prompt(), 3, draft=draft).ids.shape == (1, 3)
