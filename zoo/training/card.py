"""What the card of a run's model says of the run (zoo.catalog.card): on what data, to which figure, by which command."""

import logging
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zoo
from zoo.training.figures import direction

log = logging.getLogger(__name__)
OF_MACHINES = ("folder", "cache")  # settings of data that say where files lie
OF_HYDRA = ("_convert_", "_recursive_")


def of_run(record: Any, choices: Mapping[str, str], beside: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Keys of a card, of a `zoo.training.run.Record`; null where the run does not know.

    Args:
        choices: the option that was chosen of each group.
        beside: {"test/mse": {"repeat_last": ...}, ...}, what stands beside the run's metrics.
    """
    metric = of_metric(record)
    stage = metric["name"].partition("/")[0] if metric else "test"
    return {
        "task": choices.get("task") or type(record.task).__name__.lower(),
        "modality": record.data.spec.modality,
        "data": of_data(record.data, record.config["data"], stage),
        "task_config": _without(record.config["task"], ("model", *OF_HYDRA)),
        "metric": metric,
        "baseline": baseline(beside.get(metric["name"], {}), metric["direction"]) if metric else None,
        "seed": record.config["seed"],
        "training_seconds": round(record.stopwatch.fit_seconds, 1),
        "commit": commit(),
        "probe": of_model(record.task.model),
    }


def of_metric(record: Any) -> dict[str, Any] | None:
    """The monitored metric on the test part, on the validation part where there is none; None where neither was measured.

    A run in half or mixed precision is tested once more, in float32: that is what `check` and everybody else will measure.
    """
    task, metrics = record.task, record.metrics
    value = metrics.get(name := f"test/{task.monitor}")
    samples = metrics.get(f"test/{task.counted}")
    if value is None:
        name, value, samples = f"val/{task.monitor}", record.monitored, len(record.data.rows("val"))
    if value is None:
        return None
    if str(record.config["trainer"].get("precision", "32")).startswith(("16", "bf16")) and not _distributed():
        from zoo.training import evaluation

        stage, trust = name.partition("/")[0], record.config.get("trust") or ()
        tested = evaluation.test_on(task.model, record.data, record.config["task"], stage=stage, trust=trust)
        value = tested.metrics[name]
    known = {"name": name, "direction": task.mode or direction(name), "value": float(value)}
    return {**known, "samples": None if samples is None else int(samples)}


def _distributed() -> bool:
    """Whether several processes train together; one of them alone cannot test again."""
    import torch.distributed

    return torch.distributed.is_available() and torch.distributed.is_initialized()


def of_data(data: Any, config: Mapping[str, Any], stage: str = "test") -> dict[str, Any]:
    """Name, source and licence of a data module's set, and a config that builds it again: without places of a machine."""
    places = tuple(getattr(data, "places", ()))
    plain = _without(config, (*OF_MACHINES, *OF_HYDRA, *places))
    found = {key: getattr(data, name, None) for key, name in (("name", "title"), ("source", "reference"))}
    found |= {"licence": getattr(data, "licence", None), "config": _portable(plain)}
    found |= {"vintage": getattr(data, "vintage", None)}
    part = _tried("which samples it was measured on", lambda: (len(data.rows(stage)), data.digest(stage)))
    return found | {"part": part and {"name": stage, "samples": part[0], "sha256": part[1]}}


def baseline(beside: Mapping[str, float], direction: str) -> dict[str, Any] | None:
    """The best of what stands beside a metric."""
    if not beside:
        return None
    name = (max if direction == "max" else min)(beside, key=lambda each: beside[each])
    return {"name": name, "value": beside[name]}


def of_model(model: Any) -> dict[str, Any] | None:
    """The model's probe; None where its class has no example."""
    from zoo.pretrained import probe

    return _tried("a probe", lambda: probe.make(model))


def commit() -> str | None:
    """The commit of the checkout that runs, "-dirty" where files of it were changed; None where there is no checkout."""
    root = Path(zoo.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() or None


def _tried(what: str, make: Callable[[], Any]) -> Any:
    """A training that has ended is not lost because a class of somebody's own does not say all: the log tells why."""
    try:
        return make()
    except Exception as error:  # of whatever that class does
        log.warning(f"the model's card does not have {what}: {error}")
        return None


def _portable(node: Any) -> Any:
    """Without text that is a place in somebody's files: of a tokenizer's file, or of settings of one's own."""
    if isinstance(node, Mapping):
        return {key: _portable(each) for key, each in node.items() if not _is_place(each)}
    return [_portable(each) for each in node if not _is_place(each)] if isinstance(node, list | tuple) else node


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith(("/", "~", "\\")) or value[1:3] == ":\\")


def _without(config: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}
