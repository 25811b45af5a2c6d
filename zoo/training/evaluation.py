"""A trained model tested again on the data that a card names: `python -m zoo check`, and what is published rounded.

    metrics, samples = evaluate(zoo.load("gat.cora"), card["data"]["config"], card["task_config"])

Both configs are a file's words. They name data modules and tasks that are declared for that (docs/criteria.md, A8); where
files lie, and where something may be written, is the reader's own (ZOO_DATA, ZOO_CACHE).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from zoo import conf, construct, declared, packages
from zoo.checked import model as checked
from zoo.checked.texts import check_config
from zoo.errors import NotAtHand, ZooError, naming, nearest
from zoo.models.fit import check_reads, encodings, tokenizers_of
from zoo.tasks.classification import Classification
from zoo.tasks.extractive_qa import ExtractiveQA
from zoo.tasks.fit import fit
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.language_modelling import LanguageModelling
from zoo.tasks.masked_patches import MaskedPatches
from zoo.tasks.task import Task
from zoo.tasks.token_classification import TokenClassification
from zoo.tasks.translation import Translation
from zoo.training.quiet import quiet
from zoo.training.threads import computing, threads

_OURS = (
    Classification, LanguageModelling, Forecasting, MaskedPatches, Translation, ExtractiveQA, TokenClassification,
)  # fmt: skip
#: The tasks that a file may name, by every name that they have had.
TASKS: dict[str, type[Task]] = {
    **{f"{kind.__module__}.{kind.__qualname__}": kind for kind in _OURS},
    "zoo.tasks.image_classification.ImageClassification": Classification,
    "zoo.tasks.graph_classification.GraphClassification": Classification,
}
#: What of a task is for training alone: it is neither looked at nor built.
OF_TRAINING = (
    "model", "optimizer", "schedule", "mixing", "label_smoothing", "teacher_forcing", "layer_decay", "finetune",
    "grad_checkpointing", "compile",
)  # fmt: skip
NO_STEP = {"_target_": "torch.optim.SGD", "lr": 1.0}  # a task asks for an optimizer
#: Settings of data that a model's own preprocessing decides.
FED = ("img_size", "in_chans", "normalise", "exif_orientation", "row_normalise")
WHOLE = 2**20  # no whole number of a data config is larger, but seeds


class OtherData(ZooError):
    """Data that are scaled otherwise than those that the model was made for."""


@dataclass(frozen=True)
class Tested:
    """What came out.

    metrics: by name, "test/accuracy". samples: how many were tested (tokens of a text). digest: of which they were.
    """

    metrics: dict[str, float]
    samples: int
    digest: str


def evaluate(
    model: nn.Module, data_config: Mapping[str, Any], task_config: Mapping[str, Any], **how: Any
) -> tuple[dict[str, float], int]:
    """(metrics, samples) of `test`."""
    tested = test(model, data_config, task_config, **how)
    return tested.metrics, tested.samples


def test(
    model: nn.Module,
    data_config: Mapping[str, Any],
    task_config: Mapping[str, Any],
    *,
    stage: str = "test",
    vintage: str | None = None,
    limits: int | None = None,
    at: str | None = None,
    trust: Sequence[str] = (),
    where: str = "the card",
) -> Tested:
    """Test a model as `train.py` does: each sample once, in float32 whatever precision its weights are stored in.

    Args:
        model: with a config; it is left as it is. Its own tokenizer and preprocessing feed it.
        data_config: of a data module, plain, of a card or of a run's config.yaml.
        task_config: of a task, without the model.
        stage: "test", or "val".
        vintage: what the data must depend on (`DataModule.vintage`); None: whatever is there.
        limits: so many batches at most; None: all.
        at: where data of the user's own lie, a file or a folder.
        trust: packages whose data modules and tasks the configs may name.
        where: what errors call the file of the configs.

    Raises:
        NotAtHand: the data are not here, are of the user's own, or of another vintage.
        OtherData: they are scaled otherwise than the model's own preprocessing says.
        ZooError: for configs that name what may not be built, or do not fit the model.
    """
    own = packages.checked(trust)
    data = data_of(model, data_config, vintage=vintage, at=at, trust=own, where=where)
    return test_on(model, data, task_config, stage=stage, limits=limits, trust=own, where=where)


def test_on(
    model: nn.Module,
    data: Any,
    task_config: Mapping[str, Any],
    *,
    stage: str = "test",
    limits: int | None = None,
    trust: Sequence[str] = (),
    where: str = "the run",
) -> Tested:
    """As `test`, on a data module that is set up."""
    own = packages.checked(trust)
    shown: Any = deepcopy(model)
    if next(shown.parameters()).dtype in (torch.float16, torch.bfloat16):
        shown = shown.float()
    with _untouched_grad(), packages.trusting(own):
        task = task_of(shown, task_config, data.spec, where, own)
        metrics = _run(task, data, stage, limits)
    counted = metrics.get(f"{stage}/{task.counted}")
    return Tested(metrics, int(counted) if counted is not None else len(data.rows(stage)), data.digest(stage))


def data_of(
    model: Any,
    config: Mapping[str, Any],
    *,
    vintage: str | None = None,
    at: str | None = None,
    trust: Sequence[str] = (),
    where: str = "the card",
) -> Any:
    """The data module that a file's config names, set up for the model; arguments and errors as of `test`."""
    own, where = packages.checked(trust), f"the data of {where}"
    tree = checked.resolve(_without(config, ("_convert_", "_recursive_")), where, None, "run", own)
    kind: Any = tree.target
    if not isinstance(kind, type) or not getattr(kind, "modality", None) or not hasattr(kind, "batches"):
        raise ZooError(f"{where}: {tree.name} is no data module; give the card of a run.")
    _check_sizes(tree.given, where)
    mine: dict[str, Any] = {**conf.places(), "num_workers": 0, **_place(tree, at, where)}
    mine |= {key: None for key in ("augment", *(FED if model.preprocess is not None else ())) if key in tree.given}
    if "tokenizer" in tree.given or model.tokenizer is not None:
        if model.tokenizer is None:
            raise ZooError(f"{where} are texts, and no tokenizer comes with the model; give its folder, or its run.")
        mine |= tokenizers_of(model)
    with naming(where), packages.trusting(own):  # the model may be of what is trusted
        data = construct.make(tree, **mine)
        check_reads(model.config, data.modalities, type(data).__name__)
        if vintage is not None and data.vintage != vintage:
            raise NotAtHand(f"they are those of {vintage}, and here is {data.vintage}: other samples, another figure.")
        if model.preprocess is not None:
            data.use_preprocess(asdict(model.preprocess))
        if wanted := encodings(model.config):
            data.use_positions(wanted)
        data.setup()
        _check_scale(data.spec.preprocess, model.preprocess)
    return data


def task_of(
    model: Any, config: Mapping[str, Any], spec: Any, where: str = "the card", trust: Sequence[str] = ()
) -> Task:
    """The task that a file's config names, around the model, fitted to the data. Raises: ZooError where it does not fit."""
    where = f"the task of {where}"
    settings = _without(config, ("_convert_", "_recursive_", *OF_TRAINING))
    check_config(settings, where)
    name = settings.get("_target_")
    with naming(where):
        kind = _kind(name, tuple(trust))
        rest = {key: value for key, value in settings.items() if key != "_target_"}
        construct.resolve(rest, lambda word, at: declared.find(word, "train", at, tuple(trust)))
        construct.check(construct.Call("", str(name), kind, rest, rest))
        fitted = fit({"model": model.config, "task": settings}, spec)["task"]
        return kind(model=model, optimizer=NO_STEP, **_without(fitted, ("_target_",)))


def _run(task: Task, data: Any, stage: str, limits: int | None) -> dict[str, float]:
    from lightning.pytorch import Trainer

    quiet()  # lightning has just set its own level of messages
    wide = next(task.model.parameters()).dtype == torch.float64
    trainer = Trainer(
        precision="64-true" if wide else "32-true",
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        limit_test_batches=limits, limit_val_batches=limits,
    )  # fmt: skip
    if not len(data.rows(stage)):
        raise ZooError(f"the data have no {stage} part to measure on.")
    with computing(threads("auto", task.model, data)):
        (trainer.test if stage == "test" else trainer.validate)(task, datamodule=data, verbose=False)
    return {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith(f"{stage}/")}


@contextmanager
def _untouched_grad() -> Iterator[None]:
    """Lightning turns gradients off where its loop is interrupted."""
    before = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(before)


def _kind(name: Any, trust: tuple[str, ...]) -> type[Task]:
    if name in TASKS:
        return TASKS[name]
    found: Any = packages.located(name, "_target_", trust) if packages.under(str(name), trust) else None
    if isinstance(found, type) and issubclass(found, Task):
        return found
    raise ZooError(f"_target_={str(name)[:80]!r} is no task that a file may name; {nearest(str(name)[:80], TASKS)}")


def _place(tree: construct.Call, at: str | None, where: str) -> dict[str, Any]:
    """Where data of the user's own lie, which only the reader knows. Raises: NotAtHand where that was not said."""
    wanted = tuple(getattr(tree.target, "places", ()))
    if at is not None and not wanted:
        raise ZooError(f"{where} are {tree.name}, which lie in the data folder (ZOO_DATA); leave out --data {at}.")
    if wanted and at is None:
        raise NotAtHand(f"{where} are somebody's own ({tree.name}); say where they lie: --data PATH.")
    return dict.fromkeys(wanted, at)


def _check_scale(made: Any, own: Any) -> None:
    """Refuse data whose columns, or pixels, have another mean or deviation than the model's files tell."""
    for name in ("mean", "std"):
        a, b = (getattr(each, name, None) for each in (made, own))
        if a is None or b is None:
            continue
        a, b = (torch.as_tensor(each, dtype=torch.float64).flatten() for each in (a, b))
        if a.shape != b.shape or not torch.allclose(a, b, rtol=1e-4, atol=1e-6):
            raise OtherData(f"their {name} is {_said(a)}, and the model's own preprocessing has {_said(b)}.")


def _said(numbers: torch.Tensor) -> str:
    shown = ", ".join(f"{x:.6g}" for x in numbers[:6].tolist())
    return f"{shown}{', ...' if len(numbers) > 6 else ''}"


def _check_sizes(given: Mapping[str, Any], where: str) -> None:
    for key, value in given.items():
        if type(value) is int and abs(value) > WHOLE and not key.endswith("seed"):
            raise ZooError(f"{where}: {key}={value} is larger than any setting of data ({WHOLE:,} at most).")


def _without(config: Any, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(config, Mapping):
        raise ZooError(f"A config is a mapping with a _target_; got a {type(config).__name__}.")
    return {key: value for key, value in config.items() if key not in keys}
