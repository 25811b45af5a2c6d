"""data=reverse: strings backwards, none in two parts, the same from the same seed."""

import pytest
import torch

from datamodules.pairs import PairCorpus, PairData, Reverse
from datamodules.sampling import BatchIndex
from zoo.errors import ZooError

SMALL = dict(sizes=(60, 20, 20), longest=8)


def made(tmp_path, **how):
    data = Reverse(cache=str(tmp_path), **{**SMALL, **how})
    data.setup()
    return data


def test_targets_are_sources_backwards_and_no_string_is_in_two_parts(tmp_path):
    data = made(tmp_path)
    corpus, tokenizer = data.source.corpus, data.source.tokenizer
    assert len(set(corpus.sources)) == 100 and all(
        b == a[::-1] for a, b in zip(corpus.sources, corpus.targets, strict=True)
    )
    assert {4, 8} <= {len(text) for text in corpus.sources} <= set(range(4, 9))
    batch = data.dataset("val").__getitems__(BatchIndex(0, [3, 0, 7]))
    for row, n, target, m in zip(batch.source, batch.lengths, batch.target, batch.target_lengths, strict=True):
        text = tokenizer.decode(row[:n].tolist())
        assert tokenizer.decode(target[1 : m - 1].tolist()) == text[::-1]
        assert target[0] == tokenizer.bos and target[m - 1] == tokenizer.eos
        assert set(row[n:].tolist()) | set(target[m:].tolist()) <= {tokenizer.pad}
    assert batch.source.shape[1] == batch.lengths.max() and len(batch) == 3


def test_the_seeds(tmp_path):
    """The split has a seed of its own; order and what a task draws depend on the run's."""
    one, same, other = made(tmp_path), made(tmp_path, seed=1), made(tmp_path, split_seed=1)
    assert one.digest("test") == same.digest("test") != other.digest("test")
    first, second = (next(iter(data.train_dataloader())) for data in (one, same))
    assert (first.seed, second.seed) == (0, 1) and first.sample.tolist() != second.sample.tolist()
    assert next(iter(one.test_dataloader())).seed == 0


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (dict(letters=27), "data.letters=27 is not a number of letters; give 1 to 26"),
        (dict(shortest=9), "data.shortest=9 and data.longest=8 leave no length"),
        (dict(sizes=2000), "data.sizes=2000 is not three numbers"),
        (dict(sizes=(0, 1, 1)), r"data.sizes=\[0, 1, 1\] is not three numbers"),
        (dict(letters=1), "Of 1 letters there are hardly 100 strings 4 to 8 long"),
        (dict(tokenizer={"kind": "char", "special": False}), "has no tokens that begin and end a text"),
        (dict(tokenizer="charr"), "data.tokenizer=charr is unknown"),
    ],
)
def test_bad_input_is_a_sentence(how, match, tmp_path):
    with pytest.raises(ZooError, match=match):
        made(tmp_path, **how)


def test_empty_texts_are_told_by_line(tmp_path):
    class Mine(PairData):
        def load(self):
            return PairCorpus(
                ["a", "", "b"],
                ["x", "y", ""],
                {"train": torch.arange(3), "val": torch.arange(0), "test": torch.arange(0)},
            )

    with pytest.raises(ZooError, match="mine has 2 empty texts, in line 2, 3; remove these pairs"):
        Mine(cache=str(tmp_path)).setup()
