"""The place of old: `Preprocess` stands in zoo/preprocess.py, which data modules may know too."""

from zoo.preprocess import Preprocess

__all__ = ["Preprocess"]
