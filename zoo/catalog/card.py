"""card.json of a model folder: what the model is, on what data it came to which figure, and the hashes of its files.

Plain JSON, null for what is not known: name, task, modality, architecture, data {name, source, licence, config}, task_config,
licence, metric {name, direction, value, samples, mean, std, seeds}, seed, chosen, baseline {name, value}, published {value,
source}, command, training_seconds, parameters, dtype, versions, commit, intended_use, limits, files {name: {bytes, sha256}},
probe. `format` grows when a reader of today could not understand the file.
"""

import json
from pathlib import Path
from typing import Any

from zoo.catalog import readme
from zoo.catalog.files import CARD, LOADED, NAME, README, check_listed, listed, sha256
from zoo.checked.formats import Steps, newest, upgraded
from zoo.checked.texts import check_plain, read_json
from zoo.errors import ZooError, one_line
from zoo.files import write_text

#: A function for each older format, which makes the next of it.
STEPS: Steps = {}
FORMAT = newest(STEPS)
Card = dict[str, Any]
TEXT, NUMBER, TABLE = (str,), (int, float), (dict,)
#: Keys of a card and what they are where they are not null.
KEYS: dict[str, tuple[type, ...]] = {
    "name": TEXT, "task": TEXT, "modality": TEXT, "architecture": TEXT, "data": TABLE, "task_config": TABLE, "licence": TEXT,
    "metric": TABLE, "seed": (int,), "chosen": TEXT, "baseline": TABLE, "published": TABLE, "command": TEXT,
    "training_seconds": NUMBER, "parameters": (int,), "dtype": TEXT, "versions": TABLE, "commit": TEXT, "intended_use": TEXT,
    "limits": TEXT, "probe": TABLE,
}  # fmt: skip
#: The same inside tables.
INSIDE: dict[str, dict[str, tuple[type, ...]]] = {
    "data": {"name": TEXT, "source": TEXT, "licence": TEXT, "config": TABLE},
    "metric": {
        "name": TEXT, "direction": TEXT, "value": NUMBER, "samples": (int,), "mean": NUMBER, "std": NUMBER, "seeds": (list,),
    },
    "baseline": {"name": TEXT, "value": NUMBER},
    "published": {"value": NUMBER, "source": TEXT},
}  # fmt: skip
#: What a publication needs; a baseline and a published figure are not to be had for every model.
NEEDED = (
    "name", "task", "modality", "architecture", "data.name", "data.source", "data.licence", "data.config", "task_config",
    "licence", "metric.name", "metric.direction", "metric.value", "metric.samples", "metric.seeds", "seed", "chosen",
    "command", "training_seconds", "parameters", "dtype", "versions", "intended_use", "limits", "files", "probe",
)  # fmt: skip


def read(folder: Path) -> Card | None:
    """The card of a model folder; None where it has none.

    Raises: ZooError for a file that is broken, of a later version, or names files that no model folder has.
    """
    path = folder / CARD
    return check(read_json(path), repr(str(path))) if path.exists() or path.is_symlink() else None


def check(content: Any, where: str) -> Card:
    """What a card.json holds, with all keys. Raises: ZooError that names `where` and the key."""
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise ZooError(
            f"{where} is not a card of a model: it holds no mapping with a format; copy it again, or delete it."
        )
    content = upgraded(content, STEPS, where)
    for key, kinds in KEYS.items():
        _check_kind(content.get(key), kinds, key, where)
        for inner, inner_kinds in INSIDE.get(key, {}).items():
            _check_kind((content.get(key) or {}).get(inner), inner_kinds, f"{key}.{inner}", where)
    if (name := content.get("name")) is not None and not NAME.fullmatch(name):
        raise ZooError(f"{where}: name={one_line(name, 80)!r} is not <model>.<tag> in small letters, digits, - and _.")
    if (direction := (content.get("metric") or {}).get("direction")) not in (None, "max", "min"):
        raise ZooError(f"{where}: metric.direction={direction[:40]!r} is neither max nor min.")
    if any(type(seed) is not int for seed in (content.get("metric") or {}).get("seeds") or ()):
        raise ZooError(f"{where}: metric.seeds are whole numbers, as [0, 1, 2].")
    return {**dict.fromkeys(KEYS), **content, "files": check_listed(content.get("files"), where, LOADED)}


def _check_kind(value: Any, kinds: tuple[type, ...], key: str, where: str) -> None:
    if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ZooError(f"{where}: {key} is a {type(value).__name__}, not a {names}.")


def write(folder: Path, content: Card, beside: Path | None = None) -> Card:
    """Write README.md, and then card.json, the last file of a folder, with the hashes of what lies there. Returns the card.

    Args:
        content: the card; its own `files` are not believed.
        beside: the folder that these files will be moved to, whose others stay.
    """
    known = {**dict.fromkeys(KEYS), **content, "format": FORMAT}
    known["files"] = {**(listed(beside) if beside and beside.is_dir() else {}), **listed(folder)}
    check(check_plain(json.loads(json.dumps(known)), "The card"), "The card")
    write_text(folder / README, readme.text(known))
    write_text(folder / CARD, json.dumps(known, indent=2) + "\n")
    return known


def missing(content: Card) -> list[str]:
    """Keys that a publication needs and the card has not; [] where it is complete."""
    return [key for key in NEEDED if _value(content, key) in (None, "", [], {})]


def _value(content: Any, key: str) -> Any:
    for word in key.split("."):
        content = content.get(word) if isinstance(content, dict) else None
    return content


def verify(folder: Path, content: Card) -> None:
    """Compare each file that a model is loaded from with its card: sizes first, then hashes.

    Raises: ZooError that names the file that is missing, of another size or content, or not in the card.
    """
    yours = f"copy it again, or delete {CARD} if the change is yours."
    for name, facts in content["files"].items():
        path = folder / name
        if not path.is_file():
            raise ZooError(f"{str(path)!r} is missing, which {CARD} lists; {yours}")
        if (size := path.stat().st_size) != facts["bytes"]:
            raise ZooError(f"{str(path)!r} has {size:,} bytes, and {CARD} says {facts['bytes']:,}; {yours}")
    for name in LOADED:
        if name not in content["files"] and (folder / name).exists():
            raise ZooError(f"{str(folder / name)!r} is not among the files of {CARD}; remove it, or {yours}")
    for name, facts in content["files"].items():
        if sha256(folder / name) != facts["sha256"]:
            raise ZooError(f"{str(folder / name)!r} has other content than {CARD} says (sha256); {yours}")
