"""A8: nothing that came in a file runs code, reads, writes, fetches or loads, wherever in a config it stands."""

import pickle
import sys

import pytest
import torch

import zoo
from tests.hostile.conftest import OF_CHECKPOINT, OF_DATA, OF_FOLDER, OF_YAML
from tests.hostile.files import ADAM, CONFIG, DATA, SETTINGS, set_model, weights, write_checkpoint, write_yaml
from zoo import declared

FLAG, VICTIM, EVIL = "trace", "precious", "evil.pkl"
TOUCH = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "path": FLAG}}
#: What each would do, were it called: a file named `trace` appears, the folder `precious` goes, or worse.
ATTACKS = {
    "a command": {"_target_": "os.system", "command": f"touch {FLAG}"},
    "a class by its path": {
        "_target_": "lightning.pytorch.cli.instantiate_class", "args": [],
        "init": {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", FLAG]}},
    },
    "pickle, by Lightning": {
        "_target_": "lightning.fabric.utilities.cloud_io._load", "path_or_url": EVIL, "weights_only": False,
    },
    "a file written": {"_target_": "lightning.fabric.utilities.cloud_io._atomic_save", "checkpoint": {}, "filepath": FLAG},
    "pickle, by a module": {
        "_target_": "lightning.pytorch.LightningModule.load_from_checkpoint", "checkpoint_path": EVIL, "weights_only": False,
    },
    "a yaml written": {"_target_": "lightning.pytorch.core.saving.save_hparams_to_yaml", "config_yaml": FLAG, "hparams": {}},
    "a trainer": {"_target_": "lightning.pytorch.Trainer", "default_root_dir": FLAG},
    "zoo.save": {
        "_target_": "zoo.save", "model": {"_target_": "zoo.create_model", "name": "vit_mini_patch2_8"}, "folder": FLAG,
    },
    "zoo.load": {"_target_": "zoo.load", "source": "elsewhere"},
    "write_text": {"_target_": "zoo.files.write_text", "path": FLAG, "text": ""},
    "instantiate": {"_target_": "zoo.config.instantiate", "config": TOUCH},
    "locate": {"_target_": "zoo.config.locate", "target": "os.system"},
    "make": {"_target_": "zoo.construct.make", "tree": TOUCH},
    "an unbound method": {
        "_target_": "lightning.pytorch.plugins.io.TorchCheckpointIO.remove_checkpoint", "self": None, "path": VICTIM,
    },
    "a method of ours": {"_target_": "zoo.models.vit.ViT.reset_classifier", "self": None, "num_classes": 3},
    "an import by torch": {"_target_": "torch.nn.attention._fa3._fa3_import_module", "module_path": "evil"},
    "an import by Lightning": {"_target_": "lightning_utilities.core.imports.module_available", "module_path": "evil"},
    "an import of the file's": {"_target_": "evil.Thing"},
    "every verb": {"_target_": "zoo.cli.main", "argv": ["--help"]},
    "the command line": {"_target_": "zoo.__main__.main"},
    "a download": {"_target_": "datamodules.files.download", "name": "x", "urls": ["http://localhost:9/"], "folders": ["."]},
    "torch.load": {"_target_": "torch.load", "f": EVIL, "weights_only": False},
    "torch.hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "evil", "source": "local"},
    "what a module imports": {"_target_": "zoo.attention.positions.biases.math.floor", "x": 1},
    "a converter": {"_target_": "zoo.pretrained.convert", "model": None},
    "torchmetrics": {"_target_": "torchmetrics.MeanMetric"},
    "not declared": {"_target_": "torch.nn.TransformerEncoderLayer", "d_model": 8, "nhead": 2},
    "not a name": {"_target_": ["zoo.attention.Full"]},
    "a name and more": {"_target_": "zoo.attention.Full "},
    "another alphabet": {"_target_": "zoo.attention.F\uff55ll"},
}  # fmt: skip
WORDS = {
    "resolved twice": "\\\\${oc.create:{_target_: pathlib.Path.touch, self: {_target_: pathlib.Path, _args_: [trace]}}}",
    "escaped": "\\${oc.env:SECRET}",
    "a secret": "http://localhost:9/${oc.env:SECRET}",
}
HYDRA = {
    "arguments by place": {"_target_": "zoo.attention.Full", "_args_": []},
    "converted": {"_target_": "zoo.attention.Full", "_convert_": "all"},
    "not recursive": {"_target_": "zoo.attention.Full", "_recursive_": False},
    "half partial": {"_target_": "zoo.attention.Full", "_partial_": "yes"},
}


DOORS = OF_FOLDER | OF_CHECKPOINT | OF_YAML


class Evil:
    def __reduce__(self):
        return open, (FLAG, "w")


@pytest.fixture(autouse=True)
def pickles(run):
    (run.parent / EVIL).write_bytes(pickle.dumps(Evil()))


def at_a_part(node):
    return {**CONFIG, "attention": {"_target_": "zoo.attention.Attention", "_partial_": True, "score": node}}


PLACES = {
    "the whole model": lambda node: node,
    "a part": at_a_part,
    "a partial part": lambda node: {**CONFIG, "act": {**node, "_partial_": True}},
    "inside a list": lambda node: {**CONFIG, "img_size": [8, [node]]},
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_nothing_runs(run, refused, place, door):
    for name, attack in ATTACKS.items():
        set_model(run, place(attack))
        sentence = refused(door)
        assert "may not be instantiated from a file" in sentence, (name, sentence)
    assert "evil" not in sys.modules


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_values_are_plain(run, refused, door):
    for word in WORDS.values():
        for config in ({**CONFIG, "pool": word}, at_a_part({"_target_": "zoo.attention.ScaledDot", "scale": word})):
            set_model(run, config)
            assert "not interpolated" in refused(door)
    for node in HYDRA.values():
        set_model(run, at_a_part(node))
        assert "_partial_" in refused(door)
    set_model(run, {**CONFIG, "_partial_": True})
    assert "_partial_ at the top" in refused(door)


@pytest.mark.parametrize("door", OF_DATA.values(), ids=OF_DATA)
def test_data_of_a_run(run, refused, door):
    for attack in ATTACKS.values():
        for data in (attack, {**DATA, "augment": attack}, {**DATA, "augment": {**DATA["augment"], "scale": [attack]}}):
            write_yaml(run, CONFIG, data)
            assert "may not be instantiated from a file" in refused(door)
    for word in WORDS.values():
        write_yaml(run, CONFIG, {**DATA, "split": word})
        assert "not interpolated" in refused(door)
    write_yaml(run, CONFIG, {"_target_": "datamodules.graphs.DictionaryLookup", "graphs": 10**9})
    assert "holds no images" in refused(door)


def test_data_are_looked_for_where_the_reader_says(run, monkeypatch):
    """A config of somebody else's never says where something is written."""
    from zoo.cli.predict.images import test_data

    monkeypatch.setenv("ZOO_DATA", "my data")
    monkeypatch.setenv("ZOO_CACHE", "my cache")
    write_yaml(run, CONFIG, {**DATA, "folder": "/theirs", "cache": "/theirs", "img_size": 100_000})
    data = test_data(zoo.load(run), run / "config.yaml")
    assert (data.folder, data.cache, data.augment) == ("my data", "my cache", None)


@pytest.mark.parametrize("place", ["mixing", "optimizer", "schedule", "unknown"])
def test_hyper_parameters_of_a_checkpoint(run, refused, place):
    door = OF_CHECKPOINT["load_from_checkpoint"]
    for attack in ATTACKS.values():
        write_checkpoint(run, SETTINGS | {"model": CONFIG, place: {**attack, "_partial_": True}}, weights(run))
        if place != "unknown":
            assert "may not be instantiated from a file" in refused(door)
        else:  # no argument of the task: passed over, as Lightning does
            door(run)
    write_checkpoint(run, SETTINGS | {"model": CONFIG, "optimizer": {**ADAM, "x": WORDS["a secret"]}}, weights(run))
    assert "not interpolated" in refused(door)


def test_lightning_may_not_be_told_to_unpickle(run, refused):
    from zoo.tasks.image_classification import ImageClassification

    checkpoint = run / "checkpoints" / "best.ckpt"
    assert "without pickle" in refused(
        lambda _: ImageClassification.load_from_checkpoint(checkpoint, weights_only=False)
    )
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, checkpoint)
    for door in OF_CHECKPOINT.values():
        assert "more than tensors" in refused(door)


def test_a_class_of_the_files_choice_is_not_the_tasks(run):
    """Lightning would call what `_instantiator` and `_class_path` name."""
    from zoo.tasks.image_classification import ImageClassification

    more = {"_instantiator": "lightning.pytorch.cli.instantiate_module", "_class_path": "evil.Thing"}
    write_checkpoint(
        run, SETTINGS | {"model": CONFIG} | more, weights(run), hparams_name="model", module_arguments={"a": 1}
    )
    assert isinstance(OF_CHECKPOINT["load_from_checkpoint"](run), ImageClassification)
    assert "evil" not in sys.modules


def test_levels():
    """A model folder names models and parts; a run data too; load_from_checkpoint mixing, optimizers and schedules too."""
    least = {
        "zoo.attention.RoPE": 0,
        "datamodules.images.Digits": 1,
        "zoo.tasks.mixing.Mixing": 2,
        "torch.optim.SGD": 2,
    }
    for name, first in least.items():
        for i, level in enumerate(declared.LEVELS):
            if i >= first:
                assert callable(declared.find(name, level))
            else:
                with pytest.raises(ValueError, match="may not be instantiated"):
                    declared.find(name, level)


def test_good_files_pass(run):
    for door in (DOORS | OF_DATA).values():
        if door is not OF_FOLDER["info of a model folder"]:
            door(run)
