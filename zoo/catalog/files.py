"""The files of a model folder by name, size and SHA-256. What a card or an index names is one of these names, never a path."""

import hashlib
import re
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, one_line

CARD, README = "card.json", "README.md"
#: What a model is loaded from. A card tells of those that lie there.
LOADED = (
    "config.json", "model.safetensors", "adapter_model.safetensors", "adapter_config.json", "tokenizer.json",
    "source_tokenizer.json",
)  # fmt: skip
#: What an index may name.
KNOWN = (*LOADED, CARD, README)
#: <model>.<tag>, a name of a model.
NAME = re.compile(r"[a-z0-9_-]{1,100}\.[a-z0-9_-]{1,100}")
HASH = re.compile(r"[0-9a-f]{64}")
Listed = dict[str, dict[str, Any]]


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed(folder: Path, names: tuple[str, ...] = LOADED) -> Listed:
    """{file: {"bytes": n, "sha256": hex}} of those of `names` that lie in a folder."""
    there = [folder / name for name in names if (folder / name).is_file()]
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in there}


def check_listed(given: Any, where: str, names: tuple[str, ...]) -> Listed:
    """A list of files as a file of somebody's tells it. Raises: ZooError for other names, and what is no size or hash."""
    if not isinstance(given, dict):
        raise ZooError(f"{where}: files is {one_line(given, 80)!r}, not a mapping of names to sizes and hashes.")
    for name, facts in given.items():
        if name not in names:
            raise ZooError(f"{where} lists the file {one_line(name, 80)!r}; it may list {', '.join(names)}.")
        size, digest = (facts.get("bytes"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not HASH.fullmatch(digest):
            raise ZooError(f"{where}: {name} has no bytes and sha256 that are a size and 64 hexadecimal digits.")
    return {name: {"bytes": facts["bytes"], "sha256": facts["sha256"]} for name, facts in given.items()}
