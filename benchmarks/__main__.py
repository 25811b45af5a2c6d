"""The developers' door to the measurements: python -m benchmarks {vit,gat,lm,seq2seq,forecasting,...} --help."""

import argparse
import os
from importlib import import_module
from pathlib import Path

from zoo import machine
from zoo.errors import ZooError

BENCHMARKS = {
    "vit": "our ViTs against timm's: time, GFLOP/s, peak memory",
    "epoch": "an epoch of the default run against a bare PyTorch loop",
    "busy": "the default runs beside one busy process, against themselves on a quiet machine",
    "startup": "whole processes: imports, --help, fast_dev_run",
    "kernels": "the attention kernels against each other over head widths and lengths",
    "lm": "our language models against transformers': tokens a second, bandwidth, a training step, memory of a long prompt",
    "seq2seq": "our translators against nn.Transformer, a loop by hand, transformers' Marian: training steps, decoding",
    "forecasting": "our forecasters against transformers': training steps; growth of ProbSparse; what loading costs",
    "gat": "our graph attention against PyTorch Geometric's: time, peak memory, growth, an epoch on Cora",
}


def make_parser() -> argparse.ArgumentParser:
    """The command line: a benchmark and its options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, help_ in BENCHMARKS.items():
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument("--out", type=Path, help="JSON file; default: one under benchmarks/results/")
        command.add_argument("--resume", action="store_true", help="measure only rows that are not in the file")
        command.add_argument(
            "--keep-memory", action="store_true", help="keep freed memory, as train.py does; default: bare Python"
        )
        import_module(f"benchmarks.{name}").add_arguments(command)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run one benchmark: a table on the terminal, JSON under benchmarks/results/."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.keep_memory:
        machine.keep_freed_memory()
        os.environ |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}  # for processes that it starts
    if threads := getattr(args, "threads", None):
        import torch

        torch.set_num_threads(threads)
    try:
        import_module(f"benchmarks.{args.benchmark}").run(args)
    except ZooError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
