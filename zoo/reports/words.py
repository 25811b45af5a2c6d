"""The words after a study's name: its own settings, and changes of the config that train.py would take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from zoo.errors import ZooError, nearest

#: What of the config may be changed. The rest (seed, callbacks, logger, paths, ...) is the study's.
GROUPS = ("model", "data", "task", "trainer", "score", "pattern", "position", "kernel")
#: What of it the study has its own words for.
OWN = {"model.depth": "depths", "trainer.max_epochs": "epochs"}


@dataclass(frozen=True)
class Settings:
    """depths, seeds: lists of numbers. variants: names, joined by + where several hold. epochs: at most; patience: epochs
    without a better validation accuracy or loss after which training stops. out: folder. changes: for Hydra."""

    depths: tuple[int, ...] = (2, 4, 8, 16, 32)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    variants: tuple[str, ...] = (
        "plain", "residual", "initial_residual", "pairnorm", "dropedge", "no_attn_dropout",
        "initial_residual+no_attn_dropout", "initial_residual+identity_mapping",
    )  # fmt: skip
    epochs: int = 200
    patience: int = 50
    out: str | None = None
    changes: tuple[str, ...] = field(default=())


def read(words: Sequence[str], variants: Collection[str]) -> Settings:
    """Settings from key=value words. Raises ZooError for a word that is none, or a value that cannot be."""
    known = [each.name for each in fields(Settings) if each.name != "changes"]
    given: dict[str, Any] = {}
    changes = []
    for word in words:
        key, equals, value = word.partition("=")
        root = key.lstrip("+~").partition(".")[0]
        if not equals:
            raise ZooError(f"{word!r} is not key=value; {nearest(word, [f'{name}=' for name in (*known, *GROUPS)])}")
        if key.lstrip("+~") in OWN:
            raise ZooError(f"{key} is the study's to set; give {OWN[key.lstrip('+~')]}=...")
        if root in GROUPS:
            changes.append(word)
        elif key in known:
            given[key] = _value(key, value, variants)
        else:
            raise ZooError(f"{key!r} is not a setting of this study; {nearest(key, [*known, *GROUPS])}")
    if not any(change.startswith("model=") for change in changes):
        changes.insert(0, "model=gat")
    return Settings(**given, changes=tuple(changes))


def _value(key: str, value: str, variants: Collection[str]) -> Any:
    if key == "out":
        return value
    parts = [part.strip() for part in value.strip("[]()").split(",") if part.strip()]
    if not parts or len(set(parts)) < len(parts):
        raise ZooError(f"{key}={value} is empty, or names something twice; give {key}=a,b,c.")
    if key == "variants":
        for name in (name for part in parts for name in part.split("+")):
            if name not in variants:
                raise ZooError(f"{key}={value}: {name!r} is not a variant; {nearest(name, variants)}")
        return tuple(parts)
    least = {"depths": 2, "seeds": 0}.get(key, 1)  # of one layer, the input of what classifies is the data's
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise ZooError(f"{key}={value}: whole numbers from {least} on are meant.")
    numbers = tuple(map(int, parts))
    if key in ("depths", "seeds"):
        return numbers
    if len(numbers) > 1:
        raise ZooError(f"{key}={value}: one number is meant.")
    return numbers[0]
