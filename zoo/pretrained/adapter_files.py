"""The adapter of a model as files: adapter_model.safetensors, for LoRA as peft has it with adapter_config.json; and its base.

Files of others: bounded, compared with the model before it takes memory. Where a file says that its base lies is only read, as
any model folder is, and what lies there must have the hash that the adapter was trained on (docs/criteria.md, A7, A8).
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo import catalog
from zoo.adapters import adapter_of, own_names
from zoo.adapters.model import INSIDE
from zoo.adapters.record import Base, Record, base_of, split, to_plain
from zoo.checked.tensors import read as read_tensors
from zoo.errors import ZooError
from zoo.pretrained import peft_files

TENSORS, PEFT = "adapter_model.safetensors", "adapter_config.json"
TIMM = re.compile(r"timm://[\w.-]+", re.ASCII)
State = dict[str, Tensor]


def write(model: Any, state: State, stage: Path, folder: Path | None) -> tuple[dict[str, Any], set[str]]:
    """Write the adapter's files. Returns its record for config.json, and the names of what of `state` is in them.

    Args:
        state: the model's tensors.
        stage: the folder to write to.
        folder: where it will be, from where the base's place is told; None: the base lies beside.
    """
    from safetensors.torch import save_file

    adapter, mine = adapter_of(model), set(own_names(model, state))
    own = {name: state[name] for name in mine if INSIDE not in name}
    base = base_of(model)
    base = replace(base, source=None) if folder is None else told_from(base, folder)
    if adapter.kind == "lora":
        config, tensors, names = peft_files.write(model, own)
        (stage / PEFT).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    else:
        tensors, names = {name: state[name] for name in mine}, {name: name for name in own}
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, stage / TENSORS, metadata={"format": "pt"})
    return to_plain(Record(adapter, base, names)), mine


def told_from(base: Base, folder: Path) -> Base:
    """The same with its place told from a folder on, so that the two may be moved together."""
    if base.source is None:
        return base
    head, at, path = split(base.source)
    return replace(base, source=head + at + (path and os.path.relpath(Path(path).resolve(), folder.resolve())))


def places(base: Base, folder: Path) -> list[str]:
    """Where a base may lie: where it lay from the folder of its adapter, from here, and beside the run of the adapter.

    A name is looked up in the reader's own zoos; no address is fetched because a file says so.
    """
    if base.source is None:
        return []
    head, at, path = split(base.source)
    if head and not (TIMM.fullmatch(head) or catalog.knows(head)):
        return []
    if not path:
        return [head]
    run = folder.parent if folder.name in ("model", "checkpoints") else folder
    candidates = [folder / path, Path(path), run.parent / Path(path).name]
    return [f"{head}{at}{each}" for each in candidates if each.exists()]


def read(record: Record, folder: Path) -> tuple[Mapping[str, Tensor], State]:
    """(what the file holds, what of it is kept whole by our names). Raises: ZooError for what cannot be read, or is missing."""
    content = read_tensors(folder / TENSORS)
    if missing := [name for name in record.tensors.values() if name not in content]:
        raise ZooError(f"{str(folder / TENSORS)!r} has no {missing[0][:200]}, which its config.json names.")
    return content, {ours: content[theirs] for ours, theirs in record.tensors.items()}


def parts(model: nn.Module, record: Record, content: Mapping[str, Tensor], where: str) -> State:
    """The adapter's parts by our names."""
    if record.adapter.kind == "lora":
        return peft_files.read_parts(model, record.adapter, content, where)
    return {name: tensor for name, tensor in content.items() if INSIDE in name}
