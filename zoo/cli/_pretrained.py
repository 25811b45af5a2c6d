"""`python -m zoo list pretrained`: the models of the zoos by name, task, modality, licence and size. No torch is imported."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.cli._card import HEADER, row
from zoo.console import console, table
from zoo.errors import ZooError, nearest

NOTHING = "There is no trained model: neither in the package nor in a zoo that ZOO_INDEX names."
TITLE = 'zoo.load("...")'


def only(options: argparse.Namespace) -> dict[str, Any]:
    """What `zoo.list_pretrained` is told beside a pattern."""
    return {key: getattr(options, key) for key in ("task", "modality", "licence", "max_parameters")}


def lines() -> Iterator[tuple[str, str]]:
    """Name and a line for each."""
    for name, figure, data, parameters, size, licence in map(row, catalog.entries()):
        yield name, f"{figure} on {data}, {parameters} parameters, {size}, {licence}"


def tell(pattern: str, options: argparse.Namespace) -> None:
    """Print the table of those that fit, or write it to a page. Raises: ZooError where none fits (the nearest is named)."""
    asked = {key: value for key, value in only(options).items() if value is not None}
    if not asked and pattern == "*" and not catalog.entries():
        console().print(NOTHING)
        return
    if not (found := catalog.entries(pattern, **asked)):
        raise ZooError(_none(pattern, asked))
    if options.markdown:
        from zoo.catalog import page

        path = Path(options.markdown)
        page.write(path, {entry.name: catalog.info(entry.name) for entry in found})
        console().print(f"{path}: {len(found)} models")
        return
    table(map(row, found), f"pretrained   {TITLE}", HEADER)


def _none(pattern: str, asked: dict[str, Any]) -> str:
    every = {entry.name: entry.summary for entry in catalog.entries()}
    if not catalog.list_pretrained(pattern):
        return f"{pattern!r} is no trained model; {nearest(pattern, every)}"
    for key, value in asked.items():
        there = {str(told[key]) for told in every.values() if told.get(key) is not None}
        if key != "max_parameters" and value not in there:
            return f"No trained model has {key}={value}; {nearest(str(value), there)}"
    said = ", ".join(f"{key}={value}" for key, value in asked.items())
    return f"No trained model of {pattern!r} has {said}; python -m zoo list pretrained shows all."
