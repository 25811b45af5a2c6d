"""A page of the models of a zoo, in Markdown, written from their cards: docs/zoo.md has that of the package's own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.catalog.card import Card
from zoo.catalog.readme import cell
from zoo.errors import ZooError
from zoo.files import write_text

BEGIN, END = "<!-- models: written by python -m zoo list pretrained --markdown -->", "<!-- end of models -->"
HEADER = ("name", "figure", "seeds: mean ± deviation", "beside it", "published", "parameters", "kB", "licence")


def text(cards: Mapping[str, Card]) -> str:
    """A table of all models, then a paragraph for each."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(map(cell, row(name, card))) + " |" for name, card in cards.items()]
    return "\n".join([*lines, *(line for name, card in cards.items() for line in paragraph(name, card)), ""])


def write(path: Path, cards: Mapping[str, Card]) -> None:
    """Write the page, or what stands between its marks where it is there already.

    Raises: ZooError for a file without these marks: it is not of this command.
    """
    found = path.read_text(encoding="utf-8") if path.exists() else f"# Models\n\n{BEGIN}\n{END}\n"
    head, begun, rest = found.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise ZooError(
            f"{str(path)!r} has no {BEGIN!r} and {END!r}, between which the models stand; name another file."
        )
    write_text(path, f"{head}{BEGIN}\n\n{text(cards)}\n{END}{tail}")


def row(name: str, card: Card) -> tuple[Any, ...]:
    """A line of the table."""
    metric, other, theirs = (card[key] or {} for key in ("metric", "baseline", "published"))
    value = "" if metric.get("value") is None else f"{metric.get('name')} **{metric['value']:.4g}**"
    seeds = len(metric.get("seeds") or [])
    spread = "" if metric.get("mean") is None or metric.get("std") is None else (
        f"{metric['mean']:.4g} ± {metric['std']:.2g} ({seeds})"
    )  # fmt: skip
    beside = "" if other.get("value") is None else f"{other.get('name')}: {other['value']:.4g}"
    published = "" if theirs.get("value") is None else f"{theirs['value']:.4g}"
    size = sum(facts["bytes"] for facts in card["files"].values()) / 1000
    return (
        f"`{name}`",
        value,
        spread,
        beside,
        published,
        f"{card['parameters']:,}",
        f"{size:,.0f}",
        card["licence"] or "",
    )


def paragraph(name: str, card: Card) -> Iterator[str]:
    """What the table has no room for."""
    data, theirs = card["data"] or {}, card["published"] or {}
    yield from ("", f"### `{name}`", "")
    use = " ".join(filter(None, [card["intended_use"], card["limits"] and f"Limits: {card['limits']}"]))
    if use:
        yield cell(use)
    facts = {
        "Data": ", ".join(data[key] for key in ("name", "source", "licence") if data.get(key)),
        "Seed": card["seed"] is not None and " ".join(filter(None, [f"{card['seed']}.", card["chosen"]])),
        "Published": theirs.get("source"),
        "Precision": card["dtype"],
        "Made by": card["command"] and f"`{cell(card['command'])}`",
    }  # fmt: skip
    yield ""
    yield from (f"- {key}: {cell(fact)}" for key, fact in facts.items() if fact)
