"""The README.md of a model folder, written from its card: for people, and for the Hugging Face hub, which reads its head."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from zoo.errors import printable

#: What the hub calls our tasks; others go by their own name.
HUB_TASKS = {
    "image_classification": "image-classification", "graph_classification": "graph-ml",
    "text_classification": "text-classification", "language_modelling": "text-generation",
    "masked language_modelling": "fill-mask", "forecasting": "time-series-forecasting",
    "translation": "translation", "extractive_qa": "question-answering",
}  # fmt: skip
#: Keys that have their place in the text, or are for programs; what else a card holds becomes a section.
PLACED = (
    "format", "name", "architecture", "modality", "parameters", "dtype", "outputs", "objective", "trust", "intended_use",
    "limits", "metric", "baseline", "published", "seed", "chosen", "training_seconds", "commit", "files", "probe",
    "task_config",
)  # fmt: skip


def text(card: Mapping[str, Any]) -> str:
    """Markdown with the hub's metadata in front: licence, and the metric as a model-index."""
    parts = [_head(card), _start(card)]
    parts += [_section(title, fact) for title, fact in _sections(card) if fact not in (None, "", {}, [])]
    return printable("\n".join(parts), kept="\n")


def metadata(card: Mapping[str, Any]) -> dict[str, Any]:
    """What `huggingface_hub.ModelCard` reads."""
    told: dict[str, Any] = {"library_name": "attention-zoo"}
    if licence := card.get("licence"):
        told |= (
            {"license": licence.lower()}
            if re.fullmatch(r"[\w.+-]+", licence)
            else {"license": "other", "license_name": licence}
        )
    told["tags"] = [
        word for word in ("attention-zoo", _called(card).partition(".")[0].lower(), card.get("modality")) if word
    ]
    (metric, data), task = (card.get(key) or {} for key in ("metric", "data")), card.get("task")
    if not task or metric.get("value") is None or not metric.get("name") or not data.get("name"):
        return told
    known = HUB_TASKS.get(f"{card.get('objective')} {task}", HUB_TASKS.get(task))
    told |= {"pipeline_tag": known} if known else {}
    kind = known or task.replace("_", "-")
    figure = {"type": metric["name"].rpartition("/")[2], "name": metric["name"], "value": metric["value"]}
    set_of = {"type": data["name"], "name": data["name"], "split": metric["name"].partition("/")[0]}
    result = {"task": {"type": kind, "name": task.replace("_", " ")}, "dataset": set_of, "metrics": [figure]}
    return {**told, "model-index": [{"name": _called(card), "results": [result]}]}


def _called(card: Mapping[str, Any]) -> str:
    return card.get("name") or (card.get("architecture") or "model").rpartition(".")[2]


def _head(card: Mapping[str, Any]) -> str:
    told = yaml.safe_dump(metadata(card), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{told}---\n\n# {_called(card)}\n"


def _start(card: Mapping[str, Any]) -> str:
    versions, trust = card.get("versions") or {}, card.get("trust")
    made = ", ".join(f"{name} {versions[name]}" for name in ("attention-zoo", "torch") if name in versions)
    size = f"{card['parameters']:,} parameters" if card.get("parameters") is not None else "a model"
    facts = ", ".join(filter(None, [size, card.get("dtype"), card.get("outputs")]))
    where = card.get("name") or "this folder"
    return (
        f"{facts}.{f' Made with {made}.' if made else ''}\n\n    import zoo\n"
        f'    model = zoo.load("{where}"{f", trust={trust}" if trust else ""})        '
        "# in eval mode, no pickle; model.preprocess, model.classes\n\n"
        "The safetensors file holds the weights, `config.json` what the model is built from, `card.json` what stands here,\n"
        "the resolved configs, the files' hashes and a probe.\n"
    )


def _sections(card: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "Intended use", card.get("intended_use")
    yield "Limits", card.get("limits")
    yield "Figure", figure(card)
    keys = ("seed", "chosen", "training_seconds", "commit")
    yield "Training", {key.replace("_", " "): card[key] for key in keys if card.get(key) is not None}
    for key, fact in card.items():
        if key == "data" and fact:
            fact = {name: value for name, value in fact.items() if not isinstance(value, dict) and value is not None}
        if key not in PLACED:
            yield key.replace("_", " ").capitalize(), fact


def figure(card: Mapping[str, Any]) -> dict[str, str]:
    """These weights' figure, others of its kind, and what stands beside it."""
    metric, others, theirs = (card.get(key) or {} for key in ("metric", "baseline", "published"))
    if metric.get("value") is None:
        return {}
    better = {"max": ", more is better", "min": ", less is better"}.get(str(metric.get("direction")), "")
    samples = f" ({metric['samples']:,} samples{better})" if metric.get("samples") is not None else ""
    rows = {str(metric.get("name") or "metric"): f"{cell(metric['value'])}{samples}"}
    if metric.get("mean") is not None and metric.get("std") is not None:
        seeds = metric.get("seeds") or []
        rows[f"mean of {len(seeds)} seeds"] = f"{cell(metric['mean'])} ± {cell(metric['std'])}"
    if others.get("value") is not None:
        rows[f"baseline: {others.get('name')}"] = cell(others["value"])
    if theirs.get("value") is not None:
        rows[f"published ({theirs.get('source')})"] = cell(theirs["value"])
    return rows


def _section(title: str, fact: Any) -> str:
    if isinstance(fact, Mapping):
        rows = "".join(f"| {cell(key)} | {cell(value)} |\n" for key, value in fact.items())
        body = f"| | |\n|---|---|\n{rows}"
    else:
        body = f"    {cell(fact)}\n" if title == "Command" else f"{fact if isinstance(fact, str) else cell(fact)}\n"
    return f"## {title}\n\n{body}"


def cell(value: Any) -> str:
    """A value in one line of a table."""
    said = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(said.split()).replace("|", "\\|")
