"""Pairs of sequences: one is read, the other said."""

from datamodules.pairs.batches import PairBatch
from datamodules.pairs.corpus import PairCorpus
from datamodules.pairs.module import PairData
from datamodules.pairs.reverse import Reverse

__all__ = ["PairBatch", "PairCorpus", "PairData", "Reverse"]
