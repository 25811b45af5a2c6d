"""finetune=lora | bottleneck: the backbone stays bit for bit, checkpoints hold the adapter, runs join and resume."""

from pathlib import Path

import pytest
import torch

import zoo
from tests.tasks.tiny import ADAMW
from tests.training.compose import compose, fit
from tests.training.conftest import TINY
from tests.training.test_resume import Stop
from zoo import ZooError
from zoo.config import plain
from zoo.tasks import Classification
from zoo.training.checks import check_config
from zoo.training.run import train
from zoo.training.summary import finish

SMALL = ("callbacks.figures=null", *TINY[:-1], "trainer.max_epochs=2")


def run(folder: Path, *overrides: str):
    """As train.py: a finished run."""
    record = train(compose(*SMALL, *overrides, run=folder), folder)
    finish(record, folder, [], {})
    return record


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "base"
    run(folder)
    return folder


def state(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_a_run(kind, base):
    folder = base.parent / kind
    record = run(folder, f"finetune={kind}", f"init={base}", "adapter.rank=2", "adapter.dropout=0.1", "callbacks=ema")
    before, after = zoo.load(base).state_dict(), record.task.model.state_dict()
    changed = [name for name, tensor in before.items() if not torch.equal(after[name], tensor)]
    assert sorted(changed) == ["head.bias", "head.weight"]  # which is a classifier, and trains as a whole
    held = state(folder / "checkpoints" / "best.ckpt")  # A7
    own = {f"model.{name}" for name in after if ".adapters." in name or name.startswith("head.")}
    assert held["state_dict"].keys() == own == held["current_model_state"].keys()
    assert held["adapter"]["base"]["name"] == "base" and len(held["adapter"]["base"]["hash"]) == 64
    assert not (folder / "model" / "model.safetensors").exists()
    (x,) = record.task.model.inputs(next(iter(record.data.test_dataloader())))
    record.task.model.eval()
    with torch.no_grad():
        wanted = record.task.model(x)
        for there in (folder, folder / "model", folder / "checkpoints" / "best.ckpt"):
            assert torch.equal(zoo.load(there)(x), wanted)
    task = Classification.load_from_checkpoint(folder / "checkpoints" / "best.ckpt", model=zoo.load(base))
    assert torch.equal(task.eval()(x), wanted)
    with pytest.raises(ZooError, match=r"the hash alone; pass the model, as model=zoo\.load"):
        Classification.load_from_checkpoint(folder / "checkpoints" / "best.ckpt")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_resumed_is_uninterrupted(base, tmp_path, step):  # A11
    how = (
        "finetune=lora",
        f"init={base}",
        "adapter.targets=[q,v,o,up,down]",
        "adapter.dropout=0.2",
        "trainer.max_epochs=2",
    )
    whole = fit(tmp_path / "whole", *how).lightning_module.state_dict()
    file = tmp_path / "x.ckpt"
    fit(tmp_path / "cut", *how, extra=[Stop(step, file)], stop_with=KeyError)
    assert not any(name.endswith("qkv.weight") for name in state(file)["state_dict"])
    again = fit(tmp_path / "cut", *how, checkpoint=file).lightning_module.state_dict()
    assert all(torch.equal(whole[name], tensor) for name, tensor in again.items())


def test_another_base_is_refused(base, tmp_path):
    run(tmp_path / "other", "seed=1")
    run(tmp_path / "lora", "finetune=lora", f"init={base}")
    with pytest.raises(ZooError, match="is an adapter of another base"):
        given = ("finetune=lora", f"init={tmp_path / 'other'}", "train=false", f"ckpt_path={tmp_path / 'lora'}")
        train(compose(*SMALL, *given, run=tmp_path / "again"), tmp_path / "again")


def test_without_a_base_everything_is_kept(tmp_path):
    """The backbone at random lies nowhere else."""
    record = run(tmp_path / "run", "finetune=lora")
    (x,) = record.task.model.inputs(next(iter(record.data.test_dataloader())))
    record.task.model.eval()
    with torch.no_grad():
        wanted = record.task.model(x)
        assert torch.equal(zoo.load(tmp_path / "run")(x), wanted)
        best = tmp_path / "run" / "checkpoints" / "best.ckpt"
        assert torch.equal(zoo.load(best)(x), wanted)
        assert torch.equal(Classification.load_from_checkpoint(best).eval()(x), wanted)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A text, and labelled lines of it."""
    folder = tmp_path_factory.mktemp("texts")
    lines = [f"line {i} of a text, {i * i} long" for i in range(400)]
    (folder / "text.txt").write_text("\n".join(lines))
    rows = ["text,label", *(f'"{line}",{"even" if i % 2 == 0 else "odd"}' for i, line in enumerate(lines))]
    (folder / "rows.csv").write_text("\n".join(rows))
    return folder


LANGUAGE = ("data=textfile", "data.context=16", "tokenizer=byte", "model.dim=16", "model.depth=1", "data.batch_size=4")
CLASSES = ("data=textcsv", "task=text_classification", "data.text=text", "data.label=label", "data.context=16")
FEW = (
    "callbacks.figures=null",
    "trainer.max_epochs=1",
    "+trainer.limit_train_batches=2",
    "+trainer.enable_progress_bar=false",
)
FAMILIES = {
    "gat": (("model=gat", "data=digits_knn"), ("model=gat", "data=digits_knn")),
    "gpt": (("model=gpt", *LANGUAGE), ("model=gpt", *LANGUAGE)),
    "llama": (("model=llama", *LANGUAGE), ("model=llama", *LANGUAGE)),
    "bert": (("model=bert", *LANGUAGE), ("model=bert", *CLASSES)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_from_the_command_line(name, texts, tmp_path):
    def words(given):
        path = texts / ("rows.csv" if "data=textcsv" in given else "text.txt")
        return (*FEW, *given, *((f"data.path={path}", f"paths.cache={tmp_path}") if name != "gat" else ()))

    first, second = FAMILIES[name]
    for folder, given in (("base", first), ("lora", (*second, f"init={tmp_path / 'base'}", "finetune=lora"))):
        record = train(compose(*words(given), run=tmp_path / folder), tmp_path / folder)
        finish(record, tmp_path / folder, [], {})
    model, back = record.task.model.eval(), zoo.load(tmp_path / "lora")
    before, after = zoo.load(tmp_path / "base").state_dict(), model.state_dict()
    whole = ["head", "pooler"] if name == "bert" else []  # what is new
    assert all(torch.equal(after[n], t) for n, t in before.items() if n in after and n.split(".")[0] not in whole)
    assert all(torch.equal(back.state_dict()[n], t) for n, t in after.items()) and back.adapter == model.adapter
    assert sorted(model.adapter.whole) == whole
    assert not (tmp_path / "lora" / "model" / "model.safetensors").exists()


def test_other_classes_and_sizes(base, tmp_path):
    """A new head trains; positions that were resampled are kept with the adapter, and do not train."""
    from zoo.pretrained import initialise

    model, changes = initialise(zoo.load(base).config, str(base), {"num_classes": 4, "img_size": 16})
    zoo.adapt(model, "lora")
    assert {change.name for change in changes} == {"head.weight", "head.bias", "position.table"}
    assert model.adapter.whole == ("head",) and not model.position.table.requires_grad
    zoo.save_adapter(model, tmp_path / "adapter")
    back = zoo.load(tmp_path / "adapter")
    x = torch.randn(2, 1, 16, 16)
    assert torch.equal(back(x), model.eval()(x)) and back.num_classes == 4


def test_batch_norm_of_the_backbone_stays():
    model = zoo.create_model("cnn", in_chans=1, num_classes=3, img_size=8)
    task = Classification(zoo.adapt(model, "lora", targets=["*"], train=[]), ADAMW, finetune="lora").train()
    counting = [module for module in task.modules() if getattr(module, "track_running_stats", False)]
    assert counting and not any(module.training for module in counting) and task.model.training


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("adapter.rank=4",), "adapter.rank=4: there is no adapter with finetune=full; add finetune=lora"),
        (("finetune=lora", "+adapter.rnak=4"), "did you mean 'rank'"),
        (("finetune=lara",), "did you mean 'lora'"),
        (("finetune=lora", "adapter.targets=[gate]"), "'gate' matches no linear map of this ViT"),
        (("finetune=lora", "adapter.rank=0"), "adapter.rank=0 is not"),
    ],
)
def test_bad_words(words, sentence, tmp_path):
    with pytest.raises(ZooError, match=sentence):
        train(compose(*SMALL, *words, run=tmp_path), tmp_path)


def test_a_finetuning_of_another_kind():
    model = zoo.adapt(zoo.create_model("vit", img_size=8, in_chans=1, num_classes=3, dim=16, depth=1, num_heads=2))
    with pytest.raises(ZooError, match="finetune=bottleneck, but the model has a lora"):
        Classification(model, ADAMW, finetune="bottleneck")


def test_a_config_without_an_adapter_hashes_as_before():
    from zoo.training.identity import config_hash

    assert config_hash(compose()) == config_hash(compose("adapter.rank=3"))
    assert config_hash(compose("finetune=lora")) != config_hash(compose("finetune=lora", "adapter.rank=3"))
    check_config(plain(compose("finetune=lora", "init=somewhere")))
