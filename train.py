"""Train and test one model: python train.py model=vit data=digits. `python train.py --help` lists the choices.

Read from top to bottom this is the way of the data; what stands in conf/ says which data, model, task and trainer.
Nothing heavy is imported at the top: --help, --cfg and tab completion must not wait for torch.
"""

import logging
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from zoo.config import instantiate, plain
from zoo.training import folders, resume, sweep
from zoo.training.identity import config_hash
from zoo.training.sentences import sentences

log = logging.getLogger("train")
folders.register()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """One run; or, of a sweep (-m), one job, which gets a process of its own."""
    if sweep.is_sweep():
        return sweep.run_job(cfg)
    with sentences(), folders.this_run() as folder:
        run(plain(cfg), config_hash(cfg), folder)


def run(config: dict[str, Any], fingerprint: str, folder: Path) -> None:
    """Train, test, write down.

    Args:
        config: resolved, plain containers.
        fingerprint: the config's hash.
        folder: where everything of this run goes.
    """
    from zoo.training import parts  # here and below: torch and lightning, only once there is something to run

    parts.check_config(config)
    checkpoint = resume.checkpoint(config["ckpt_path"], config["train"], folder)
    parts.prepare_process(config)

    # data -> what they decide about the model -> the model, in its task
    data = instantiate(config["data"])
    parts.ask_for_positions(data, config["model"])
    if config["init"]:
        from zoo import pretrained

        data.use_preprocess(pretrained.peek(config["init"]) or {})  # a pretrained model is fed as it was trained
    data.prepare_data()
    data.setup()
    log.info(data.describe())

    config["model"] = parts.fill(config["model"], data.facts)
    parts.check_filled("model", config["model"], data.facts)
    given: Any = config["model"]  # what the task is given: a config to build, or a model with its weights
    if config["init"]:
        given, changed = pretrained.initialise(config["model"], config["init"], data.facts)
        log.info(f"weights from {config['init']}; {len(changed)} tensors changed to fit")
        for line in changed:
            log.info(f"  {line}")
        config["model"] = given.config  # what is trained, not what the command line would have built
    config["task"] = parts.fill(config["task"], data.facts)
    task = instantiate(config["task"], model=given)
    parts.label(task.model, data)

    # the trainer, and what watches it
    callbacks, stopwatch = parts.make_callbacks(config, fingerprint, folder, data)
    trainer = parts.make_trainer(config["trainer"], callbacks, parts.make_each("logger", config.get("logger")))

    # fit -> test
    metrics: dict[str, Any] = {}
    if config["train"]:
        trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        metrics |= trainer.callback_metrics
        parts.check_trained(trainer)
        checkpoint = parts.best(trainer)
    if config["test"]:
        trainer.test(task, datamodule=data, ckpt_path=checkpoint, weights_only=True, verbose=False)
        metrics |= trainer.callback_metrics

    if trainer.is_global_zero and not trainer.fast_dev_run:
        from zoo.training.summary import print_summary, save_model, write_summary

        parts.write_config(config, fingerprint, folder)
        overrides, choices = HydraConfig.get().overrides.task, HydraConfig.get().runtime.choices
        save_model(folder, task.model, metrics, overrides)
        content = write_summary(folder, metrics, task.model, stopwatch, config["seed"], fingerprint)
        print_summary(folder, content, task.model, overrides, choices)


if __name__ == "__main__":
    with sentences():
        main()
