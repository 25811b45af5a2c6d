"""What generation starts from."""

import pytest
import torch

from tests.generation.tiny import V, prompt, tiny
from zoo.errors import ZooError
from zoo.generation.prompts import prompts
from zoo.text import Bytes


def start(ids, mask=None, bos=None):
    mask = None if mask is None else torch.tensor(mask, dtype=torch.bool)
    return prompts(ids, mask, vocab_size=V, bos=bos)


def test_rows_stand_at_the_right():
    made = start([[1, 2, 3], [4], [5, 6]])
    assert made.ids.tolist() == [[1, 2, 3], [0, 0, 4], [0, 5, 6]]
    assert made.mask.tolist() == [[True] * 3, [False, False, True], [False, True, True]]
    assert made.lengths == [3, 1, 2] and made.rows() == [[1, 2, 3], [4], [5, 6]]


def test_padding_left_or_right_or_on_both_sides():
    ids = torch.tensor([[9, 9, 1, 2, 9], [3, 4, 5, 9, 9], [9, 9, 9, 6, 7]])
    made = start(ids, [[0, 0, 1, 1, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1]])
    assert made.ids.tolist() == [[0, 1, 2], [3, 4, 5], [0, 6, 7]] and made.lengths == [2, 3, 2]


def test_a_mask_of_ones_is_none():
    assert start(torch.tensor([[1, 2]]), [[1, 1]]).mask is None and start([[1, 2], [3, 4]]).mask is None


def test_padding_is_not_looked_at():
    """Ids of padding may be anything, -100 too."""
    assert start(torch.tensor([[-100, 1, 2]]), [[0, 1, 1]]).ids.tolist() == [[1, 2]]


@pytest.mark.parametrize("ids", [[[], [1, 2]], torch.zeros(1, 0, dtype=torch.long)], ids=["list", "tensor"])
def test_an_empty_prompt_begins_with_bos(ids):
    assert start(ids, bos=7).rows()[0] == [7]
    with pytest.raises(ZooError, match="Prompt 0 is empty, and the tokenizer has no bos"):
        start(ids)


def test_an_empty_prompt_of_a_tokenizer_with_bos():
    model = tiny(vocab_size=259)
    with pytest.raises(ZooError, match="Prompt 1 is empty"):
        model.generate([[1], []], 3)
    model.tokenizer = Bytes()
    want = model.generate([[256]], 3, temperature=0).ids
    assert torch.equal(model.generate([[1], []], 3, temperature=0).ids[1:], want)


@pytest.mark.parametrize(
    ("ids", "mask", "says"),
    [
        (torch.tensor([[1, V]]), None, f"The id {V} is outside the vocabulary of this model, 0 to {V - 1}"),
        ([[1, -1]], None, "The id -1 is outside"),
        (torch.tensor([1, 2]), None, r"integers \[B, N\]; got torch.int64 \[2\]"),
        (torch.ones(1, 2), None, "integers"),
        ([1, 2], None, r"rows of ids, \[\[1, 2\], \[3\]\]; got the row 1"),
        (["text"], None, "got the row 'text'"),
        ([[1.5]], None, "rows of ids"),
        ([], None, "There is no prompt"),
        ([[1]], [[1]], "A list of rows has no padding"),
        (torch.tensor([[1, 2, 3]]), [[1, 0, 1]], "The mask of row 0 has holes"),
        (torch.tensor([[1, 2, 3]]), [[1, 1]], r"of the shape of ids \[1, 3\]; got torch.bool \[1, 2\]"),
    ],
    ids=str,
)
def test_refused(ids, mask, says):
    with pytest.raises(ZooError, match=says):
        start(ids, mask)


def test_more_tokens_than_learned_places():
    """The last token is not read, so it needs no place."""
    model = tiny("gpt")
    assert model.generate(prompt(60), 5, temperature=0).ids.shape == (1, 5)
    with pytest.raises(
        ZooError, match=r"A prompt of 60 tokens and 6 new ones need 65 places, and GPT has 64 learned ones: at"
    ):
        model.generate(prompt(60), 6, temperature=0)
    rows = [prompt(60)[0].tolist(), [1, 2]]  # padding needs none
    assert model.generate(rows, 5, temperature=0).ids.shape == (2, 5)


def test_more_tokens_than_a_rotated_context_is_a_notice():
    with pytest.warns(UserWarning, match="More tokens than the 64"):
        assert tiny().generate(prompt(60), 8, temperature=0).ids.shape == (1, 8)


def test_a_model_that_says_nothing_of_the_next_token():
    for model, says in (
        (tiny("gpt", num_classes=3), "This GPT has a classifier of 3 classes"),
        (tiny("gpt", token_head=False), "This GPT has no head"),
    ):
        with pytest.raises(ZooError, match=says):
            model.generate(prompt(), 3)


def test_a_masked_language_model():
    from zoo.models.language.bert import BERT

    with pytest.raises(ZooError, match="BERT does not predict what comes next"):
        BERT(V, 64, 32, 1, 4).generate(prompt(), 3)
