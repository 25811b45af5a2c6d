"""A small run folder, whole, and ways to write into its files what nobody should."""

import copy
import json
import struct
import zipfile
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

import zoo
from zoo.preprocess import Preprocess

CONFIG = {
    "_target_": "zoo.models.vit.ViT", "img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "dim": 8, "depth": 1,
    "num_heads": 2,
}  # fmt: skip
SHELL = {"_target_": "os.system", "command": "touch ran"}
HUGE = 10**12
GONE = object()
ADAM = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.001}
SETTINGS = {"optimizer": ADAM, "schedule": None, "mixing": None, "label_smoothing": 0.1}
DATA = {"_target_": "datamodules.images.Digits", "augment": {"_target_": "datamodules.augment.Augment", "crop": 1}}


def make_run(folder: Path) -> Path:
    """model/, config.yaml, summary.json and checkpoints/best.ckpt, as train.py leaves them."""
    torch.manual_seed(0)
    model = zoo.build(CONFIG)
    model.preprocess, model.classes = Preprocess(8, 1, (0.3,), (0.4,)), tuple(map(str, range(10)))
    zoo.save(model, folder / "model")
    (folder / "model" / "card.json").unlink()  # whoever writes into the files leaves it out, or writes it again
    (folder / "checkpoints").mkdir()
    write_checkpoint(folder, SETTINGS | {"model": CONFIG}, model.state_dict())
    write_yaml(folder, CONFIG)
    (folder / "summary.json").write_text(json.dumps({"metrics": {"test/accuracy": 0.5}, "seed": 0}))
    return folder


def write_yaml(folder: Path, model, data=DATA) -> None:
    """config.yaml; what YAML has no words for is written as JSON, which is YAML too."""
    content = {"model": model, "data": data, "task": {"multilabel": None}, "seed": 0}
    (folder / "config.yaml").write_text(yaml.safe_dump(copy.deepcopy(content)))


def write_checkpoint(folder: Path, hyper_parameters, state, **more) -> None:
    """best.ckpt of Lightning's form; a state of the bare model is given the task's prefix."""
    state = {f"model.{name}": tensor for name, tensor in state.items()}
    content = {"state_dict": state, "hyper_parameters": hyper_parameters, "epoch": 1, "global_step": 2, **more}
    torch.save(content, folder / "checkpoints" / "best.ckpt")


def set_model(folder: Path, model) -> None:
    """Another model's config wherever one stands: model/config.json, config.yaml, and the checkpoint."""
    change_config(folder, model=model)
    write_checkpoint(folder, SETTINGS | {"model": model}, weights(folder))
    write_yaml(folder, model)


def change_config(folder: Path, **content) -> None:
    """Other entries of model/config.json."""
    path = folder / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of the good model."""
    content = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    return {name.removeprefix("model."): tensor for name, tensor in content["state_dict"].items()}


def set_weights(folder: Path, state) -> None:
    """Other tensors, in model.safetensors and in the checkpoint."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model" / "model.safetensors")
    write_checkpoint(folder, SETTINGS | {"model": CONFIG}, state)


def repack(path: Path, change=lambda name, content: content, method=zipfile.ZIP_STORED, more=()) -> None:
    """Write an archive of torch.save again, with its 64-bit end record, which Python's zipfile leaves out."""
    with zipfile.ZipFile(path) as old:
        entries = [(name, change(name, old.read(name))) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", method) as new:
        for name, content in [*entries, *more]:
            new.writestr(name, content)
    content = path.read_bytes()
    body, end = content[:-22], content[-22:]
    total, length, start = struct.unpack("<10xHLL2x", end)
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, total, total, length, start)
    path.write_bytes(body + wide + struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1) + end)


def packed(folder: Path) -> None:
    """A file of 100 kB that inflates to 100 MB."""
    repack(folder / "checkpoints" / "best.ckpt", method=zipfile.ZIP_DEFLATED, more=[("best/data/99", b"\0" * 10**8)])


def put(file, keys, value):
    """Change one value of a JSON file; GONE takes it out."""
    content = json.loads(file.read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    if value is GONE:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    file.write_text(json.dumps(content))
