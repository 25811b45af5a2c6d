"""A model as a folder: model.safetensors, config.json, card.json, README.md. Nothing in it is pickle or code.

config.json: {"format": 3, "model": <config with _target_>, "preprocess": {...} | null, "classes": [...] | null, "targets":
"class" | "labels" | "numbers", "tokenizer": {"kind": ..., "bos": id | null, ...}, if there is a tokenizer.json,
"source_tokenizer": as that, if there is a source_tokenizer.json: of models of pairs that read with another one,
"converted_from": a class of transformers, if there is one, "adapter": {...}, if there is one: its tensors lie in
adapter_model.safetensors (zoo.pretrained.adapters), the base in model.safetensors, or elsewhere}.
"preprocess" is of images, or says its kind: {"kind": "series" | "graph", ...}.
`format` grows when a reader of today could not understand the file; folders of every older format keep loading, by the steps
of zoo.pretrained.migrations.
card.json (zoo.catalog.card): what is known of the model, with the hashes of the files; README.md says the same to people.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from zoo.adapters.record import Record, from_plain
from zoo.catalog import card as cards
from zoo.catalog.files import CARD
from zoo.checked.texts import check_config, read_json
from zoo.errors import ZooError, nearest, one_line, printable
from zoo.files import replacing
from zoo.layers.quantized import Int8Linear
from zoo.models import Model
from zoo.models.fit import TOKENIZERS, tokenizers_of
from zoo.pretrained import adapter_files, card, facts, migrations, weights
from zoo.text import Tokenizer
from zoo.text.base import ROLES

log = logging.getLogger(__name__)
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(model: nn.Module, folder: str | Path, **about: Any) -> Path:
    """Write a model folder, whole or not at all.

    A model with an adapter is written whole, the two apart; `zoo.save_adapter` writes the adapter alone.

    Args:
        model: one with a `config` (from `zoo.create_model`, `zoo.build`, `zoo.convert` or a run).
        folder: where to; a model folder that is there already is replaced file by file, other files in it stay.
        about: keys of card.json (`zoo.catalog.card`): task, data, metric, licence, command, ...; all others, as metrics (a
            dict), become sections of README.md, which is written from the card.

    Returns: the folder.
    Raises: ZooError for a model without a config, or one that does not describe it in plain values.
    """
    return write(model, folder, about)


def write(model: nn.Module, folder: str | Path, about: dict[str, Any], base: bool = True) -> Path:
    """As `save`; base: whether the base is written beside an adapter."""
    from safetensors.torch import save_file

    model = getattr(model, "_orig_mod", model)  # of torch.compile(model)
    if not (config := getattr(model, "config", None)):
        raise ZooError(f"{type(model).__name__} has no config to build it from again; build it with zoo.build(config).")
    if any(isinstance(each, Int8Linear) for each in model.modules()):
        raise ZooError(
            "A quantised model is not saved: save the one it was made of, and zoo.quantize it after loading."
        )
    preprocess, classes = getattr(model, "preprocess", None), getattr(model, "classes", None)
    adapter = getattr(model, "adapter", None)
    content = {
        "format": migrations.FORMAT,
        "model": config,
        "preprocess": asdict(preprocess) if preprocess else None,
        "classes": list(map(printable, classes)) if classes else None,
        "targets": model.targets if isinstance(model, Model) else "class",
    }
    tokenizers = tokenizers_of(model)
    content |= {role: tokenizer.roles for role, tokenizer in tokenizers.items()}
    if kind := getattr(model, "converted_from", None):
        content["converted_from"] = kind
    try:
        text = json.dumps(content, indent=2)
    except TypeError as error:
        how = "give parts as {_target_: ..., _partial_: true}"
        raise ZooError(f"The model's config is not plain ({error}); {how}.") from None

    check_config(json.loads(text)["model"], "The model's config")
    facts.check_agree(
        model, facts.preprocess(content["preprocess"], "The model"), tuple(content["classes"] or ()), "The model"
    )
    if own := facts.strangers_in(model):
        log.info(f"the model is of {', '.join(own)}: it loads with zoo.load(folder, trust={own})")
    folder = Path(folder)
    with replacing(folder, last=CARD) as stage:
        stage.mkdir()
        state = weights.tensors(model)
        said = card.of_model(model, state, about)
        if adapter is not None:
            content["adapter"], mine = adapter_files.write(model, state, stage, None if base else folder)
            text = json.dumps(content, indent=2)
            state = {name: tensor for name, tensor in state.items() if name not in mine}
        if adapter is None or base:
            save_file(state, stage / WEIGHTS, metadata={"format": "pt"})
        for role, tokenizer in tokenizers.items():
            tokenizer.save(stage / f"{role}.json")
        (stage / CONFIG).write_text(text + "\n", encoding="utf-8")
        cards.write(stage, said, beside=folder)
        for file in stage.glob("*.safetensors"):
            shutil.copymode(stage / CONFIG, file)  # safetensors writes for the owner alone, whatever the umask
    return folder


def find(folder: str | Path) -> Path:
    """The model folder that a run folder or model folder means.

    Raises: ZooError that lists what there is instead.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ZooError(absent(folder))
    for candidate in (folder / "model", folder):
        if (candidate / CONFIG).is_file():
            return candidate
    if checkpoints := sorted(folder.glob("checkpoints/*.ckpt")):
        raise ZooError(f"The run {str(folder)!r} did not finish, so it has no model/; take init={checkpoints[0]}.")
    inside = one_line(", ".join(sorted(path.name for path in folder.iterdir())) or "nothing", 500)
    raise ZooError(
        f"{str(folder)!r} is neither a run (with model/) nor a model folder (with {CONFIG}); it holds {inside}."
    )


def absent(path: Path) -> str:
    """The sentence for a path where nothing lies, with what is called nearly so."""
    files = path.suffix in (".safetensors", ".ckpt", ".bin")
    there: list[str] = []
    with suppress(OSError):  # no such folder, or none that may be listed
        there = [each.name for each in path.parent.iterdir() if each.is_file() == files]
    return (
        f"There is no {'file' if files else 'folder'} {one_line(str(path), 300)!r}; {nearest(path.name[:200], there)}"
    )


def describe(folder: Path) -> dict[str, Any]:
    """config.json of a model folder: model (plain, not looked at yet), preprocess (a Preprocess or None), classes (or None),
    targets, tokenizer and source_tokenizer (the roles of their tokens, or None), converted_from (or None), adapter (or None;
    see `record`).

    Raises: ZooError for a file that is broken, of another tool, or of a later version.
    """
    path = folder / CONFIG
    content = read_json(path)
    if not isinstance(content, dict):
        raise ZooError(f"{str(path)!r} describes no model of attention-zoo: it holds a {type(content).__name__}.")
    if not isinstance(content.get("model"), dict) or type(content.get("format")) is not int:
        keys = ", ".join(content)[:300] or "no keys"
        raise ZooError(f"{str(path)!r} describes no model of attention-zoo: it has {keys}.")
    content = migrations.current(content, repr(str(path)))
    return {
        "model": content["model"],
        "preprocess": facts.preprocess(content.get("preprocess"), str(path)),
        "classes": facts.classes(content.get("classes"), str(path)),
        "targets": facts.targets(content.get("targets"), str(path)),
        **{role: facts.roles(content.get(role), str(path), role) for role in TOKENIZERS},
        "converted_from": facts.converted_from(content.get("converted_from"), str(path)),
        "adapter": content.get("adapter"),
    }


def record(folder: Path, content: dict[str, Any], trust: tuple[str, ...] = ()) -> Record | None:
    """The record of the adapter of a folder, of what `describe` gives. Raises: as `zoo.adapters.record.from_plain`."""
    return None if content["adapter"] is None else from_plain(content["adapter"], str(folder / CONFIG), trust)


def read_tokenizers(folder: Path, content: Mapping[str, Any], trust: tuple[str, ...] = ()) -> dict[str, Tokenizer]:
    """The tokenizers of a model folder by their names: those that config.json, of which `content` was made, tells of.

    Raises: ZooError for a file that is missing or broken, or has no such tokens.
    """
    found = {}
    for name in TOKENIZERS:
        if (roles := content[name]) is not None:
            made = Tokenizer.load(folder / f"{name}.json", trust, **{role: roles.get(role) for role in ROLES})
            found[name] = facts.with_kind(made, roles)
    return found
