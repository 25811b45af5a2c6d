"""One training, without Hydra: data, what they decide, the model in its task, the trainer; fit, then test."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule
from omegaconf import DictConfig, OmegaConf

from zoo import packages
from zoo.adapters import adapt, is_kind, trained
from zoo.config import instantiate, plain
from zoo.models.factory import build_model
from zoo.models.fit import check_reads, encodings, label
from zoo.tasks.fit import fit
from zoo.training import embeddings, resume, weights
from zoo.training.callbacks import Stopwatch
from zoo.training.checks import check_config
from zoo.training.folders import begin
from zoo.training.identity import config_hash
from zoo.training.process import prepare_process
from zoo.training.threads import computing, kept_threads, threads
from zoo.training.trainer import best, check_trained, make_callbacks, make_each, make_trainer, monitored

log = logging.getLogger("train")


@dataclass(frozen=True)
class Record:
    """What a training leaves in memory.

    metrics: of the last epoch's training and validation, and of the test. monitored: `task.monitor` on validation data, of the
    epoch that was chosen: what a search maximises (or minimises: `task.mode`).
    config: plain, with what the data decided; fingerprint: its hash (zoo.training.identity). stopwatch: how long it took.
    embedding: how many tokens began with vectors (zoo.training.embeddings); empty: none did.
    """

    task: LightningModule
    data: Any
    trainer: Any  # Lightning's, which sets some of its attributes where no type checker sees them
    metrics: dict[str, float]
    monitored: float | None
    config: dict[str, Any]
    fingerprint: str
    stopwatch: Stopwatch
    embedding: Mapping[str, Any] = field(default_factory=dict)


def train(
    config: DictConfig | Mapping[str, Any],
    folder: str | Path | None,
    *,
    data: Any = None,
    watch: Sequence[Callback] = (),
) -> Record:
    """Train and test one model, as `python train.py` does.

        from zoo.conf import compose_train
        record = train(compose_train(["model=vit", "data=digits"]), "runs/mine")
        record.metrics["test/accuracy"]

    Args:
        config: of conf/train.yaml, composed or plain; it is not changed.
        folder: where checkpoints, figures, metrics.csv and config.yaml go; None: nothing is written by this project (leave
            out callbacks and loggers that write: callbacks=none, ~logger).
        data: a data module that was set up already, in place of config's.
        watch: callbacks beside the config's, called before them.

    Returns: the record, on each process.
    Raises: ZooError for whatever of the config is refused.
    """
    given: Any = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    folder = None if folder is None else Path(folder).absolute()
    given = OmegaConf.merge(given, {"paths": {"run": str(folder or ".")}})  # a copy
    fingerprint, settings = config_hash(given), plain(given)
    with packages.trusting(settings.get("trust") or ()):
        return _train(settings, fingerprint, folder, data, watch)


def _train(
    settings: dict[str, Any], fingerprint: str, folder: Path | None, data: Any, watch: Sequence[Callback]
) -> Record:
    """The way from a plain config to the record."""
    check_config(settings)
    checkpoint = resume.checkpoint(settings["ckpt_path"], settings["train"], folder)
    prepare_process(settings)

    # data -> what they decide about the model -> the model, in its task
    if data is None:
        data = instantiate(settings["data"])
        check_reads(settings["model"], data.modalities, type(data).__name__)
        wanted = encodings(settings["model"])
        if settings["init"]:
            from zoo import pretrained

            trust = packages.checked(settings.get("trust") or ())
            if hasattr(data, "use_positions"):  # what the source's model reads of a graph, and is not chosen anew
                wanted = {**pretrained.encodings(settings["init"], trust), **wanted}
            # A pretrained model is fed as it was trained.
            data.use_preprocess(pretrained.peek(settings["init"], settings["model"], trust) or {})
            if "tokenizer" in (tokenizers := pretrained.tokenizers_in(settings["init"], trust)):
                data.use_tokenizer(**tokenizers)
        if wanted:
            data.use_positions(wanted)
        data.prepare_data()
        data.setup()
    log.info(data.describe())
    if checkpoint:
        decided = {**data.spec.sizes(), **data.spec.usual(), "num_classes": None}
        held = weights.read(checkpoint)
        if then := resume.left_open(settings["model"], decided, checkpoint):
            settings["model"] = {**settings["model"], **then}
            weights.check_size(fit(settings, data.spec)["model"], held, str(resume.config_of(checkpoint)))
    task, settings = make_task(settings, data)
    vectors = embeddings.Started()
    if settings.get("embedding"):
        watch = [*watch, vectors]
        if not checkpoint:  # else they are in it
            vectors.coverage = embeddings.start(task.model, settings["embedding"], data, settings["seed"])
    kept = kept_threads(checkpoint.parent.parent) if checkpoint and settings["train"] else None
    settings["threads"] = threads(settings["threads"], task.model, data, kept)

    # the trainer, and what watches it
    stopwatch = Stopwatch(data.samples_per_step)
    started = (lambda: begin(folder, settings, fingerprint)) if folder is not None else None
    callbacks = [*watch, *make_callbacks(settings, fingerprint, data, stopwatch, started)]
    trainer = make_trainer(settings["trainer"], callbacks, make_each("logger", settings.get("logger")))

    # fit -> test
    metrics: dict[str, Any] = {}
    with computing(settings["threads"]):
        if settings["train"]:
            with resume.restoring(checkpoint, stopwatch):
                trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            metrics |= trainer.callback_metrics
            check_trained(trainer)
            checkpoint = best(trainer)
        if settings["test"]:
            with resume.restoring(checkpoint, stopwatch):
                trainer.test(task, datamodule=data, ckpt_path=checkpoint, weights_only=True, verbose=False)
            metrics |= trainer.callback_metrics
    metrics = {name: float(value) for name, value in metrics.items()}
    number = monitored(trainer, task.monitor, metrics)
    return Record(task, data, trainer, metrics, number, settings, fingerprint, stopwatch, vectors.coverage)


def make_task(config: Mapping[str, Any], data: Any) -> tuple[Any, dict[str, Any]]:
    """The model that fits the data, in its task; and the config with what was decided.

    Args:
        config: plain, of conf/train.yaml.
        data: a data module that was set up.
    """
    spec = data.spec
    settings = fit(config, spec)
    given: Any = settings["model"]  # what the task is given: a config to build, or a model with its weights
    if config["init"]:
        from zoo import pretrained

        given, changed = pretrained.initialise(
            given, config["init"], {**spec.sizes(), "num_classes": given.get("num_classes")}, config.get("trust") or ()
        )
        log.info(f"weights from {config['init']}; {len(changed)} tensors changed to fit")
        for line in changed:
            log.info(f"  {line}")
        settings["model"] = given.config  # what is trained, not what the command line would have built
    if is_kind(config["finetune"]):
        given = build_model(given) if isinstance(given, dict) else given
        given = adapt(given, config["finetune"], **config["adapter"])
    task = instantiate(settings["task"], model=given)
    if config["finetune"] != "full":
        some, all = trained(task.model)
        log.info(f"{config['finetune']}: {some:,} of {all:,} parameters train ({some / all:.2%})")
    label(task.model, spec)
    return task, settings
