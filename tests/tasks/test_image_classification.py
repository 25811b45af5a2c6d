"""The task: what it logs, what it saves, what it freezes."""

import pytest
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from torch.nn import functional as F

import zoo
from tests.tasks.tiny import ADAMW, COSINE, Tiny, data, loader, make_task, make_trainer, same, weights
from zoo.callbacks.checkpoint import Checkpoint
from zoo.errors import ZooError
from zoo.tasks.image_classification import ImageClassification

SGD = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
VIT = {"_target_": "zoo.models.vit.ViT", "img_size": 4, "patch_size": 2, "in_chans": 1, "num_classes": 3}
VIT |= {"dim": 8, "depth": 2, "num_heads": 2}


class EachEpoch(Callback):
    """The epoch's metrics, and what they should be: counted one sample at a time."""

    def __init__(self):
        self.logged, self.samples = [], []

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        self.samples += [float(outputs["loss"])] * len(batch[1])

    def on_train_epoch_end(self, trainer, task):
        self.counted = sum(self.samples) / len(self.samples)


def one_pass(task, n):
    """Loss and accuracy of n images in one batch."""
    images, labels = data(n).tensors
    with torch.no_grad():
        logits = task.eval()(images)
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


def test_training_metrics_weigh_the_short_last_batch():  # A13
    task, seen = make_task(schedule=COSINE), EachEpoch()
    trainer = make_trainer(callbacks=[seen])
    trainer.fit(task, loader(23, 8), loader(13))
    metrics = trainer.callback_metrics
    assert set(metrics) == {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/macro_f1", "lr"}
    assert metrics["train/loss"].item() == pytest.approx(seen.counted, rel=1e-6)
    assert metrics["val/loss"].item() == pytest.approx(one_pass(task, 13)[0], rel=1e-5)
    assert metrics["lr"].item() == pytest.approx(1e-3)  # the floor, at the end


def test_metrics_start_anew_each_epoch():
    task = make_task(zoo.build(VIT), optimizer={**SGD, "lr": 0.0})
    trainer = make_trainer(3)
    trainer.fit(task, loader(), loader(13))
    assert trainer.callback_metrics["train/accuracy"].item() == pytest.approx(one_pass(task, 23)[1])
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(one_pass(task, 13)[0], rel=1e-5)


def test_confusion_counts_each_test_sample():
    task = make_task()
    make_trainer().test(task, loader(23, 8), verbose=False)
    images, labels = data(23).tensors
    said = task.eval()(images).argmax(1)
    expected = torch.zeros(3, 3, dtype=torch.long)
    for true, guess in zip(labels, said, strict=True):
        expected[true, guess] += 1
    assert torch.equal(task.confusion, expected)


def test_smoothed_loss_by_hand():
    task = make_task(label_smoothing=0.3)
    task.model.eval()
    images, labels = data(4).tensors
    logp = task(images).log_softmax(1)
    target = 0.7 * F.one_hot(labels, 3) + 0.1
    torch.testing.assert_close(task.training_step((images, labels), 0), -(target * logp).sum(1).mean())


def test_accumulated_micro_batches_give_the_big_batch_gradient():
    def trained(batch, accumulate):
        task = make_task(VIT, optimizer=SGD)  # no batch norm: over micro-batches it is another function
        trainer = make_trainer(2, accumulate_grad_batches=accumulate)
        trainer.fit(task, loader(24, batch), loader(13))
        return weights(task.model), trainer.global_step

    (whole, steps), (pieces, steps_too) = trained(12, 1), trained(3, 4)
    assert steps == steps_too == 4
    for name, value in whole.items():
        torch.testing.assert_close(pieces[name], value, rtol=1e-5, atol=1e-6)


def test_linear_probe_leaves_the_backbone_bit_identical():  # B6
    task = make_task(finetune="linear_probe", layer_decay=0.5)
    before = weights(task.model)
    trainer = make_trainer(2)
    trainer.fit(task, loader(), loader(13))
    after = weights(task.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}  # batch norm statistics among what is unchanged
    assert not task.model.batch_norm.training and not task.model.dropout.training and task.model.head.training


def test_full_finetuning_trains_a_model_that_arrives_in_eval_mode():
    task = make_task(Tiny().eval())
    before = weights(task.model)
    make_trainer().fit(task, loader(), loader(13))
    after = weights(task.model)
    assert task.model.training and not any(torch.equal(before[name], after[name]) for name in before)


def test_checkpoint_rebuilds_from_config_alone(tmp_path):  # A7, A9
    task = make_task(OmegaConf.create(VIT), schedule=OmegaConf.create(COSINE), label_smoothing=0.1, layer_decay=0.9)
    save = Checkpoint(tmp_path, "last")
    make_trainer(callbacks=[save]).fit(task, loader(), loader(13))
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    hparams = checkpoint["hyper_parameters"]
    assert hparams["model"] == VIT and hparams["schedule"] == COSINE and hparams["optimizer"] == ADAMW
    assert type(hparams["model"]) is dict
    loaded = ImageClassification.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert same(loaded.state_dict(), task.state_dict()) and loaded.model.config == VIT


def test_a_given_module_is_rebuilt_from_its_config_and_its_weights_are_saved_once(tmp_path):  # A9
    task = make_task(zoo.build(VIT))
    trainer = make_trainer()
    trainer.fit(task, loader(), loader(13))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]["model"] == VIT
    loaded = ImageClassification.load_from_checkpoint(tmp_path / "a.ckpt")
    assert same(loaded.state_dict(), task.state_dict())


def test_a_module_without_config_is_asked_for(tmp_path):
    task, trainer = make_task(), make_trainer()
    trainer.fit(task, loader(), loader(13))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ZooError, match="model="):
        ImageClassification.load_from_checkpoint(tmp_path / "a.ckpt")
    loaded = ImageClassification.load_from_checkpoint(tmp_path / "a.ckpt", model=Tiny())
    assert same(loaded.state_dict(), task.state_dict())


def test_checkpoint_of_another_architecture_names_the_tensors(tmp_path):
    task, trainer = make_task(zoo.build(VIT)), make_trainer()
    trainer.fit(task, loader(), loader(13))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    wider = zoo.build({**VIT, "num_classes": 4, "depth": 1})
    with pytest.raises(
        ZooError, match=r"only in the checkpoint: model.blocks.1.*head.weight \(\[3, 8\] there, \[4, 8\]"
    ):
        ImageClassification.load_from_checkpoint(tmp_path / "a.ckpt", model=wider)


def test_compiled_names_are_plain_and_load_both_ways(tmp_path):  # A10
    plain, compiled = make_task(zoo.build(VIT)), make_task(zoo.build(VIT), compile=True)
    assert list(plain.state_dict()) == list(compiled.state_dict())
    assert compiled.model._compiled_call_impl is not None and plain.model._compiled_call_impl is None
    compiled.load_state_dict(plain.state_dict())
    plain.load_state_dict(compiled.state_dict())


def test_mixing_trains_on_odd_batches():  # B4
    mixing = {"_target_": "zoo.tasks.mixing.Mixing", "mixup": 0.8, "cutmix": 1.0}
    trainer = make_trainer()
    trainer.fit(make_task(mixing=mixing, label_smoothing=0.1), loader(23, 5), loader(13))
    assert trainer.callback_metrics["train/loss"].isfinite()
    # A mixed image has no one label: against one of the two, a curve of accuracies reads as failure.
    assert "train/accuracy" not in trainer.callback_metrics


def test_double_precision_metrics_are_double():
    trainer = make_trainer(precision="64-true")
    trainer.fit(make_task(), loader(), loader(13))
    assert trainer.callback_metrics["train/loss"].dtype == torch.float64


def test_bfloat16_clips_with_a_fused_optimizer():
    trainer = make_trainer(precision="bf16-mixed", gradient_clip_val=1e-3)
    task = make_task(optimizer={**SGD, "fused": True, "lr": 1.0})
    before = weights(task.model)
    trainer.fit(task, loader(8), loader(13))
    moved = [(before[name] - value).flatten() for name, value in task.model.named_parameters()]
    assert torch.cat(moved).norm().item() == pytest.approx(1e-3, rel=1e-2)  # one step of rate 1 moves by the gradient


def test_recomputed_activations_change_nothing_but_memory():
    def trained(**kwargs):
        task = make_task(VIT, optimizer=SGD, **kwargs)
        make_trainer().fit(task, loader(), loader(13))
        return task

    kept, recomputed = trained(), trained(grad_checkpointing=True)
    assert recomputed.model.grad_checkpointing and not kept.model.grad_checkpointing
    for name, value in kept.state_dict().items():
        torch.testing.assert_close(recomputed.state_dict()[name], value)
    with pytest.raises(ZooError, match="Tiny has no set_grad_checkpointing"):
        make_task(grad_checkpointing=True)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"label_smoothing": 2}, r"task.label_smoothing=2 is not within \[0, 1\)"),
        ({"layer_decay": 0}, "task.layer_decay=0 is not within"),
        ({"optimizer": None}, "task.optimizer=None has no _target_"),
    ],
)
def test_values_out_of_range(options, sentence):
    with pytest.raises(ZooError, match=sentence):
        make_task(**options)


def test_refusals():
    with pytest.raises(ZooError, match="did you mean 'linear_probe'"):
        make_task(finetune="linear-probe")
    with pytest.raises(ZooError, match="not a classifier"):
        make_task(zoo.build({**VIT, "num_classes": 0}))
