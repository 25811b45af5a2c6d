"""Real data for the tests: what ships with scikit-learn, and the shared folder where there is one."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datamodules.images import Digits
from datamodules.splits import at_random
from datamodules.text import Corpus, Text, TextData

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data folder: ZOO_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("ZOO_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "FashionMNIST").is_dir():
        pytest.skip(f"no data in {folder}; set ZOO_DATA to a folder with FashionMNIST and cifar10-jpeg")
    return folder


@pytest.fixture
def digits():
    """A digits module that is ready: digits(batch_size=...)."""

    def make(**options) -> Digits:
        module = Digits(**options)
        module.setup()
        return module

    return make


@dataclass(kw_only=True, eq=False, repr=False)
class Alphabet(TextData):
    """Letters in an order that never repeats for long, as documents of 50."""

    folder: str = "."
    context: int = 8
    letters: int = 2000

    def load(self) -> Corpus:
        letters = np.random.default_rng(0).integers(97, 123, self.letters, dtype=np.uint8).tobytes().decode()
        texts = [Text(letters[first : first + 50]) for first in range(0, len(letters), 50)]
        return Corpus(texts, at_random(len(texts), [0.8, 0.1, 0.1], 0))


@pytest.fixture
def alphabet(tmp_path):
    """A module of text that is ready: alphabet(batch_size=...)."""

    def make(**options) -> Alphabet:
        module = Alphabet(cache=str(tmp_path / "cache"), **options)
        module.setup()
        return module

    return make


@pytest.fixture
def processes():
    """A stand-in for the trainer of one of several processes."""

    def make(rank: int, world: int) -> SimpleNamespace:
        return SimpleNamespace(global_rank=rank, world_size=world, overfit_batches=0)

    return make


@pytest.fixture
def folder(tmp_path):
    """A folder of class folders with `count` images of random colours in each: folder("train", count=10)."""

    def make(part: str = "", classes: tuple[str, ...] = ("cat", "dog"), count: int = 10) -> Path:
        random = np.random.default_rng(0)
        for name in classes:
            where = tmp_path / "pictures" / part / name
            where.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(where / f"{number:03}.png")
        return tmp_path / "pictures"

    return make
