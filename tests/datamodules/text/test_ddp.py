"""Two real processes (gloo) that make the same tokens at once: every row is tested once, training shares its batches."""

import pytest

from tests.processes import together

SCRIPT = """
import json, sys, warnings
warnings.filterwarnings("ignore", category=FutureWarning)
import torch
from lightning.pytorch import LightningModule, Trainer
from tests.datamodules.conftest import Alphabet

class Watch(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), {"train": [], "test": []}
    def training_step(self, batch, index):
        self.seen["train"].append(batch.ids.tolist())
        return self.weight * 1.0
    def test_step(self, batch, index):
        self.seen["test"].append(batch.ids.tolist())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

bpe = {"kind": "bpe", "vocab_size": 300}
data = Alphabet(batch_size=10, cache=f"{sys.argv[1]}/cache", letters=20000, tokenizer=bpe, seed=3)
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
def test_two_processes(ranks, tmp_path):
    """A12, and A1: the batches are those of one process."""
    from tests.datamodules.conftest import Alphabet

    bpe = {"kind": "bpe", "vocab_size": 300}
    single = Alphabet(batch_size=10, cache=str(tmp_path), letters=20000, tokenizer=bpe, seed=3)
    single.setup()
    wanted = [batch.ids.tolist() for batch in single.train_dataloader()]
    loaded = [[rank["seen"]["train"][i] for rank in ranks] for i in range(len(wanted))]
    assert len(ranks[0]["seen"]["train"]) == 2 * len(wanted) and ranks[0]["size"] == single.test_size
    for whole, parts in zip(wanted, loaded, strict=True):
        assert [whole[0::2], whole[1::2]] == parts
    tested = [row for rank in ranks for batch in rank["seen"]["test"] for row in batch]
    expected = [row for batch in single.test_dataloader() for row in batch.ids.tolist()]
    assert sorted(tested) == sorted(expected)
