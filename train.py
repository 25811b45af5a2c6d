"""Train and test one model: python train.py model=vit data=digits. `python train.py --help` lists the choices.

zoo/training/run.py is the way of the data from top to bottom; what stands in conf/ says which data, model, task and
trainer. Nothing heavy is imported at the top: --help, --cfg and tab completion must not wait for torch.
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from zoo import conf, machine
from zoo.training import folders, start, sweep
from zoo.training.sentences import sentences

machine.prepare()
folders.register()
conf.search()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """One run; or, of a sweep (-m), one job, which gets a process of its own. Returns the monitored number, for searches."""
    if sweep.is_sweep():
        return sweep.run_job(cfg)
    with sentences(), start.this_run() as folder:
        from zoo.training.run import train  # torch and lightning, only once there is something to run

        record = train(cfg, folder)
        if record.trainer.is_global_zero and not record.trainer.fast_dev_run:
            from zoo.training.summary import finish

            finish(record, folder, HydraConfig.get().overrides.task, HydraConfig.get().runtime.choices)
        return record.monitored


if __name__ == "__main__":
    with sentences():
        sys.argv[1:] = conf.ready(sys.argv[1:])
        main()
