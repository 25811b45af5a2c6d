"""Two real processes (gloo) with windows of series: each is tested once (A12, E1), training shares its batches."""

import pytest

from tests.processes import together

SCRIPT = """
import json, sys, warnings
warnings.filterwarnings("ignore", category=FutureWarning)
import torch
from lightning.pytorch import LightningModule, Trainer
from tests.datamodules.series.tables import Frame, hourly

class Watch(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), {"train": [], "test": []}
    def training_step(self, batch, index):
        self.seen["train"].append(batch["past_values"].tolist())
        return self.weight * 1.0
    def test_step(self, batch, index):
        self.seen["test"].append(batch["past_values"].tolist())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

data = Frame.of(hourly(207), batch_size=10, lookback=12, horizon=6, seed=3)
data.prepare_data(), data.setup()  # as a run does, in both processes at once
trainer = Trainer(max_epochs=2, accelerator="cpu", devices=1, num_nodes=2, strategy="ddp", num_sanity_val_steps=0,
                  use_distributed_sampler=False, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                  enable_model_summary=False, limit_val_batches=0)
model = Watch()
trainer.fit(model, datamodule=data)
trainer.test(model, datamodule=data, verbose=False)
open(f"{sys.argv[1]}/{sys.argv[2]}.json", "w").write(json.dumps({"seen": model.seen, "size": data.test_size}))
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return together(SCRIPT, tmp_path_factory.mktemp("ddp"))


@pytest.mark.slow  # fifteen seconds of two processes; tests/tasks/test_processes.py has the tasks' by default
def test_two_processes(ranks):
    """A1: the batches are those of one process."""
    from tests.datamodules.series.tables import Frame, hourly

    single = Frame.of(hourly(207), batch_size=10, lookback=12, horizon=6, seed=3)
    wanted = [batch["past_values"].tolist() for batch in single.train_dataloader()]
    loaded = [[rank["seen"]["train"][i] for rank in ranks] for i in range(len(wanted))]
    assert len(ranks[0]["seen"]["train"]) == 2 * len(wanted) and ranks[0]["size"] == single.test_size
    assert single.test_size % 10, "the last batch is short"
    for whole, parts in zip(wanted, loaded, strict=True):
        assert [whole[0::2], whole[1::2]] == parts
    tested = [row for rank in ranks for batch in rank["seen"]["test"] for row in batch]
    expected = [row for batch in single.test_dataloader() for row in batch["past_values"].tolist()]
    assert sorted(tested) == sorted(expected)
