"""Two real processes (gloo), started once for every task: figures of one pass (A12), gradients of the one big batch (C9)."""

import pytest
import torch

from tests.processes import together
from tests.tasks import test_forecasting as series
from tests.tasks import test_language_modelling as language
from tests.tasks.test_contract import by_hand, counted, make, tasks

SCRIPT = """
import json, sys, torch
from tests.tasks import test_contract as contract, test_forecasting as series, test_language_modelling as language
from tests.tasks.tiny import make_trainer, weights
folder, rank = sys.argv[1], int(sys.argv[2])
two = dict(devices=1, num_nodes=2, strategy="ddp", use_distributed_sampler=False)

found = {}
for kind in contract.MAKE:
    trainer = make_trainer(1, **two)
    own, task = contract.batches(kind, 4, slice(rank, None, 2)), contract.make(kind)
    (tested,) = trainer.test(task, own, verbose=False)
    trainer.validate(task, own, verbose=False)
    found[kind] = tested | {name: value.item() for name, value in trainer.callback_metrics.items()}

def fit(task, mine, name, **more):
    make_trainer(1, **two, **more).fit(task, contract.Batches(mine), contract.Batches(mine[:1]))
    torch.save(weights(task.model), f"{folder}/{name}-{rank}.pt")

batch = language.batch
fit(language.make(), [batch(slice(0, 3)), batch(slice(3, 8))][rank:rank + 1], "tokens-1")
parts = [batch(slice(0, 1)), batch(slice(1, 4))], [batch(slice(4, 5)), batch(slice(5, 8))]
fit(language.make(), parts[rank], "tokens-2", accumulate_grad_batches=2)
fit(series.make(loss="huber"), [series.batch(slice(0, 9)), series.batch(slice(9, 52))][rank:rank + 1], "cells")
open(f"{folder}/{rank}.json", "w").write(json.dumps(found))
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Where each of two processes left its weights, and what it logged, having seen every second row: 12 and 11."""
    folder = tmp_path_factory.mktemp("ddp")
    return folder, together(SCRIPT, folder)


@tasks
def test_a12_processes_sum_to_one_pass(both, kind):
    expected = {name: float(value) for name, value in by_hand(make(kind), kind).items()}
    for logged in (rank[kind] for rank in both[1]):
        assert logged[f"test/{make(kind).counted}"] == counted(kind)
        for name, value in expected.items():
            assert logged[f"test/{name}"] == pytest.approx(value, rel=1e-5), name
            assert logged[f"val/{name}"] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("rank", [0, 1])
def test_c9_processes_with_other_numbers_of_tokens(both, rank):
    whole = language.stepped([language.batch()])
    for many in (1, 2):
        assert language.same(whole, torch.load(both[0] / f"tokens-{many}-{rank}.pt")), many


@pytest.mark.parametrize("rank", [0, 1])
def test_c9_processes_are_one_mean(both, rank):
    assert series.same(series.stepped([series.batch()]), torch.load(both[0] / f"cells-{rank}.pt"))
