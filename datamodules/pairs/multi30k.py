"""Sentences about pictures in English and German: `data=multi30k`."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

from datamodules.base import one_of
from datamodules.files import obtain
from datamodules.pairs.corpus import PairCorpus
from datamodules.pairs.lines import read_both
from datamodules.pairs.module import PairData
from datamodules.splits import STAGES
from zoo.declared import declared

FOLDER = "multi30k/task1/raw"
URL = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/"
#: Part and language -> sha256 of its .gz.
FILES = {
    "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "test_2016_flickr.de": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2017_flickr.de": "a2c89666db00c495cd8513b9d708d5a3acc205d7de312ef2bf5fb7ebc1540aee",
    "test_2017_flickr.en": "76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074",
    "test_2017_mscoco.de": "799e4854c25d601cb6cb6be29eabe5667734c61ace2f495e03e429031a0bc338",
    "test_2017_mscoco.en": "aab300bfb4427697987e02cd0aacd44bfe8aa50456231b6474c08038bbed2b58",
    "test_2018_flickr.de": "ddd0130c7d97482dc5197a02141dae8dd79f20f03586c480d675c09a32daf608",
    "test_2018_flickr.en": "ef4f4844037d4c5dea75c9a8ed5fd78905967a26f67c255e230cc9780032654d",
}
DIRECTIONS = ("de-en", "en-de")
TESTS = tuple(dict.fromkeys(name.partition(".")[0] for name in FILES if name.startswith("test")))


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Multi30k(PairData):
    """Descriptions of pictures in English and their translations to German (Elliott et al. 2016, task 1, raw sentences):
    29,000 pairs for training, 1,014 for validation, 1,000 of 2016 for the test.

    Args:
        direction: "de-en" or "en-de": from which language to which.
        test: which of the set's test parts: test_2016_flickr, test_2017_flickr, test_2017_mscoco, test_2018_flickr.

    Raises: ZooError for another direction or test part, or a file that is not the set's by its hash.
    """

    direction: str = "de-en"
    test: str = "test_2016_flickr"
    tokenizer: Any = field(default_factory=lambda: {"kind": "bpe", "vocab_size": 4000})
    usual_size = 4000
    buckets: int = 50

    reference = "Elliott et al. 2016, github.com/multi30k/dataset"
    licence = "none stated"

    def __post_init__(self):
        super().__post_init__()
        one_of(self.direction, "direction", DIRECTIONS)
        one_of(self.test, "test", TESTS)

    def load(self) -> PairCorpus:
        languages = self.direction.split("-")
        sides: tuple[list[str], list[str]] = [], []
        ends = [0]
        for part in ("train", "val", self.test):
            names = [f"{part}.{language}" for language in languages]
            found = [
                obtain(f"{FOLDER}/{name}.gz", [f"{URL}{name}.gz"], self.search_paths, FILES[name]) for name in names
            ]
            for side, lines in zip(sides, read_both(*found), strict=True):
                side += [line.strip() for line in lines]  # some of the German ones have a space at an end
            ends.append(len(sides[0]))
        rows = [torch.arange(begin, end) for begin, end in pairwise(ends)]
        return PairCorpus(*sides, dict(zip(STAGES, rows, strict=True)))
