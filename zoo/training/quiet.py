"""Messages of others that say nothing to a user of this project. Each with the reason why it may be hidden.

Those that one place of ours causes are hidden there: by the checkpoint callback and by the data module.
"""

import logging
import warnings

HIDDEN = {
    # Short runs log at the end of each epoch anyway.
    r"The number of training batches .* is smaller than the logging interval": UserWarning,
    # Testing with several devices is exact here: the data module pads nothing, see datamodules/sampling.py (A12).
    r"Using `DistributedSampler` with the dataloaders": UserWarning,
    # Its advice, one device, is what trainer=ddp was chosen against.
    r"During `trainer.(test|validate)\(\)`, it is recommended to use `Trainer\(devices=1": UserWarning,
    # finetune=linear_probe freezes the backbone in eval mode on purpose.
    r"Found .* module\(s\) in eval mode at the start of training": UserWarning,
    # Raised by torch within DDP's own bookkeeping where the CPU is the device; there is nothing to change.
    r"No device id is provided via `init_process_group`": UserWarning,
    # Lightning 2.6 uses a name that torch 2.15 renamed; nothing here does.
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated": FutureWarning,
    # torch_geometric 2.8 compiles two of its types when it is imported, by what torch 2.15 calls deprecated.
    r".*`torch.jit.script` is deprecated": FutureWarning,
}


def quiet() -> None:
    """Hide them, and the tips and device tables that Lightning logs at the level of information."""
    for message, category in HIDDEN.items():
        warnings.filterwarnings("ignore", message=message, category=category)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
