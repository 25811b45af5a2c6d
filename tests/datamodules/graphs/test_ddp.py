"""Two real processes (gloo): every seed, graph and row is tested once, and both train on halves of the same batches."""

import pytest

from tests.processes import together

SCRIPT = """
import json, sys, warnings
warnings.filterwarnings("ignore", category=FutureWarning)
import torch
from lightning.pytorch import LightningModule, Trainer
from datamodules.graphs import DigitsGraphs, DigitsKNN

class Watch(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), {"train": [], "val": [], "test": []}
    def note(self, batch, stage):
        rows = batch.rows[stage]
        if "n_id" in batch:
            rows = batch.n_id[rows]
        elif "ptr" in batch:  # a graph's pixels tell which it is
            pixels = (batch.x[:, 0] * 16).int().view(-1, 64).tolist()
            return self.seen[stage].append([" ".join(map(str, row)) for row in pixels])
        self.seen[stage].append(rows.tolist())
    def training_step(self, batch, index):
        self.note(batch, "train")
        return self.weight * 1.0
    def validation_step(self, batch, index):
        self.note(batch, "val")
    def test_step(self, batch, index):
        self.note(batch, "test")
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

seen = {}
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
for kind in ("full", "neighbor", "graphs"):
    data = DigitsGraphs(batch_size=100) if kind == "graphs" else DigitsKNN(loader=kind, batch_size=50)
    trainer = Trainer(max_epochs=2, accelerator="cpu", devices=1, num_nodes=2, strategy="ddp", num_sanity_val_steps=0,
                      use_distributed_sampler=False, **quiet)
    model = Watch()
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    assert trainer.world_size == 2
    seen[kind] = model.seen
open(f"{sys.argv[1]}/{sys.argv[2]}.json", "w").write(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes saw: kind of loader -> stage -> rows of each batch."""
    return together(SCRIPT, tmp_path_factory.mktemp("ddp"))


@pytest.mark.slow  # twenty seconds of two processes; tests/tasks/test_processes.py has the tasks' by default
@pytest.mark.parametrize(
    "kind, train, val, test", [("full", 200, 500, 1097), ("neighbor", 200, 500, 1097), ("graphs", 1000, 360, 360)]
)
def test_two_processes(ranks, kind, train, val, test):
    """A12, D7."""

    def rows(stage, batches=slice(None)):
        return [row for rank in ranks for batch in rank[kind][stage][batches] for row in batch]

    assert (len(rows("train")), len(rows("val")), len(rows("test"))) == (2 * train, 2 * val, test)  # two epochs
    assert len(set(rows("test"))) == test and len(set(rows("val"))) == val, "each once"
    if kind == "neighbor":
        epochs = [rows("train", slice(first, first + 4)) for first in (0, 4)]
        assert epochs[0] != epochs[1], "another order"
        assert all(len(set(epoch)) == train for epoch in epochs), "each training node once an epoch"
