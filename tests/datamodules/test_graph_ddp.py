"""Two real processes (gloo): every seed, graph and row is tested once, and both train on halves of the same batches."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
            rows = (batch.x[:, 0].view(-1, 64) * torch.arange(1.0, 65)).sum(1)
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

kind, out = sys.argv[1:]
data = DigitsGraphs(batch_size=100) if kind == "graphs" else DigitsKNN(loader=kind, batch_size=50)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer = Trainer(max_epochs=2, accelerator="cpu", devices=1, num_nodes=2, strategy="ddp", num_sanity_val_steps=0,
                  use_distributed_sampler=False, **quiet)
model = Watch()
trainer.fit(model, datamodule=data)
trainer.test(model, datamodule=data, verbose=False)
assert trainer.world_size == 2
open(f"{out}/{trainer.global_rank}.json", "w").write(json.dumps(model.seen))
"""


@pytest.mark.parametrize("kind", ["full", "neighbor", "graphs"])
def test_two_processes(kind, tmp_path):
    """A12, D7."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(2):
        # As two machines with one device each, so that this test and not Lightning starts the processes.
        own = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, NODE_RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE="2")
        environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SCRIPT, kind, str(tmp_path)]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path))
    messages = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], messages
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]

    def rows(stage):
        return [row for rank in ranks for batch in rank[stage] for row in batch]

    sizes = {"full": (200, 500, 1097), "neighbor": (200, 500, 1097), "graphs": (1000, 360, 360)}[kind]
    assert (len(rows("train")), len(rows("val")), len(rows("test"))) == (2 * sizes[0], 2 * sizes[1], sizes[2])
    assert len(set(rows("test"))) == len(rows("test")), "each once"
    assert len(set(rows("val"))) == sizes[1]
    if kind == "neighbor":
        first, second = (
            [batch for rank in ranks for batch in rank["train"][epoch * 4 : epoch * 4 + 4]] for epoch in (0, 1)
        )
        assert first != second and sorted(sum(first, [])) == sorted(sum(second, []))
        assert len(set(sum(first, []))) == 200, "an epoch shows each training node once"
