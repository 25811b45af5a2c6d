"""Which of several processes this one is."""

import os


def rank() -> int:
    """This process's number among those that train together, known before torch is imported."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):  # torchrun; Lightning's own launcher; srun
        if name in os.environ:
            return int(os.environ[name])
    return 0
