"""A model's card told on the terminal, and a table of the models of the zoos. Nothing here imports torch."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.catalog.card import Card
from zoo.catalog.index import Entry
from zoo.catalog.readme import figure
from zoo.console import table

Rows = list[tuple[str, object]]


def tell(card: Card, source: str, use: bool = True) -> None:
    """Print what a card says.

    Args:
        source: how its model was named, which loads it.
        use: whether to say what to do with it.
    """
    data, versions = card["data"] or {}, card["versions"] or {}
    table(_known(figure(card).items()), " ".join(filter(None, [source, card["task"], _on(data)])))
    table(_known((key, data.get(key)) for key in ("source", "licence")), "data")
    table(_known(_weights(card)), "weights")
    made = {key: card[key] for key in ("command", "seed", "chosen", "commit")}
    if card["training_seconds"] is not None:
        made["training"] = f"{card['training_seconds']:,.0f} s"
    made["with"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    table(_known(made.items()), "made by")
    table(_known((word, card[word.replace(" ", "_")]) for word in ("intended use", "limits")), "use")
    if use:
        table([(way,) for way in ways(source, card["modality"])], "use it")


def ways(source: str, modality: str | None) -> Iterator[str]:
    """Commands for a model of such data that is loaded by this word."""
    here = shlex.quote(source)
    yield f'zoo.load("{source}")'
    yield f"python -m zoo check {here}"
    if modality == "pairs":
        yield f'python -m zoo translate {here} "a sentence"'
        yield f"python train.py init={here} data=..."
    else:
        yield f"python train.py init={here} finetune=linear_probe data=..."


def _weights(card: Card) -> Iterator[tuple[str, object]]:
    yield "model", card["architecture"]
    yield "parameters", None if card["parameters"] is None else f"{card['parameters']:,}"
    yield "gives", card.get("outputs")
    yield "precision", card["dtype"]
    yield "licence", card["licence"]
    for name, facts in card["files"].items():
        yield name, f"{size(facts['bytes'])}, sha256 {facts['sha256'][:12]}..."


def _known(rows: Any) -> Rows:
    return [(key, value) for key, value in rows if value not in (None, "")] or [
        ("unknown", "the card says nothing of it")
    ]


def _on(data: Mapping[str, Any]) -> str | None:
    return f"on {data['name']}" if data.get("name") else None


#: Columns of a table of models.
HEADER = ("name", "figure (test)", "data", "parameters", "bytes", "licence")


def row(entry: Entry) -> tuple[str, ...]:
    """A line of `python -m zoo list pretrained`."""
    told = entry.summary
    value = "" if told["value"] is None else f"{told['metric'] or ''} {told['value']:.4g}".strip()
    parameters = "" if told["parameters"] is None else f"{told['parameters']:,}"
    return entry.name, value, told["data"] or "", parameters, size(told["bytes"] or 0), told["licence"] or ""


def size(number: float) -> str:
    """Three digits and a unit of bytes."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
