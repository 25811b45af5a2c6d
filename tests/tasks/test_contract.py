"""What every task keeps, tested on each because it exists: an epoch's metric is that of one pass over its rows."""

import math
import pkgutil
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from sklearn.metrics import f1_score, mean_absolute_error, mean_squared_error
from torch.nn import functional as F

import zoo.tasks
from datamodules.pairs import PairBatch
from datamodules.text import TaggedText, TextBatch
from tests.tasks.regression import Regression
from tests.tasks.series import Straight, windows
from tests.tasks.texts import Tagger, sentences, tagged_by_hand, texts
from tests.tasks.tiny import ADAMW, Tiny, data, make_trainer, weights
from zoo.errors import ZooError
from zoo.layers.patch_masking import LastPatches
from zoo.models.language.gpt import GPT
from zoo.models.pairs.seq2seq import Seq2Seq
from zoo.models.series.patchtst import PatchTST
from zoo.tasks.classification import Classification
from zoo.tasks.extractive_qa import ExtractiveQA
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.language_modelling import LanguageModelling
from zoo.tasks.masked_patches import MaskedPatches
from zoo.tasks.task import Task
from zoo.tasks.token_classification import TokenClassification
from zoo.tasks.translation import Translation

ROWS = 23
#: several labels a row, or numbers, made of the images' means; one label a row is tiny's own
MAKE = {
    "classes": (lambda **more: Classification(Tiny(), ADAMW, **more), lambda images, labels: labels),
    "labels": (
        lambda **more: Classification(Tiny(), ADAMW, multilabel=True, **more),
        lambda images, labels: (images.mean((1, 2, 3))[:, None] > torch.tensor([0.0, 1.0, 2.0])).float(),
    ),
    "number": (
        lambda **more: Regression(Tiny(1), ADAMW, **more),
        lambda images, labels: images.mean((1, 2, 3))[:, None] + 0.5,
    ),
    "numbers": (
        lambda **more: Regression(Tiny(2), ADAMW, **more),
        lambda images, labels: torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3))], 1),
    ),
}
#: of texts the rows are tokens, of which each text has others, and a batch has names
MAKE["tokens"] = (lambda **more: LanguageModelling(Words(), ADAMW, **more), None)
#: of series the rows are observed cells, and what is counted are windows
MAKE["values"] = (lambda **more: Forecasting(Linear(), ADAMW, **more), None)
MAKE["patches"] = (lambda **more: MaskedPatches(Patches(), ADAMW, **more), None)
#: of pairs the rows are target tokens
MAKE["pairs"] = (lambda **more: Translation(Saying(), ADAMW, exact_match=False, **more), None)
#: of sentences the rows are words, of which some have no token
MAKE["tags"] = (lambda **more: TokenClassification(Tagger(), ADAMW, **more), None)
tasks = pytest.mark.parametrize("kind", MAKE)


class Words(GPT):
    """Of the shape of Tiny: what this file takes out of a model is there."""

    def __init__(self):
        super().__init__(11, 6, 8, 1, 2)
        self.batch_norm = self.dropout = torch.nn.Identity()


class Linear(Straight):
    def __init__(self):
        super().__init__(2, 6, 3)
        self.batch_norm = self.dropout = torch.nn.Identity()
        self.preprocess = SimpleNamespace(mase_scale=(0.5, None), mean=(0.0, 1.0), std=(1.0, 2.0))


class Patches(PatchTST):
    """All but the last patch hidden, so that nothing is drawn; and no batch norm, which knows its batch."""

    def __init__(self):
        sizes = dict(patch=2, stride=2, dim=8, depth=1, num_heads=2, hidden=8, end_padding=False)
        super().__init__(2, 6, 3, **sizes, norm=torch.nn.LayerNorm, masking=LastPatches(2))
        self.batch_norm = self.dropout = torch.nn.Identity()


class Saying(Seq2Seq):
    def __init__(self):
        super().__init__(11, 11, 8)
        self.batch_norm = self.dropout = torch.nn.Identity()


def pairs(n):
    """Sources, their lengths, targets and theirs."""
    g = torch.Generator().manual_seed(1)
    rows = torch.arange(n)
    source, target = torch.randint(11, (n, 5), generator=g), torch.randint(11, (n, 7), generator=g)
    return source, rows % 5 + 1, target, rows % 6 + 2, rows


def total(kind, n=ROWS):
    """What all means are over."""
    if kind == "tokens":
        return int((texts(n)[1] >= 0).sum())
    if kind == "pairs":
        return int((pairs(n)[3] - 1).sum())
    if kind == "tags":
        return int((sentences(n)[1] >= 0).sum())
    if kind == "values":
        return int(windows(n)["future_observed_mask"].sum())
    return n * 8 if kind == "patches" else n


def counted(kind):
    """What test/samples (or test/tokens) is."""
    if kind == "tags":
        return int((sentences(ROWS)[2] >= 0).sum())
    return ROWS if kind in ("values", "patches") else total(kind)


class Batches:
    """Batches in order, which can be gone on with."""

    def __init__(self, batches):
        self.batches, self.next = batches, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        first, self.next = self.next, 0
        for i in range(first, len(self.batches)):
            self.place = i + 1
            yield self.batches[i]

    def state_dict(self):
        return {"next": self.place}

    def load_state_dict(self, state):
        self.next = state["next"]


def rows(kind, n=ROWS):
    images, labels = data(n).tensors
    return images, MAKE[kind][1](images, labels)


def batches(kind, size, part=slice(None), n=ROWS):
    if kind == "tokens":
        parts = zip(*(tensor[part].split(size) for tensor in texts(n)), strict=True)
        return Batches([TextBatch(ids, targets, num_bytes=sizes) for ids, targets, sizes in parts])
    if kind == "pairs":
        parts = zip(*(tensor[part].split(size) for tensor in pairs(n)), strict=True)
        return Batches([PairBatch(*each) for each in parts])
    if kind == "tags":
        parts = zip(*(tensor[part].split(size) for tensor in sentences(n)), strict=True)
        return Batches([TaggedText(ids, ids, tags=tags, gold=gold, places=at) for ids, tags, gold, at in parts])
    if kind in ("values", "patches"):
        split = {name: tensor[part].split(size) for name, tensor in windows(n).items()}
        return Batches([dict(zip(split, each, strict=True)) for each in zip(*split.values(), strict=True)])
    images, targets = (tensor[part] for tensor in rows(kind))
    return Batches(list(zip(images.split(size), targets.split(size), strict=True)))


def make(kind, **more):
    torch.manual_seed(0)
    return MAKE[kind][0](**more)


def by_hand(task, kind):
    """Loss and metrics of all rows at once, of scikit-learn."""
    if kind == "tokens":
        ids, targets, sizes = texts(ROWS)
        with torch.no_grad():
            out = task.eval()(ids)
        loss = F.cross_entropy(out[targets >= 0], targets[targets >= 0])
        right = (out.argmax(-1) == targets).sum() / total(kind)
        bits = loss * total(kind) / math.log(2) / sizes.sum()
        return {"loss": loss, "accuracy": right, "perplexity": loss.exp(), "bits_per_byte": bits}
    if kind == "pairs":
        source, lengths, target, ends, _ = pairs(ROWS)
        with torch.no_grad():
            out = task.eval()(source, target[:, :-1], lengths)
        there, asked = torch.arange(6) < (ends - 1)[:, None], target[:, 1:]
        loss = F.cross_entropy(out[there], asked[there])
        return {"loss": loss, "accuracy": (out.argmax(-1) == asked)[there].float().mean(), "perplexity": loss.exp()}
    if kind == "tags":
        return tagged_by_hand(task, ROWS)
    if kind == "values":
        batch = windows(ROWS)
        with torch.no_grad():
            error = task.eval()(batch["past_values"]).mean - batch["future_values"]
        there = batch["future_observed_mask"]
        mase = error[..., 0][there[..., 0]].abs().mean() / 0.5
        return {
            "loss": error[there].square().mean(),
            "mse": error[there].square().mean(),
            "mae": error[there].abs().mean(),
            "mase": mase,
        }
    if kind == "patches":
        with torch.no_grad():
            found = task.eval().model.reconstruct(windows(ROWS)["past_values"])
        error = (found.out - found.patches)[:, :, 1:]
        return {"loss": error.square().mean(), "mse": error.square().mean(), "mae": error.abs().mean()}
    images, targets = rows(kind)
    with torch.no_grad():
        out = task.eval()(images)
    if kind == "classes":
        macro = f1_score(targets, out.argmax(1), average="macro", labels=[0, 1, 2], zero_division=0)
        right = (out.argmax(1) == targets).float().mean()
        return {"loss": F.cross_entropy(out, targets), "accuracy": right, "macro_f1": macro}
    if kind == "labels":
        loss = F.binary_cross_entropy_with_logits(out, targets)
        micro = f1_score(targets, out > 0, average="micro")
        return {"loss": loss, "accuracy": ((out > 0) == targets.bool()).float().mean(), "micro_f1": micro}
    return {"loss": mean_squared_error(targets, out), "mae": mean_absolute_error(targets, out)}


def test_every_task_is_held_to_this():
    for found in pkgutil.iter_modules(zoo.tasks.__path__):
        import_module(f"zoo.tasks.{found.name}")

    def below(kind):
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    # A row of ExtractiveQA is a question of several windows: tests/tasks/test_extractive_qa.py holds it to the same.
    held = {type(make(kind)) for kind in MAKE} | {ExtractiveQA}
    assert {kind for kind in below(Task) if kind.__module__.startswith("zoo.")} <= held | {Task}


@tasks
@pytest.mark.parametrize("size", [1, 4, 8, ROWS])  # 23 = 2 * 8 + 7
def test_a13_metrics_are_those_of_one_pass(kind, size):
    task, trainer = make(kind), make_trainer()
    (tested,) = trainer.test(task, batches(kind, size), verbose=False)
    expected = by_hand(task, kind)
    assert tested == pytest.approx(
        {**{f"test/{n}": float(v) for n, v in expected.items()}, f"test/{task.counted}": counted(kind)}, 1e-5
    )
    (validated,) = trainer.validate(task, batches(kind, size), verbose=False)
    assert validated == pytest.approx({f"val/{name}": float(value) for name, value in expected.items()}, rel=1e-5)


@tasks
def test_training_metrics_are_means_over_the_epochs_rows(kind):
    """At rate 0 and without dropout and running statistics, training sees what a test sees."""
    task = make(kind)
    task.hparams["optimizer"] = {**ADAMW, "lr": 0.0}
    task.model.batch_norm = torch.nn.Identity()
    task.model.dropout = torch.nn.Identity()
    trainer = make_trainer()
    trainer.fit(task, batches(kind, 8), batches(kind, 8))
    logged = trainer.callback_metrics
    measured = {
        name: value
        for name, value in by_hand(task, kind).items()
        if not name.endswith(("f1", "precision", "recall")) and name != "mase"
    }
    for name, value in measured.items():
        assert logged[f"train/{name}"].item() == pytest.approx(float(value), rel=1e-5), name


class Stop(Callback):
    def __init__(self, step, file):
        self.step, self.file = step, file

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)
            raise KeyError(self.step)


@tasks
@pytest.mark.parametrize("step", [2, 8])  # within the first epoch of 6 steps, and within the second
def test_a11_a_resumed_epoch_is_the_uninterrupted_one(kind, step, tmp_path):
    def run(callbacks=(), **more):
        task, trainer = make(kind), make_trainer(2, callbacks=list(callbacks))
        task.model.dropout = torch.nn.Identity()  # random numbers are the business of zoo.training
        trainer.fit(task, batches(kind, 4), batches(kind, 8), **more)
        return weights(task), {name: value.item() for name, value in trainer.callback_metrics.items()}

    expected, metrics = run()
    with pytest.raises(KeyError):
        run(callbacks=[Stop(step, tmp_path / "a.ckpt")])
    kept = torch.load(tmp_path / "a.ckpt", weights_only=True)["train_totals"]
    assert kept["state"].numel() <= 2 * len(kept["names"]), "constant memory: two numbers a mean, whatever the steps"
    got, logged = run(ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert logged == metrics, "to the last bit"
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@tasks
def test_memory_does_not_grow_with_the_epoch(kind):
    task = make(kind)
    (batch,) = batches(kind, 4, slice(4))
    task.training_step(batch, 0)
    first = {name: value.numel() for name, value in task.totals["train"].sums.items()}
    for i in range(1, 20):
        task.training_step(batch, i)
    totals = task.totals["train"]
    assert {name: value.numel() for name, value in totals.sums.items()} == first
    assert totals.counts["loss"] == 20 * total(kind, 4)
    assert all(value.dtype == torch.float64 and not value.requires_grad for value in totals.sums.values())


OF_LOSS = {"tags": ("f1", "max")} | dict.fromkeys(("values", "patches", "tokens", "pairs"), ("loss", "min"))
USUAL = OF_LOSS | dict.fromkeys(("number", "numbers"), ("mae", "min"))


@tasks
def test_checkpoints_and_curves_follow_the_monitor(kind):
    task = make(kind)
    assert (task.monitor, task.mode) == USUAL.get(kind, ("accuracy", "max"))
    loss = make(kind, monitor="loss", mode="min")
    assert (loss.monitor, loss.mode) == ("loss", "min")
    with pytest.raises(ZooError, match=r"task.monitor=los is not measured; did you mean 'loss'"):
        make_trainer().validate(make(kind, monitor="los"), batches(kind, 8), verbose=False)
    with pytest.raises(ZooError, match=r"task.mode='low' is neither min nor max"):
        make(kind, mode="low")


@pytest.mark.parametrize(
    "kind", [kind for kind in MAKE if kind not in ("tokens", "values", "patches", "pairs", "tags")]
)
def test_b6_a_linear_probe_trains_the_head_alone(kind):
    task = make(kind, finetune="linear_probe")
    before = weights(task.model)
    make_trainer(1).fit(task, batches(kind, 8), batches(kind, 8))
    after = weights(task.model)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.weight", "head.bias"}


# ---- refusals


def node_level(**more):
    config = {"_target_": "zoo.models.gat.GAT", "in_dim": 3, "num_classes": 3, **more}
    return Classification(zoo.build(config), ADAMW, finetune="linear_probe")


def test_a_probe_of_a_model_without_a_linear_head_is_refused():
    with pytest.raises(ZooError, match="GAT as it is built has none; take finetune=full"):
        node_level()
    task = node_level(readout="mean")
    assert {name for name, p in task.model.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}


def test_what_is_for_images_or_for_one_label_is_refused_elsewhere():
    graph = zoo.build({"_target_": "zoo.models.gat.GAT", "in_dim": 3, "num_classes": 3})
    mixing = {"_target_": "zoo.tasks.mixing.Mixing"}
    with pytest.raises(ZooError, match=r"task.mixing mixes images, and GAT reads none"):
        Classification(graph, ADAMW, mixing=mixing)
    for more in ({"mixing": mixing}, {"label_smoothing": 0.1}):
        with pytest.raises(ZooError, match="are for one label a row"):
            Classification(Tiny(), ADAMW, multilabel=True, **more)
    images, labels = data(4).tensors
    with pytest.raises(ZooError, match=r"set task.multilabel=true"):
        make("classes").training_step((images, labels.float()), 0)
    with pytest.raises(ZooError, match=r"set task.multilabel=false"):
        make("labels").training_step((images, labels), 0)
    with pytest.raises(ZooError, match=r"Linear is not a zoo.models.Model"):
        Classification(torch.nn.Linear(2, 2), ADAMW)
