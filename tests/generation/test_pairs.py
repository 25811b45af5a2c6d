"""Targets of source sentences: greedy is the argmax of the whole forward, beams find what trying everything finds (C14)."""

import itertools

import pytest
import torch

from zoo.errors import ZooError
from zoo.models.pairs.bahdanau import Bahdanau
from zoo.models.pairs.captioner import Captioner
from zoo.models.pairs.luong import Luong
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.pairs.transformer import Transformer2017

V, W, B, S, BOS, EOS = 7, 4, 3, 5, 1, 2
SOURCE, LENGTHS = torch.randint(V, (B, S), generator=torch.Generator().manual_seed(0)), torch.tensor([5, 3, 1])
IMAGES = torch.randn(B, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
HOW = dict(begin=BOS, stop=EOS, max_new_tokens=4)


FAMILIES = {
    "seq2seq": lambda: Seq2Seq(V, W, 8),
    "bahdanau": lambda: Bahdanau(V, W, 8),
    "luong": lambda: Luong(V, W, 8),
    "transformer_2017": lambda: Transformer2017(V, W, 8, depth=1, num_heads=2),
    "captioner": lambda: Captioner(4, W, 2, dim=8, depth=1, num_heads=2),
}


def given(model, row=None):
    """(source, lengths) of the batch, or of a row alone."""
    if "captions" in model.reads:
        return (IMAGES if row is None else IMAGES[row : row + 1]), None
    return (SOURCE, LENGTHS) if row is None else (SOURCE[row : row + 1, : LENGTHS[row]], None)


@pytest.fixture(params=FAMILIES)
def model(request):
    torch.manual_seed(0)
    made = FAMILIES[request.param]().double()
    for p in made.parameters():
        p.data *= 3
    return made


@torch.no_grad()
def ended(model, row, tokens):
    """Sum of the log-probabilities of a text by one forward, cut behind its end."""
    target = torch.tensor([[BOS, *tokens]])
    logs = model.eval()(given(model, row)[0], target).log_softmax(-1)[0]
    return sum(float(logs[t, token]) for t, token in enumerate(tokens))


def test_greedy_is_the_argmax(model):
    made = model.generate(*given(model), **HOW)
    assert model.training, "it is left as it was"
    for row in range(B):
        tokens: list[int] = []
        while len(tokens) < 4 and EOS not in tokens:
            with torch.no_grad():
                tokens.append(int(model.eval()(given(model, row)[0], torch.tensor([[BOS, *tokens]]))[0, -1].argmax()))
        n = int(made.lengths[row])
        assert made.ids[row, :n].tolist() == tokens
        assert float(made.logprobs[row].sum()) == pytest.approx(ended(model, row, tokens), abs=1e-6)


def test_beams_find_the_best(model):
    """As wide as all texts: the best of them, for each length penalty."""
    texts = [t for n in range(1, 5) for t in itertools.product(range(W), repeat=n)]
    texts = [t for t in texts if EOS not in t[:-1] and (t[-1] == EOS or len(t) == 4)]
    for penalty in (0.0, 1.0):
        made = model.generate(*given(model), num_beams=W**3, length_penalty=penalty, **HOW)
        for row in range(B):
            scores = {t: ended(model, row, t) / len(t) ** penalty for t in texts}
            n = int(made.lengths[row])
            assert float(made.scores[row]) == pytest.approx(max(scores.values()), abs=1e-6)
            assert scores[tuple(made.ids[row, :n].tolist())] == pytest.approx(max(scores.values()), abs=1e-6)


def test_a_row_draws_as_alone(model):
    whole = model.generate(*given(model), temperature=1.0, seed=3, **HOW)
    stream = model.generate(*given(model), temperature=1.0, seed=3, stream=True, **HOW)
    assert torch.equal(torch.stack(list(stream), 1), whole.ids)
    alone = model.generate(*given(model, 2), temperature=1.0, seed=5, **HOW)
    n = int(whole.lengths[2])
    assert alone.ids[0, :n].tolist() == whole.ids[2, :n].tolist()


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (dict(begin=None), "Nobody says which token a target begins with"),
        (dict(num_beams=0), "num_beams is a whole number, at least 1"),
        (dict(length_penalty=float("nan")), "length_penalty=nan is not a number from -20 to 20"),  # beside greedy too
        (dict(num_beams=2, length_penalty=1e6), "length_penalty=1000000.0 is not"),  # 2 ** 1e6 was an OverflowError
        (dict(begin=9), "outside the vocabulary|0 to 3"),
        (dict(num_beams=2, temperature=1.0), "searches for the likeliest text"),
    ],
)
def test_bad_input_is_a_sentence(how, match):
    with pytest.raises(ZooError, match=match):
        Seq2Seq(V, W, 8).generate(SOURCE, LENGTHS, **{**HOW, **how})


@pytest.mark.parametrize(("work", "threads", "inside"), [(1e9, 2, 1), (1, 2, 2), (1e9, 1, 1)])
def test_a_small_step_has_one_thread(monkeypatch, work, threads, inside):
    """And the process has its own again, also where something goes wrong; a stream leaves them, and so do other threads."""
    from concurrent.futures import ThreadPoolExecutor

    from zoo.generation import threads as module

    monkeypatch.setattr(module, "WORK", work)
    model, seen = FAMILIES["seq2seq"](), []
    hook = model.head.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model.generate(SOURCE, LENGTHS, **HOW)
        assert set(seen) == {inside} and torch.get_num_threads() == threads
        seen.clear()
        list(model.generate(SOURCE, LENGTHS, **HOW, stream=True))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(model.generate, SOURCE, LENGTHS, **HOW).result()
        assert set(seen) == {threads}
        hook.remove()
        model.head.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.generate(SOURCE, LENGTHS, **HOW)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
