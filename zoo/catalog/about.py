"""What a publisher says of a model beside what its run recorded: licence, use and limits, the published figure, other seeds."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from zoo.catalog.card import INSIDE, KEYS, Card, check
from zoo.checked.texts import check_plain, read_yaml
from zoo.errors import ZooError, nearest

#: What may be said. All else is recorded by the run, or found in the files.
SAID = (
    "task", "modality", "data.name", "data.source", "data.licence", "licence", "metric.name", "metric.direction",
    "metric.mean", "metric.std", "metric.seeds", "chosen", "baseline.name", "baseline.value", "published.value",
    "published.source", "command", "commit", "intended_use", "limits",
)  # fmt: skip


def read(file: Path | None, words: Iterable[str]) -> dict[str, Any]:
    """{key: value} of a YAML file and of KEY=VALUE words, which go before it; keys of tables with a dot (data.source).

    Raises: ZooError for a key that cannot be said (the nearest is named), and a file that cannot be read.
    """
    content = {} if file is None else read_yaml(file.expanduser())
    if not isinstance(content, dict):
        raise ZooError(f"{str(file)!r} holds a {type(content).__name__}, not keys of a card (licence: MIT).")
    found = _flat(content)
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ZooError(f"{word!r} is not KEY=VALUE; write licence=MIT, or 'limits=Digits alone.'.")
        found |= _flat({key: _value(text)})
    for key in found:
        if key not in SAID:
            recorded = key.partition(".")[0] in (*KEYS, "files", "format")
            why = "is recorded, not said" if recorded else "is not a key of a card"
            raise ZooError(f"{key} {why}; {nearest(key, SAID)}")
    return found


def join(card: Card, said: Mapping[str, Any], name: str) -> Card:
    """The card with what was said, and its name. One metric of several becomes the card's by `metric.name`.

    Raises: ZooError for a value of another kind, and a metric that the run has not recorded.
    """
    card = {**card, **{key: {**(card.get(key) or {})} for key in INSIDE}, "name": name}
    chosen, metrics = said.get("metric.name"), card.get("metrics") or {}
    if chosen is not None and chosen != card["metric"].get("name"):
        if chosen not in metrics:
            raise ZooError(
                f"metric.name={chosen!r} is not a metric that the run has recorded; {nearest(chosen, metrics)}"
            )
        if "metric.direction" not in said:
            raise ZooError(f"metric.name={chosen!r}: say whether more is better, metric.direction=max or min.")
        card["metric"] = {"value": metrics[chosen], "samples": card["metric"].get("samples")}
    for key, value in said.items():
        table, _, inner = key.rpartition(".")
        (card[table] if table else card)[inner] = value
    if card.get("seed") is not None and not card["metric"].get("seeds"):
        card["metric"]["seeds"] = [card["seed"]]
    card |= {key: card[key] or None for key in INSIDE}
    return check(check_plain({**card, "format": 1}, "What is said"), "What is said")


def _flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        whole = f"{prefix}{key}"
        found |= _flat(value, f"{whole}.") if isinstance(value, dict) and whole in INSIDE else {whole: value}
    return found


def _value(text: str) -> Any:
    """A number or a list as YAML reads it; all else is the text itself, with its colons and stars."""
    try:
        found = yaml.safe_load(text)
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ):  # also of a date that no month has, of too many digits or brackets
        return text
    return found if isinstance(found, int | float | list) and not isinstance(found, bool) else text
