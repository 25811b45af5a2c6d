"""Pairs of sequences: one is read, the other said."""

from datamodules.pairs.batches import PairBatch
from datamodules.pairs.corpus import PairCorpus
from datamodules.pairs.files import PairFiles
from datamodules.pairs.module import PairData
from datamodules.pairs.multi30k import Multi30k
from datamodules.pairs.reverse import Reverse

__all__ = ["Multi30k", "PairBatch", "PairCorpus", "PairData", "PairFiles", "Reverse"]
