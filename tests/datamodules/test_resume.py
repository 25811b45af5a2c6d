"""A11: a resumed run sees the batches that the uninterrupted one sees, what is random in them included, of any modality."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.images import Digits
from datamodules.images.augment import Augment
from datamodules.pairs import Reverse
from datamodules.text import Conll, Squad
from tests.datamodules.conftest import Alphabet
from tests.datamodules.series.tables import Frame, hourly
from tests.tasks.texts import written

pytestmark = pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")  # none is needed here


class Recorder(LightningModule):
    """Keeps the batches it is trained on."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = []

    def training_step(self, batch, _):
        if isinstance(batch, dict):
            parts = list(batch.values())
        else:
            parts = batch if isinstance(batch, tuple) else [getattr(batch, field.name) for field in fields(batch)]
            parts = [part for part in parts if not isinstance(part, tuple)]  # texts, of which the numbers are there
        self.seen.append([torch.as_tensor(-1 if part is None else part).clone() for part in parts])
        return self.layer(self.seen[-1][0].float().mean().reshape(1, 1)).sum()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


#: Data of 5 batches, with what is random in them: augmentation; where the rows of a stream begin.
DATA = {
    "images": lambda workers, cache: Digits(
        batch_size=200, num_workers=workers, augment=Augment(crop=1, flip=True), seed=1
    ),
    "text": lambda workers, cache: Alphabet(batch_size=40, num_workers=workers, seed=1, cache=cache),
    "pairs": lambda workers, cache: Reverse(
        batch_size=20, num_workers=workers, seed=1, cache=cache, sizes=(100, 20, 20), longest=8, buckets=2
    ),
    "tags": lambda workers, cache: Conll(
        path=written(Path(cache), "tags", 25), batch_size=4, num_workers=workers, seed=1, cache=cache, buckets=2
    ),
    "spans": lambda workers, cache: Squad(
        path=written(Path(cache), "spans", 25), batch_size=4, num_workers=workers, seed=1, cache=cache, context=48
    ),
    "series": lambda workers, cache: Frame.of(
        hourly(200), batch_size=20, num_workers=workers, seed=1, lookback=12, horizon=6, split=[130, 30, 30]
    ),
}


def train(kind, cache, workers=0, save=None, resume=None, every=None, **options):
    """The batches of three epochs, or of what is left of them after `resume`; checkpoints go to `save`."""
    model, data = Recorder(), DATA[kind](workers, str(cache))
    keep = ModelCheckpoint(save, "{step}", save_top_k=-1, **(every or {"every_n_train_steps": 1})) if save else None
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=keep is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=keep,
        **options,
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    return model.seen


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.fixture(scope="module", params=DATA)
def whole(request, tmp_path_factory):
    """15 steps of 3 epochs without a stop, with a checkpoint after each step."""
    folder = tmp_path_factory.mktemp("whole")
    return request.param, folder, train(request.param, folder, save=folder / "kept")


@pytest.mark.parametrize(("step", "workers"), [(1, 0), (5, 0), (7, 0), (7, 2), (10, 2), (14, 0)])
def test_resume_after_any_step(whole, step, workers):
    """Within an epoch (1, 7, 14) and at its end (5, 10), with workers (Lightning-AI/pytorch-lightning#21938)."""
    kind, folder, seen = whole
    assert len(seen) == 15
    assert not torch.equal(seen[0][0], seen[5][0])
    assert same(train(kind, folder, workers, resume=folder / "kept" / f"step={step}.ckpt"), seen[step:])


@pytest.mark.parametrize("at_end", [False, True])
def test_resume_after_an_epoch(whole, tmp_path, at_end):
    """Checkpoints saved after validation, and after the epoch."""
    kind, folder, seen = whole
    train(kind, folder, save=tmp_path / "kept", every={"every_n_epochs": 1, "save_on_train_epoch_end": at_end})
    assert same(train(kind, folder, 2, resume=tmp_path / "kept" / "step=5.ckpt"), seen[5:])


@pytest.mark.parametrize("kind", ["images", "text", "pairs", "series"])  # the loader's work, one for all
def test_resume_of_shortened_epochs(kind, tmp_path):
    """`limit_train_batches` ends an epoch before the loader does: the next one still starts at its first batch."""
    seen = train(kind, tmp_path, 2, save=tmp_path / "kept", limit_train_batches=3)
    assert len(seen) == 9
    for step in (3, 4):
        resumed = train(kind, tmp_path, 2, resume=tmp_path / "kept" / f"step={step}.ckpt", limit_train_batches=3)
        assert same(resumed, seen[step:])


@pytest.mark.parametrize("kind", DATA)
def test_overfitting_sees_the_same_batches_each_epoch(kind, tmp_path):
    seen = train(kind, tmp_path, overfit_batches=2)
    order = [sorted(batch[1].flatten().tolist()) for batch in seen]
    assert order[:2] == order[2:4] == order[4:]
