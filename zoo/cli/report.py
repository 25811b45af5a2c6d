"""Run a study: train or measure over a range of settings, print a table, draw a figure.

    python -m zoo report oversmoothing model=gat data=cora depths=2,4,8,16,32
    python -m zoo report oversmoothing              without more: GAT on the digits' graph, no download
    python -m zoo report baselines data=acm         logistic regression on the features, and on their means over neighbours
    python -m zoo report baselines data=python_docs   byte n-grams, gzip and xz; of texts with labels tf-idf of words and pairs
    python -m zoo report perplexity run=runs/<a run> path=book.txt context=256 stride=128
    python -m zoo report cache run=runs/<a run> path=book.txt    what keys and values cost and lose, policy by policy
    python -m zoo report coverage                   what of timm, transformers and PyTorch Geometric is converted
    python -m zoo report history                    an LSTM, Bahdanau, Luong, the Transformer: same batches, same updates
    python -m zoo report adapters                   what LoRA recovers of full fine-tuning, on tinyshakespeare
    python -m zoo report senses                     words of two senses: one vector a word (Word2Vec), one a sentence (BERT)

oversmoothing: accuracy, MAD, MADGap and Dirichlet energy against depth, with and without what is said to help. Settings:
depths, seeds, variants (joined by +: residual+dropedge), epochs, patience, out; and whatever train.py takes of model,
data, task and trainer.
"""

import argparse
from importlib import import_module

from zoo.errors import ZooError, nearest
from zoo.reports import REPORTS


def arguments(parser: argparse.ArgumentParser) -> None:
    """A study, and key=value words for it."""
    parser.add_argument("study", help=f"one of {', '.join(REPORTS)}")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings of the study, and train.py's")


def run(options: argparse.Namespace) -> int | None:
    """Hand the words to the study; its exit code, where it has one."""
    if options.study not in REPORTS:
        raise ZooError(f"{options.study!r} is not a study; {nearest(options.study, REPORTS)}")
    return import_module(REPORTS[options.study]).run(options.words)
