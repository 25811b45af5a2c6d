"""What a model's card says, measured again: its files' hashes, its probe, and its figure on the data.

    for row in check("gat.cora"): print(row.what, row.stated, row.measured, row.verdict)

Each row is equal, different or skipped; what was skipped was not looked at, and never counts as passed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.catalog import Entry, find, is_name, knows, local
from zoo.catalog import card as cards
from zoo.catalog.index import INDEX
from zoo.catalog.publish import summary
from zoo.checked.texts import read_json, read_yaml
from zoo.errors import NotAtHand, ZooError, one_line
from zoo.training.figures import equal

EQUAL, DIFFERENT, SKIPPED = "equal", "different", "skipped"
Figure = float | int | str | None


@dataclass(frozen=True)
class Row:
    """One thing that was compared.

    what: "index" (what a zoo's index.json says in short), "files", "weights", "probe, float32" (the
    largest difference over the largest output), "test part", or a metric's name.
    verdict: EQUAL, DIFFERENT or SKIPPED. why: of the last two.
    """

    what: str
    stated: Figure
    measured: Figure
    difference: float | None
    verdict: str
    seconds: float = 0.0
    why: str = ""


def check(
    source: str | Path, *, at: str | None = None, metric: bool = True, trust: Sequence[str] = ()
) -> Iterator[Row]:
    """Compare a model with its card, row by row; what comes after a file that differs is not loaded.

    Args:
        source: a name of a zoo, an address, a model folder or a run's.
        at: where data of the user's own lie.
        metric: whether the figure is measured, which takes the data.
        trust: packages that its configs may name.

    Raises: ZooError for what is no model folder, a card that is none, and configs that may not be built.
    """
    import zoo
    from zoo.pretrained import folder as folders

    run = local(source)
    folder = folders.find(run)
    card = cards.read(folder)
    told = card if card is not None else of_old_run(run)
    if isinstance(source, str) and is_name(source) and knows(source):
        yield index(find(source), told)
    row = files(folder, card)
    yield row
    if row.verdict == DIFFERENT:
        return
    began = time.perf_counter()
    model: Any = zoo.load(folder, trust=trust)
    yield weights(model, told)
    yield from probe_rows(model, told.get("probe"), began)
    if metric:
        yield from metric_rows(model, told, at, trust, repr(str(source)))


def index(entry: Entry, card: Mapping[str, Any]) -> Row:
    """What a zoo's index says of the model in short, by which it is listed and chosen."""
    told = summary(card, entry.files)
    other = [key for key, value in entry.summary.items() if value != told[key]]
    said = [f"{key}={one_line(entry.summary[key], 80)}, and the card {one_line(told[key], 80)}" for key in other]
    why = f"{INDEX} says {'; '.join(said)}" if other else ""
    return Row("index", len(told), len(told) - len(other), len(other), DIFFERENT if other else EQUAL, why=why)


def weights(model: Any, card: Mapping[str, Any]) -> Row:
    """How many parameters, in which dtype, of which class."""
    floats = {
        str(tensor.dtype).removeprefix("torch.") for tensor in model.state_dict().values() if tensor.is_floating_point()
    }
    here = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": ", ".join(sorted(floats)) or None,
        "architecture": model.config.get("_target_"),
    }
    stated = {key: card.get(key) for key in here if card.get(key) is not None}
    if ", " in str(stated.get("dtype")):  # a model is loaded in one
        del stated["dtype"]
    if not stated:
        return Row("weights", None, None, None, SKIPPED, why="the card does not say parameters, dtype and architecture")
    other = [key for key in stated if stated[key] != here[key]]
    why = "; ".join(f"{key}={one_line(stated[key], 80)} is stated, and it is {here[key]}" for key in other)
    count = stated.get("parameters")
    return Row("weights", count, here["parameters"], None, DIFFERENT if other else EQUAL, why=why)


def files(folder: Path, card: Mapping[str, Any] | None) -> Row:
    """The hashes."""
    began = time.perf_counter()
    if card is None:
        return Row("files", None, None, None, SKIPPED, 0.0, "there is no card.json, which holds their hashes")
    try:
        cards.verify(folder, dict(card))
    except ZooError as error:
        return Row("files", None, None, None, DIFFERENT, time.perf_counter() - began, str(error))
    count = len(card["files"])
    return Row("files", count, count, 0, EQUAL, time.perf_counter() - began)


def probe_rows(model: Any, probe: Any, began: float) -> Iterator[Row]:
    """The outputs on the probe's input, in each precision that it states."""
    from zoo.pretrained import probe as probes

    if not probe:
        yield Row("probe", None, None, None, SKIPPED, 0.0, "the card has none")
        return
    try:
        found = probes.differences(model, probe)
    except ZooError as error:
        yield Row("probe", None, None, None, DIFFERENT, time.perf_counter() - began, str(error))
        return
    seconds = (time.perf_counter() - began) / len(found)
    for name, difference in found.items():
        most = probes.TOLERANCE[name]
        good = difference <= most
        why = "" if good else f"the outputs differ by {difference:.2g} of the largest, and {most:g} is rounding"
        yield Row(f"probe, {name}", 0.0, difference, difference, EQUAL if good else DIFFERENT, seconds, why)
    for name in probes.lacks(model, probe):
        why = "the card does not state it, as it has to for such weights"
        yield Row(f"probe, {name}", None, None, None, DIFFERENT, 0.0, why)


def metric_rows(model: Any, card: Mapping[str, Any], at: str | None, trust: Sequence[str], where: str) -> Iterator[Row]:
    """Which samples the part has, where the card says so, and the figure on them."""
    from zoo.training import evaluation

    data, metric = card.get("data") or {}, card.get("metric") or {}
    name, stated, began = metric.get("name"), metric.get("value"), time.perf_counter()
    if name is None or stated is None or not data.get("config") or not card.get("task_config"):
        yield Row(name or "metric", stated, None, None, SKIPPED, 0.0, "the card does not say the figure, data and task")
        return
    stage = "val" if name.startswith("val/") else "test"
    try:
        tested = evaluation.test(
            model, data["config"], card["task_config"], stage=stage, vintage=data.get("vintage"), at=at, trust=trust,
            where=f"the card of {where}",
        )  # fmt: skip
    except NotAtHand as error:
        yield Row(name, stated, None, None, SKIPPED, time.perf_counter() - began, str(error))
        return
    except evaluation.OtherData as error:
        yield Row(name, stated, None, None, DIFFERENT, time.perf_counter() - began, str(error))
        return
    part, seconds = data.get("part") or {}, time.perf_counter() - began
    samples = metric.get("samples")
    digest = part.get("sha256")
    same = digest in (None, tested.digest) and samples in (None, tested.samples)
    why = "" if same else "the samples, or what is asked of them, are not those that the card was measured on"
    if same and digest is None:
        why = "the card does not say which samples they are (data.part)"
    stated_part = f"{samples or tested.samples:,}, {str(digest or '')[:8]}".removesuffix(", ")
    here = f"{tested.samples:,}, {tested.digest[:8]}"
    verdict = DIFFERENT if not same else SKIPPED if digest is None else EQUAL
    yield Row(f"{stage} part", stated_part, here, None, verdict, why=why)
    measured = tested.metrics.get(name)
    if measured is None:
        yield Row(name, stated, None, None, DIFFERENT, seconds, f"the test gives {', '.join(tested.metrics)}")
        return
    good = equal(name, stated, measured, tested.samples)
    why = "" if good else f"measured on {tested.samples:,} samples"
    yield Row(name, stated, measured, measured - stated, EQUAL if good else DIFFERENT, seconds, why)


def of_old_run(run: Path) -> dict[str, Any]:
    """What config.yaml and summary.json tell of a run that has no card yet; {} of what is no run."""
    config, summary = run / "config.yaml", run / "summary.json"
    if not (config.is_file() and summary.is_file()):
        return {}
    content, came_out = read_yaml(config), read_json(summary)
    if not isinstance(content, dict) or not isinstance(came_out, dict):
        raise ZooError(f"{str(run)!r} has a config.yaml or summary.json that is none of a run.")
    task, metrics = content.get("task"), came_out.get("metrics")
    if not isinstance(task, dict) or not isinstance(metrics, dict):
        return {}
    name = f"test/{one_line(task.get('monitor') or 'loss', 80)}"
    metric = {"name": name, "value": metrics.get(name), "samples": None}
    return {"data": {"config": content.get("data")}, "task_config": task, "metric": metric}
