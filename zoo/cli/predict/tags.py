"""The entities that a model of tags finds in a text: marked in it, as a table, and where the model looked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> None:
    """Print the text with its entities marked and the entities as a table, draw the attention of the first tokens."""
    from zoo.cli._model import check_answer
    from zoo.console import console, table
    from zoo.errors import ZooError, printable
    from zoo.inspect.tags import check_tags, entities_of, logits_of, marked, rows_of
    from zoo.inspect.tokens import TOKENS, choose, plot_tokens, read

    if options.top is not None:
        raise ZooError(f"--top {options.top} is for classes and tokens, and entities are all told; leave it out.")
    check_tags(model)
    rows = rows_of(model, source)
    shown = rows[0].ids[:TOKENS]
    maps = choose(read(model, shown).weights, options.layer, options.head)  # before anything is told
    logits = [each for row in rows for each in logits_of(model, [row])]
    for each in logits:
        check_answer(each, model, options.run)
    found = entities_of(model, source, rows, logits)
    console().print(printable(marked(source, found)), markup=False, soft_wrap=True)
    if found:
        lines = [(each.text, each.kind, f"{100 * each.share:.1f} %", f"{each.start} to {each.end}") for each in found]
        table(lines, "entities", ("", "kind", "at least", "characters"))
    else:
        print("no entities")
    print(plot_tokens(maps, [model.tokenizer.token(id) for id in shown], png).absolute())
