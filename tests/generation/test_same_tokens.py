"""C6: greedy tokens do not depend on how they are computed; nor do drawn ones on who is drawn beside."""

import pytest
import torch

from tests.generation.tiny import KINDS, prompt, tiny

NEW = 20
WAYS = {
    "without a cache": dict(cache="none"),
    "in chunks of 1": dict(prefill_chunk=1),
    "in chunks of 3": dict(prefill_chunk=3),
    "in chunks of 99": dict(prefill_chunk=99),
    "by lookup": dict(draft="lookup"),
    "by lookup without a cache": dict(draft="lookup", cache="none"),
    "by a factory": dict(cache=lambda *sizes, **how: __import__("zoo").attention.KVCache(*sizes, **how)),
}


def read_again(model, x, n=NEW):
    """Greedy tokens of the whole sequence read again each time, in float64; their best logits are 1e-3 apart."""
    begun = x.shape[1]
    with torch.no_grad():
        for _ in range(n):
            best = model(x)[:, -1].topk(2)
            assert (best.values[:, 0] - best.values[:, 1]).min() > 1e-3
            x = torch.cat([x, best.indices[:, :1]], 1)
    return x[:, begun:]


ROWS = [prompt(3, seed=8), prompt(9), prompt(6, seed=5)]


@pytest.fixture(scope="module", params=KINDS)
def three(request):
    """A model, and the greedy tokens behind each of ROWS."""
    wide = tiny(request.param).double()
    return tiny(request.param), torch.cat([read_again(wide, row) for row in ROWS])


@pytest.fixture
def case(three):
    model, alone = three
    return model, ROWS[1], alone[1:2]


@pytest.mark.parametrize("way", WAYS)
def test_greedy(case, way):
    model, x, want = case
    got = model.generate(x, NEW, temperature=0, **WAYS[way])
    assert torch.equal(got.ids, want) and got.lengths.tolist() == [NEW]


def test_greedy_with_a_draft(case):
    model, x, want = case
    for draft in (model, tiny("gpt", seed=5)):
        got = model.generate(x, NEW, temperature=0, draft=draft)
        assert torch.equal(got.ids, want)
        assert (got.acceptance == 1) == (draft is model)


def test_greedy_streamed(case):
    model, x, want = case
    stream = model.generate(x, NEW, temperature=0, stream=True)
    assert torch.equal(torch.stack(list(stream), 1), want)
    plain = model.generate(x, NEW, temperature=0)
    for mine, whole in zip(stream.generated(), plain, strict=True):
        assert torch.equal(mine, whole)


@pytest.mark.parametrize("how", [{}, dict(cache="none"), dict(prefill_chunk=2)], ids=str)
@pytest.mark.parametrize("side", ["left", "right", "lists"])
def test_padded_rows_are_alone(three, side, how):
    """C5: of unequal prompts, each row is as in a batch of one."""
    (model, alone), rows = three, [row[0] for row in ROWS]
    if side == "lists":
        got = model.generate([row.tolist() for row in rows], NEW, temperature=0, **how)
    else:
        ids, mask = torch.full((3, 11), 7), torch.zeros(3, 11, dtype=torch.bool)
        for r, row in enumerate(rows):
            at = slice(11 - len(row), 11) if side == "left" else slice(0, len(row))
            ids[r, at], mask[r, at] = row, True
        got = model.generate(ids, NEW, mask=mask, temperature=0, **how)
    assert torch.equal(got.ids, alone)


def test_logprobs_are_those_of_the_plain_model(case):
    model, x, _ = case
    for how in (
        dict(temperature=0),
        dict(temperature=2.0, top_k=5, repetition_penalty=1.5, seed=1),
        dict(draft="lookup"),
    ):
        got = model.generate(x, NEW, **how)
        with torch.no_grad():
            whole = model(torch.cat([x, got.ids], 1)).log_softmax(-1)[:, x.shape[1] - 1 : -1]
        torch.testing.assert_close(got.logprobs, whole.gather(-1, got.ids[..., None])[..., 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("how", [{}, dict(top_k=8, top_p=0.9, min_p=0.02, repetition_penalty=1.2), dict(cache="none")])
def test_row_r_of_seed_s_draws_as_one_of_seed_s_plus_r(case, how):
    model, rows = case[0], [row[0].tolist() for row in ROWS]
    got = model.generate(rows, NEW, temperature=0.8, seed=11, **how)
    for r, row in enumerate(rows):
        alone = model.generate([row], NEW, temperature=0.8, seed=11 + r, **how)
        assert torch.equal(got.ids[r], alone.ids[0])


def test_a_seed_decides_and_no_seed_asks_torch():
    model, x = tiny(), prompt()
    draws = [model.generate(x, NEW, seed=seed).ids for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    torch.manual_seed(3)
    first = model.generate(x, NEW).ids
    assert not torch.equal(model.generate(x, NEW).ids, first)
    torch.manual_seed(3)
    assert torch.equal(model.generate(x, NEW).ids, first)


def test_a_model_in_training_generates_without_dropout_and_trains_on():
    model, x = tiny("gpt", dropout=0.5), prompt()
    want = model.generate(x, NEW, temperature=0).ids
    model.train()
    model.blocks[0].eval()  # frozen
    assert torch.equal(model.generate(x, NEW, temperature=0).ids, want)
    stream = model.generate(x, NEW, temperature=0, stream=True)
    assert next(stream) == want[0, 0] and not model.training
    stream.close()
    assert model.training and model.blocks[1].mlp.training and not model.blocks[0].mlp.training


def test_in_bfloat16():
    model, x = tiny(dtype=torch.bfloat16), prompt()
    got = model.generate(x, NEW, temperature=0)
    assert got.logprobs.dtype == torch.float32 and got.logprobs.isfinite().all()
    assert torch.equal(got.ids, model.generate(x, NEW, temperature=0, stream=True).all().ids)
