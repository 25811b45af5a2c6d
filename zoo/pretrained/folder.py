"""A model as a folder: model.safetensors, config.json, README.md. Nothing in it is pickle or code.

config.json: {"format": 1, "model": <config with _target_>, "preprocess": {...} | null, "classes": [...] | null}.
`format` grows when a reader of today could not understand the file; folders of every older format keep loading.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from zoo.errors import ZooError, nearest
from zoo.files import replacing
from zoo.models import Preprocess, build_model
from zoo.pretrained import card, weights

FORMAT = 1
WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"


def save(model: nn.Module, folder: str | Path, **facts: Any) -> Path:
    """Write a model folder, whole or not at all.

    Args:
        model: one with a `config` (from `zoo.create_model`, `zoo.build`, `zoo.convert` or a run).
        folder: where to; a model folder that is there already is replaced file by file, other files in it stay.
        facts: sections of the card: task, data, metrics (a dict), command, licence, versions, ...

    Returns: the folder.
    Raises: ZooError for a model without a config, or one that does not describe it in plain values.
    """
    from safetensors.torch import save_file

    model = getattr(model, "_orig_mod", model)  # of torch.compile(model)
    if not (config := getattr(model, "config", None)):
        raise ZooError(f"{type(model).__name__} has no config to build it from again; build it with zoo.build(config).")
    preprocess, classes = getattr(model, "preprocess", None), getattr(model, "classes", None)
    content = {
        "format": FORMAT,
        "model": config,
        "preprocess": asdict(preprocess) if preprocess else None,
        "classes": list(classes) if classes else None,
    }
    try:
        text = json.dumps(content, indent=2)
    except TypeError as error:
        how = "give parts as {_target_: ..., _partial_: true}"
        raise ZooError(f"The model's config is not plain ({error}); {how}.") from None

    folder = Path(folder)
    with replacing(folder) as stage:
        stage.mkdir()
        save_file(weights.tensors(model), stage / WEIGHTS, metadata={"format": "pt"})
        (stage / CONFIG).write_text(text + "\n", encoding="utf-8")
        (stage / README).write_text(card.write(model, facts), encoding="utf-8")
    return folder


def load(folder: str | Path) -> nn.Module:
    """The model of a run folder or model folder, ready to predict: in eval mode, with config, preprocess and classes.

    Raises: ZooError for a folder that holds no model, a truncated file, tensors that do not fit, a config that names
        what may not be instantiated (CRITERIA.md, A8).
    """
    folder = find(folder)
    content = describe(folder)
    state = weights.read(folder / WEIGHTS)
    model = build(content["model"])
    floats = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if len(floats) == 1:  # saved in half precision: stay there
        model.to(floats.pop())
    weights.fill(model, state, str(folder / WEIGHTS))
    model.preprocess, model.classes = content["preprocess"], content["classes"]
    return model.eval()


def build(config: dict[str, Any]) -> nn.Module:
    """Build a model from a config that came with a file: keys that nothing accepts are refused by a sentence."""
    from zoo.config import check

    check(config)
    return build_model(config)


def find(folder: str | Path) -> Path:
    """The model folder that a run folder or model folder means.

    Raises: ZooError that lists what there is instead.
    """
    folder = Path(folder)
    if not folder.is_dir():
        there = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        raise ZooError(f"There is no folder {str(folder)!r}; {nearest(folder.name, there)}")
    for candidate in (folder / "model", folder):
        if (candidate / CONFIG).is_file():
            return candidate
    if checkpoints := sorted(folder.glob("checkpoints/*.ckpt")):
        raise ZooError(f"The run {str(folder)!r} did not finish, so it has no model/; take init={checkpoints[0]}.")
    inside = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    raise ZooError(f"{str(folder)!r} is no run (with model/) and no model folder (with {CONFIG}); it holds {inside}.")


def describe(folder: Path) -> dict[str, Any]:
    """config.json of a model folder: model, preprocess (a Preprocess or None), classes (a tuple or None)."""
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ZooError(f"{str(path)!r} cannot be read ({error}); copy the folder again.") from error
    if "architecture" in content:  # a folder of timm's hub
        name = content["architecture"]
        raise ZooError(f"{str(folder)!r} is a timm model; take timm://{name}@{folder / WEIGHTS}.")
    if not isinstance(content.get("model"), dict) or not isinstance(content.get("format"), int):
        raise ZooError(f"{str(path)!r} describes no model of attention-zoo: it has {', '.join(content) or 'no keys'}.")
    if content["format"] > FORMAT:
        raise ZooError(
            f"{str(path)!r} has format {content['format']}, this version reads up to {FORMAT}: update attention-zoo."
        )
    preprocess, classes = content.get("preprocess"), content.get("classes")
    if preprocess:
        preprocess = {key: tuple(value) if isinstance(value, list) else value for key, value in preprocess.items()}
    return {
        "model": content["model"],
        "preprocess": Preprocess(**preprocess) if preprocess else None,
        "classes": tuple(classes) if classes else None,
    }
