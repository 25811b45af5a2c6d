"""Batches: the same global ones for any number of processes; every evaluated sample once."""

from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling import EvalBatches, Pools, TrainBatches, generator
from zoo.errors import ZooError

sizes = st.integers(1, 200)
worlds = st.integers(1, 7)
shares = st.integers(1, 12)
buckets = st.integers(0, 4)


def pools(size, batches):
    """Rows of lengths from 1 to 9, of which so many batches are sorted together; 0: none are."""
    return Pools(torch.randint(1, 10, (size,), generator=generator(size)), batches) if batches else None


@settings(max_examples=200, deadline=None)
@given(sizes, worlds, shares, buckets)
def test_evaluation_takes_each_sample_once(size, world, share, batches):
    """A12: no padding, no dropping, for any set, batch, number of processes and buckets."""
    sorted_by = pools(size, batches)
    ranks = [list(EvalBatches(size, share * world, rank, world, sorted_by)) for rank in range(world)]
    rows = list(chain.from_iterable(draw.rows for draws in ranks for draw in draws))
    assert sorted(rows) == list(range(size))
    for rank, draws in enumerate(ranks):
        assert len(draws) == len(EvalBatches(size, share * world, rank, world))
        assert all(1 <= len(draw.rows) <= share for draw in draws)
        mine = list(chain.from_iterable(draw.rows for draw in draws))
        if sorted_by is None:
            assert mine == list(range(rank, size, world))
        else:
            assert (sorted_by.sizes[mine].diff() >= 0).all()


@settings(max_examples=200, deadline=None)
@given(sizes, worlds, shares, st.integers(0, 3), st.integers(0, 3), buckets)
def test_processes_share_the_single_process_batches(size, world, share, seed, epoch, batches):
    """A1, A12: the union of the ranks' batches is the global batch, whatever the number of processes."""
    batch, how = share * world, {"pools": pools(size, batches)}
    single = TrainBatches(size, batch, seed, **how)
    ranks = [TrainBatches(size, batch, seed, rank, world, **how) for rank in range(world)]
    for sampler in (single, *ranks):
        sampler.set_epoch(epoch)
        assert len(list(sampler)) == len(sampler) == len(single)
    for whole, *parts in zip(single, *ranks, strict=True):
        assert whole.epoch == epoch
        for rank, part in enumerate(parts):
            assert part.rows == whole.rows[rank::world]


@settings(max_examples=100, deadline=None)
@given(sizes, shares, buckets)
def test_training_drops_the_short_batch_unless_it_is_the_only_one(size, batch, batches):
    drawn = [draw.rows for draw in TrainBatches(size, batch, pools=pools(size, batches))]
    rows = list(chain.from_iterable(drawn))
    assert len(set(rows)) == len(rows)
    assert len(rows) == (size if size < batch else size // batch * batch)
    assert all(len(part) == min(size, batch) for part in drawn)


@settings(max_examples=50, deadline=None)
@given(sizes, shares, st.integers(1, 4))
def test_rows_of_a_like_size_come_together(size, batch, batches):
    """What is dropped is drawn, not the longest; each pool is cut into batches by size; which comes first is drawn too."""
    how = pools(size, batches)
    plain, sampler = TrainBatches(size, batch), TrainBatches(size, batch, pools=how)
    drawn = [draw.rows for draw in sampler]
    assert sorted(chain.from_iterable(drawn)) == sorted(chain.from_iterable(draw.rows for draw in plain))
    spread = sum(int(how.sizes[rows].max() - how.sizes[rows].min()) for rows in drawn)
    assert spread <= sum(int(how.sizes[draw.rows].max() - how.sizes[draw.rows].min()) for draw in plain)
    sampler.start = len(sampler) // 2  # a run that was interrupted there
    assert [draw.rows for draw in sampler] == drawn[len(sampler) // 2 :]
    sampler.start, sampler.epoch = 0, 1
    assert len(sampler) < 5 or [draw.rows for draw in sampler] != drawn


def test_order_depends_on_seed_and_epoch_only():
    """A11: not on what was iterated before, nor on the global random numbers."""

    def order(seed, epoch):
        sampler = TrainBatches(1000, 10, seed)
        sampler.set_epoch(epoch)
        torch.rand(epoch + 1)
        return [draw.rows for draw in sampler]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert order(0, 1) != order(1, 0)


def test_keys_are_told_apart():
    draws = {torch.rand(1, generator=generator(*key)).item() for key in [(0, 1), (1, 0), (0, 0), (1, 1), (0, 1, 0, 2)]}
    assert len(draws) == 5


@pytest.mark.parametrize("pack", ["stream", "documents", None])
def test_text_takes_its_share(alphabet, processes, pack):
    """A12: two processes test each token once and train on halves of the same batches."""
    single = list(alphabet(batch_size=10, pack=pack).train_dataloader())
    modules = [alphabet(batch_size=10, pack=pack) for _ in range(2)]
    for rank, module in enumerate(modules):
        module.trainer = processes(rank, 2)
    for whole, *parts in zip(single, *(module.train_dataloader() for module in modules), strict=True):
        for rank, part in enumerate(parts):
            for name in ("ids", "targets", "sample"):
                assert torch.equal(getattr(part, name), getattr(whole, name)[rank::2])
    tested = sorted(row for module in modules for batch in module.test_dataloader() for row in batch.sample.tolist())
    assert tested == list(range(modules[0].test_size))


def test_datamodule_takes_its_share(digits, processes):
    """A12: two processes test each digit once and train on halves of the same batches."""
    single = list(digits(batch_size=100).train_dataloader())
    modules = [digits(batch_size=100) for _ in range(2)]
    for rank, module in enumerate(modules):
        module.trainer = processes(rank, 2)
    for whole, *parts in zip(single, *(module.train_dataloader() for module in modules), strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part[0], whole[0][rank::2]) and torch.equal(part[1], whole[1][rank::2])
    tested = [len(labels) for module in modules for _, labels in module.test_dataloader()]
    assert sum(tested) == 360 and max(tested) == 50


def test_batch_that_does_not_divide_is_refused(digits, processes):
    module = digits(batch_size=100)
    module.trainer = processes(0, 3)
    with pytest.raises(ZooError, match=r"batch_size=100 .*divide by 3; try 99"):
        module.train_dataloader()


def test_more_processes_than_images_are_refused(digits, processes):
    module = digits(batch_size=400)
    module.trainer = processes(0, 400)
    with pytest.raises(ZooError, match="360 images for 400 processes"):
        module.test_dataloader()


@pytest.mark.parametrize("batch", [0, -1])
def test_impossible_batch_is_refused(batch):
    from datamodules.images import Digits

    with pytest.raises(ZooError, match=f"batch_size={batch}"):
        Digits(batch_size=batch)
