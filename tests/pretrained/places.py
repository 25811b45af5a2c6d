"""Small models in every place where weights may lie, each as the text that a door takes."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

import zoo
from tests.hostile.files import make_run
from zoo.catalog import card
from zoo.catalog.files import KNOWN, listed, sha256
from zoo.catalog.index import SUMMARY
from zoo.text import train_tokenizer

GPT = {
    "_target_": "zoo.models.language.gpt.GPT", "vocab_size": 260, "context": 16, "dim": 8, "depth": 1, "num_heads": 2,
}  # fmt: skip
TIMM = "test_vit"  # a name of timm's, of 0.4 M parameters


def of_images(here: Path) -> dict[str, str]:
    """A run of a ViT for 8 x 8 pixels, and what is made of it by copying."""
    run = make_run(here / "run")
    card.write(run / "model", {"parameters": sum(p.numel() for p in zoo.load(run).parameters())})
    checkpoint = run / "checkpoints" / "best.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    state = {name.removeprefix("model."): tensor for name, tensor in content["state_dict"].items()}
    for name, wrapper in (("compiled", "_orig_mod."), ("ddp", "module."), ("both", "module._orig_mod.")):
        named = {f"model.{wrapper}{name}": tensor for name, tensor in state.items()}
        torch.save({**content, "state_dict": named}, run / "checkpoints" / f"{name}.ckpt")
    save_file(state, run / "model" / "again.safetensors")
    publish(run / "model", here / "zoo", "vit.small")
    return {
        "run": str(run),
        "model folder": str(run / "model"),
        "safetensors": str(run / "model" / "model.safetensors"),
        "another safetensors": str(run / "model" / "again.safetensors"),
        "checkpoint": str(checkpoint),
        "of a compiled run": str(run / "checkpoints" / "compiled.ckpt"),
        "of several processes": str(run / "checkpoints" / "ddp.ckpt"),
        "of both": str(run / "checkpoints" / "both.ckpt"),
        "name": "vit.small",
        "https": "/zoo/vit.small",  # behind a server of the test's
        "https, a file": "/zoo/vit.small/model.safetensors",
        "hf": "zoo/vit.small",  # in a stand-in of the hub
    }


def of_texts(here: Path) -> dict[str, str]:
    """A GPT-2 in transformers' files, written by hand, and as ours."""
    folder, size, generator = here / "gpt2", 8, torch.Generator().manual_seed(0)
    folder.mkdir()
    shapes = {"wte.weight": (260, size), "wpe.weight": (16, size), "ln_f.weight": (size,), "ln_f.bias": (size,)}
    for name, rows, columns in (("attn.c_attn", 1, 3), ("attn.c_proj", 1, 1), ("mlp.c_fc", 1, 4), ("mlp.c_proj", 4, 1)):
        shapes |= {f"h.0.{name}.weight": (rows * size, columns * size), f"h.0.{name}.bias": (columns * size,)}
    shapes |= {f"h.0.{norm}.{part}": (size,) for norm in ("ln_1", "ln_2") for part in ("weight", "bias")}
    state = {f"transformer.{name}": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    told = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 260, "n_positions": 16, "n_embd": size,
        "n_layer": 1, "n_head": 2,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told))
    model = zoo.load(folder, tokenizer=train_tokenizer("byte", []))
    model.tokenizer.save(folder / "tokenizer.json")
    ours = zoo.save(model, here / "gpt")
    publish(ours, here / "zoo", "gpt.small")
    return {
        "model folder": str(ours),
        "transformers": str(folder),
        "transformers, a file": str(folder / "model.safetensors"),
        "name": "gpt.small",
        "https": "/zoo/gpt.small",
        "https, transformers": "/gpt2",
        "hf, transformers": "gpt2",
    }


def of_timm(here: Path) -> dict[str, str]:
    """A ViT of timm's, as timm saves it, and as ours."""
    import timm
    from timm.models import save_for_hf

    theirs = timm.create_model(TIMM, num_classes=3).eval()
    save_for_hf(theirs, str(here / "timm"), safe_serialization=True)
    file = here / "timm" / "model.safetensors"
    return {
        "model folder": str(zoo.save(zoo.convert(theirs), here / "ours")),
        "timm": str(here / "timm"),
        "timm, a file": str(file),
        "timm://@": f"timm://{TIMM}@{file}",
        "https, timm": "/timm",
        "hf, timm": "timm",
    }


def of_graphs(here: Path) -> dict[str, str]:
    """A GAT's run, of the files of earlier versions."""
    return _of_old("gatv2", here)


def of_series(here: Path) -> dict[str, str]:
    """A PatchTST's, with what it is fed by."""
    return _of_old("patchtst", here)


def _of_old(name: str, here: Path) -> dict[str, str]:
    run = shutil.copytree(Path(__file__).parents[1] / "old" / name, here / "run")
    (checkpoint,) = (run / "checkpoints").glob("*.ckpt")
    card.write(run / "model", {"parameters": sum(p.numel() for p in zoo.load(run).parameters())})
    publish(run / "model", here / "zoo", f"{name}.small")
    return {
        "run": str(run),
        "model folder": str(run / "model"),
        "checkpoint": str(checkpoint),  # of an average
        "name": f"{name}.small",
        "https": f"/zoo/{name}.small",
    }


def publish(folder: Path, where: Path, name: str) -> None:
    """Add a copy of a model folder to a zoo, and to its index."""
    copy, index = where / name, where / "index.json"
    copy.mkdir(parents=True)
    for file in KNOWN:
        if (folder / file).is_file():
            (copy / file).write_bytes((folder / file).read_bytes())
    content = json.loads(index.read_text()) if index.exists() else {"format": 1, "models": {}}
    entry = {"card": sha256(copy / "card.json"), "summary": dict.fromkeys(SUMMARY), "files": listed(copy, KNOWN)}
    index.write_text(json.dumps({**content, "models": {**content["models"], name: entry}}))
