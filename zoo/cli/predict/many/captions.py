"""Captions of many images: files, and all images in folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.cli.predict.many.images import BATCH, entries, files
from zoo.cli.predict.many.table import Row

__all__ = ["BATCH", "answers", "columns", "entries", "files"]


def columns(model: Any, top: int | None) -> list[str]:
    """One text."""
    return ["caption"]


def answers(model: Any, items: Sequence[Any], top: int | None) -> list[list[Row]]:
    """A row an image, said greedily."""
    from zoo.cli.predict.captions import say

    return [[{"caption": model.tokenizer.decode(ids)}] for ids in say(model, items, {})]
