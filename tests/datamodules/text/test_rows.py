"""Rows of tokens: each token asked for once in evaluation, nothing across parts, documents that stay apart."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling import BatchIndex
from datamodules.splits import at_random
from datamodules.text import NOTHING, Corpus, Text, TextData, Turns
from datamodules.text.rows import _best_fit, _pieces
from zoo.text import Bytes

END = 256


class Given(TextData):
    """Texts as they are given: all for training, some of them for validation and test too, where they stay in order."""

    texts_given: list

    def load(self):
        everything = torch.arange(len(self.texts_given))
        documents = [text if isinstance(text, Turns) else Text(text) for text in self.texts_given]
        return Corpus(documents, dict.fromkeys(("train", "val", "test"), everything), self.ends)


@pytest.fixture
def given_texts(tmp_path):
    def make(texts, ends=True, **options):
        module = Given(cache=str(tmp_path / "cache"), **options)
        module.texts_given, module.ends = texts, ends
        module.setup()
        return module

    return make


def asked(batches):
    """[(token, the one after it)] of all that is asked for, row by row."""
    pairs = []
    for batch in batches:
        for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True):
            pairs += [(i, t) for i, t in zip(ids, targets, strict=True) if t != NOTHING]
    return pairs


@pytest.mark.parametrize("context", [2, 3, 7, 16, 100])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_evaluation_asks_for_each_token_once(given_texts, context, batch_size):
    """Bug 31: fixed windows that cover all of the part; C10: at any batch size."""
    module = given_texts(["abcdefghij" * 3 + "k" * 80], ends=False, context=context, batch_size=batch_size)
    text = list(b"abcdefghij" * 3 + b"k" * 80)
    batches = list(module.val_dataloader())
    assert asked(batches) == list(itertools.pairwise(text))
    assert sum(int(batch.num_bytes.sum()) for batch in batches) == len(text) - 1
    assert [(batch.seed, batch.epoch) for batch in batches] == [(0, 0)] * len(batches)
    again = list(module.val_dataloader())
    assert all(
        torch.equal(a.ids, b.ids) and torch.equal(a.targets, b.targets) for a, b in zip(batches, again, strict=True)
    )


def test_documents_of_a_stream_have_one_end_between_them(given_texts):
    module = given_texts(["ab", "cde", "f"], context=4)
    assert module.source.tokens["test"].ids.tolist() == [END, *b"ab", END, *b"cde", END, *b"f", END]
    assert asked(module.test_dataloader())[0] == (
        END,
        ord("a"),
    )  # a document's first token is asked for, behind what begins it
    assert sum(int(batch.num_bytes.sum()) for batch in module.test_dataloader()) == 6


def test_training_sees_each_token_about_once_an_epoch_at_other_places(given_texts):
    module = given_texts(["".join(chr(97 + i % 26) for i in range(500))], ends=False, context=16, batch_size=4)
    data, firsts = module.dataset("train"), []
    for epoch in range(6):
        batch = data.__getitems__(BatchIndex(epoch, list(range(len(data)))))
        assert batch.mask is None and (batch.targets != NOTHING).all() and batch.epoch == epoch
        firsts.append(batch.ids[0, 0].item())
        assert torch.equal(batch.ids[:, 1:], batch.targets[:, :-1])
        flat = torch.cat([batch.ids.flatten(), batch.targets[-1, -1:]])
        assert (flat.diff() % 26 == 1).all()  # one stretch without gap or overlap
    assert len(set(firsts)) > 2
    assert torch.equal(data.__getitems__(BatchIndex(3, [0])).ids, data.__getitems__(BatchIndex(3, [0])).ids)


texts = st.lists(st.text("abcdef", min_size=0, max_size=40), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), max_size=60), width=st.integers(2, 20))
def test_packing_is_whole_and_tight(lengths, width):
    """Every token with one after it stands once; no row is over-full; no two rows would fit into one."""
    starts = np.cumsum([0, *lengths])
    firsts, sizes = _pieces(starts, width)
    covered = sorted(token for first, size in zip(firsts, sizes, strict=True) for token in range(first, first + size))
    needed = {token for a, b in itertools.pairwise(starts) for token in range(a, b - 1)}
    assert len(covered) == len(set(covered)) and needed <= set(covered) <= set(range(starts[-1]))
    rows = _best_fit(sizes, width)
    full = np.bincount(rows, sizes) if len(rows) else np.zeros(0)
    assert (full <= width).all() and (np.sort(full)[:2].sum() > width or len(full) < 2)


@pytest.mark.parametrize("context", [4, 7, 64])
def test_packed_documents_stay_apart(given_texts, context):
    """Places begin again, no document's token is asked to say the next document's; every text stands whole."""
    written = ["ab", "cdefghij", "", "k", "lmnopqrstuvw"]
    module = given_texts(written, context=context, pack="documents", batch_size=3)
    pairs = []
    for batch in module.test_dataloader():
        for ids, targets, mask, pos, documents in zip(
            batch.ids, batch.targets, batch.mask, batch.pos, batch.documents, strict=True
        ):
            assert torch.equal(mask, documents >= 0) and (targets[~mask] == NOTHING).all()
            for number in documents[mask].unique():
                here = documents == number
                assert torch.equal(pos[here], torch.arange(int(here.sum())))
                pairs += [
                    (i, t) for i, t in zip(ids[here].tolist(), targets[here].tolist(), strict=True) if t != NOTHING
                ]
    wanted = []
    for text in written:
        whole = [END, *text.encode(), END]
        wanted += list(itertools.pairwise(whole))
    assert sorted(pairs) == sorted(wanted)
    assert sum(int(batch.num_bytes.sum()) for batch in module.test_dataloader()) == sum(map(len, written))


def test_a_text_a_row(given_texts):
    """Bug 30: the end is asked for, what fills up a row is not, and one is not the other."""
    module = given_texts(["ab", "abcdefghijkl"], context=6, pack=None, batch_size=2)
    (batch,) = module.test_dataloader()
    assert batch.ids.tolist() == [[END, *b"ab", END, 257, 257], [END, *b"abcd", END]]  # cut, with its end
    assert batch.mask.tolist() == [[True] * 4 + [False] * 2, [True] * 6]
    assert batch.targets[0].tolist() == [*b"ab", END, *[NOTHING] * 3]
    assert batch.pos is None and batch.documents is None


def test_batches_move(given_texts):
    module = given_texts(["ab", "cdef"], context=6, pack="documents")
    (batch,) = module.test_dataloader()
    moved = batch.to("meta")
    assert type(moved) is type(batch) and moved.ids.device.type == moved.num_bytes.device.type == "meta"
    assert len(batch) == 2 and batch.to("cpu").seed == 0


@pytest.mark.parametrize("pack", ["stream", "documents", None])
def test_answers_alone_are_asked_for(given_texts, pack):
    talks = [Turns((("2+2=", False), ("4", True))), Turns((("hi", False), ("ho", True), ("x", False), ("yz", True)))]
    module = given_texts(talks, context=8 if pack == "stream" else 24, pack=pack)
    said = []
    for batch in module.test_dataloader():
        said += [target for _, target in asked([batch])]
    assert said == [*b"4", END, *b"ho", END, *b"yz", END]
    assert sum(int(batch.num_bytes.sum()) for batch in module.test_dataloader()) == 5


def test_documents_by_number():
    for count in (1, 2, 3, 10, 399):
        shares = [0.8, 0.1, 0.1] if count > 2 else [1, 0, 0] if count == 1 else [0.5, 0.5, 0]
        found = at_random(count, shares, 0)
        assert torch.cat(list(found.values())).sort().values.tolist() == list(range(count))
        assert all(len(found[stage]) > 0 for stage, share in zip(found, shares, strict=True) if share)
    assert Bytes().bos == END
