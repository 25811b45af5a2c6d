"""A whole config fitted to data: the task says how many outputs it wants, the model takes its sizes."""

from collections.abc import Mapping
from typing import Any

from zoo.config import locate
from zoo.models import fit as models
from zoo.spec import Spec


def fit(config: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """The config of a run with its model and task fitted to data.

    Args:
        config: plain, of conf/train.yaml: a `model` and a `task`.
        spec: what the data is.

    Raises: ZooError for a task that does not learn from such targets, or a model that does not fit.
    """
    task: Any = locate(config["task"]["_target_"])
    outputs = task.outputs(spec)
    model = models.fit(task.of_model(config["model"], config["task"]), spec, outputs)
    return {**config, "model": model, "task": task.complete(config["task"], spec)}
