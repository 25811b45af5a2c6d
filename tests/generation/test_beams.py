"""Beams: of all texts the best, on a table, a model, a state that follows them; and scored as transformers scores."""

import itertools

import pytest
import torch

from tests.generation.tiny import prompt, tiny
from zoo.errors import ZooError
from zoo.generation import beam_search


def table(V, seed=0):
    """log p(token | the last two), of a chain."""
    return (
        torch.randn(V, V, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).log_softmax(-1)
    )


def exhaustive(score, V, longest, end, penalty):
    """(score, tokens) of the best of all texts of at most `longest` tokens that end with `end` or are that long."""
    texts = []
    for n in range(1, longest + 1):
        for text in itertools.product(range(V), repeat=n):
            if end not in text[:-1] and (n == longest or text[-1] == end):
                texts.append((score(text) / n**penalty, text))
    return max(texts)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_texts_of_a_table(seed, penalty):
    """A beam as wide as there are texts finds the best; state: a recurrent one that has to follow the beams."""
    V, longest, end, chain = 3, 5, 0, table(3, seed)
    begun = torch.tensor([[1, 2], [2, 2]])

    def log_probs(tokens, state):
        if tokens.shape[1] > 2:
            state["last"] = torch.stack([state["last"][:, 1], tokens[:, -1]], 1)
        assert torch.equal(state["last"], tokens[:, -2:])
        return chain[state["last"][:, 0], state["last"][:, 1]]

    found = beam_search(
        log_probs, begun, {"last": begun}, lambda state, index: {"last": state["last"][index]},
        num_beams=V**longest, max_new_tokens=longest, ends=lambda new, row: new[-1] == end, length_penalty=penalty,
    )  # fmt: skip
    for row, text in enumerate(found):

        def score(tokens, row=row):
            whole = [*begun[row].tolist(), *tokens]
            return float(sum(chain[whole[t], whole[t + 1], whole[t + 2]] for t in range(len(tokens))))

        best, tokens = exhaustive(score, V, longest, end, penalty)
        assert text.ids == tokens and text.total / len(text.ids) ** penalty == pytest.approx(best)
        assert sum(text.logprobs) == pytest.approx(text.total)


@pytest.mark.parametrize("how", [{}, dict(cache="none")], ids=str)
@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_the_best_of_all_texts_of_a_model(kind, how):
    V, longest, end, penalty = 4, 4, 2, 1.0
    model = tiny(kind, dtype=torch.float64, vocab_size=V)
    rows = [[1, 3, 0], [3]]
    got = model.generate(rows, longest, temperature=0, num_beams=V**longest, stop=end, length_penalty=penalty, **how)
    for r, row in enumerate(rows):

        def score(tokens, row=row):
            with torch.no_grad():
                p = model(torch.tensor([[*row, *tokens]])).log_softmax(-1)[0, len(row) - 1 : -1]
            return float(p.gather(1, torch.tensor(tokens)[:, None]).sum())

        best, tokens = exhaustive(score, V, longest, end, penalty)
        n = len(tokens)
        assert got.ids[r, :n].tolist() == list(tokens) and got.lengths[r] == n
        assert float(got.scores[r]) == pytest.approx(best) and float(got.logprobs[r].sum()) == pytest.approx(best * n)


@pytest.fixture(scope="module")
def theirs():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=30, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=7)
    model = GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for x in model.parameters():
            if x.ndim > 1:
                x.normal_(std=0.3)
    return model


@pytest.mark.parametrize("repetition", [1.0, 1.3])
@pytest.mark.parametrize("penalty", [1.0, 0.0, 2.5])
@pytest.mark.parametrize("num_beams", [2, 5])
def test_as_transformers(theirs, num_beams, penalty, repetition):
    """Their model, its own search and ours: the same texts, the same scores."""
    ids = torch.randint(30, (3, 6), generator=torch.Generator().manual_seed(3))
    want = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, num_beams=num_beams, do_sample=False,
        length_penalty=penalty, repetition_penalty=repetition, early_stopping="never", pad_token_id=7,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip

    def log_probs(tokens, state):
        with torch.no_grad():
            return theirs(tokens).logits[:, -1].log_softmax(-1)

    def adjust(scores, tokens):
        seen = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, tokens, True)
        return torch.where(seen, scores * repetition, scores)

    found = beam_search(
        log_probs, ids, num_beams=num_beams, max_new_tokens=9, length_penalty=penalty, adjust=adjust,
        ends=lambda new, row: new[-1] == 7,
    )  # fmt: skip
    for row, text in enumerate(found):
        tokens = want.sequences[row, 6:].tolist()
        assert list(text.ids) == tokens[: len(text.ids)] and set(tokens[len(text.ids) :]) <= {7}
        assert text.total / len(text.ids) ** penalty == pytest.approx(float(want.sequences_scores[row]), abs=1e-5)


def test_one_beam_is_greedy_and_more_are_not_worse():
    model, x = tiny(), prompt(6)
    begun = model.generate(x, 10, temperature=0)
    found = [model.generate(x, 10, temperature=0, num_beams=n) for n in (2, 4, 8)]
    assert float(begun.logprobs.sum()) <= float(found[-1].logprobs.sum()) + 1e-4
    for got in found:
        assert float(got.scores[0]) == pytest.approx(float(got.logprobs.sum()) / 10, abs=1e-4)


def test_stop_strings_end_beams():
    from zoo.text import Characters

    model = tiny(vocab_size=4)
    model.tokenizer = Characters.of(["abcd"], special=False)
    got = model.generate([[0, 1]], 8, temperature=0, num_beams=4, stop=["cd", "bb", "aa"], length_penalty=-3.0)
    text = model.tokenizer.decode(got.ids[0].tolist())
    assert text[-2:] in ("cd", "bb", "aa") and not any(each in text[:-1] for each in ("cd", "bb", "aa"))


def test_padded_rows_of_beams_are_alone():
    model, rows = tiny(), [[1, 2, 3, 4, 5], [6]]
    both = model.generate(rows, 8, temperature=0, num_beams=3)
    for r, row in enumerate(rows):
        alone = model.generate([row], 8, temperature=0, num_beams=3)
        assert torch.equal(both.ids[r], alone.ids[0])


def test_refused():
    with pytest.raises(ZooError, match="A search needs at least one beam and one token; got num_beams=0"):
        beam_search(lambda tokens, state: None, torch.zeros(1, 1), num_beams=0, max_new_tokens=1)
