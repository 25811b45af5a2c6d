"""The README.md of a model folder: what the model is, what it was trained on, how to load it."""

from collections.abc import Mapping
from typing import Any

import torch

from zoo import __version__
from zoo.models import Model
from zoo.pretrained.facts import strangers_in

HEAD = """\
---
library_name: attention-zoo
{licence}---

# {name}

{parameters:,} parameters, {classes}. Made with attention-zoo {version}, torch {torch}.

    import zoo
    model = zoo.load("this folder"{trust})        # in eval mode, no pickle; model.preprocess, model.classes

`model.safetensors` holds the weights, `config.json` what the model is built from.
"""


def write(model: Any, facts: Mapping[str, Any]) -> str:
    """Markdown: the head, then a section for each fact (task, data, metrics, command, licence, versions, ...).

    A mapping becomes a table, a command a code block, None is left out.
    """
    licence = facts.get("licence")
    own, told = strangers_in(model), getattr(model, "preprocess", None)
    facts = {"columns": (told.describe() if told is not None else None) or None, **facts}
    text = HEAD.format(
        name=type(model).__name__,
        licence=f"license: {licence}\n" if licence else "",
        parameters=sum(p.numel() for p in model.parameters()),
        classes=_gives(model),
        trust=f", trust={own}" if own else "",
        version=__version__,
        torch=torch.__version__,
    )
    return text + "".join(_section(name, fact) for name, fact in facts.items() if fact is not None)


def _gives(model: Any) -> str:
    """What comes out, in words."""
    if isinstance(model, Model) and model.targets == "values":
        return model.describe()["window"]
    return f"{model.num_classes} classes" if isinstance(model, Model) and model.num_classes else "no classifier"


def _section(name: str, fact: Any) -> str:
    if isinstance(fact, Mapping):
        rows = "".join(f"| {key} | {_number(value)} |\n" for key, value in fact.items())
        body = f"| | |\n|---|---|\n{rows}"
    else:
        body = f"    {fact}\n" if name == "command" else f"{_number(fact)}\n"
    return f"\n## {name.replace('_', ' ').capitalize()}\n\n{body}"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
