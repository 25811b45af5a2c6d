"""config.json of a model folder, of every format there was, as this version reads it.

A change that a reader of today could not understand is a new format, with a function here that says the one before in its
terms. A class that moves is a line of `zoo.declared.MOVED`, which serves each file that names it: folders, checkpoints and the
configs of runs. Both stay for ever; tests/old holds folders of each format.
"""

from typing import Any

from zoo.checked.formats import Steps, newest, upgraded


def with_adapter(content: dict[str, Any]) -> dict[str, Any]:
    """1 -> 2: `adapter` tells of one, whose tensors lie in adapter_model.safetensors; folders of format 1 have none."""
    return {"adapter": None, **content}


def with_graphs(content: dict[str, Any]) -> dict[str, Any]:
    """2 -> 3: `preprocess` may be of graphs, {"kind": "graph", ...}. What was done to those before was not told: null."""
    return {"preprocess": None, **content}


STEPS: Steps = {1: with_adapter, 2: with_graphs}
FORMAT = newest(STEPS)


def current(content: dict[str, Any], where: str) -> dict[str, Any]:
    """A config.json in the newest format. Raises: ZooError for a newer one, or none."""
    return upgraded(content, STEPS, where)
