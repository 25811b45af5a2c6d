"""Who is where: `data=stories`, made in code as task 1 of bAbI (Weston et al. 2016), in Portuguese."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from datamodules.sampling import generator
from datamodules.splits import STAGES
from datamodules.text.questions import Question, QuestionCorpus, QuestionData
from zoo.declared import declared
from zoo.errors import ZooError

PEOPLE = ("Maria", "João", "Ana", "Pedro")
#: Place, and what stands before it behind "para", "até".
PLACES = {"cozinha": "a", "sala": "a", "varanda": "a", "jardim": "o", "quarto": "o", "escritório": "o"}
WAYS = ("foi para", "andou até", "voltou para", "correu para")
SHORTEST, LONGEST = 2, 6  # sentences
DRAWN = 2 + 3 * LONGEST  # numbers that make a story


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Stories(QuestionData):
    """Stories of 2 to 6 sentences about 4 people and 6 places, each with a question: where somebody is at the end.

        Maria foi para a cozinha. João andou até o jardim. Maria voltou para a sala.    Onde está Maria?    sala

    Each length, person, place and way to go is as likely. No story is in two parts, nor twice in one.

    Args:
        sizes: stories of training, validation and test.
        split_seed: what they are drawn from.

    Raises: ZooError for numbers that are none.
    """

    sizes: Sequence[int] = field(default_factory=lambda: [10_000, 1_000, 1_000])

    reference = "made in code (datamodules.text.Stories), after Weston et al. 2016, bAbI task 1"
    licence = "MIT"

    def __post_init__(self):
        super().__post_init__()
        counts = list(self.sizes) if isinstance(self.sizes, list | tuple) else []
        if len(counts) != 3 or any(type(n) is not int or n < 0 for n in counts) or not counts[0] or sum(counts) > 1e6:
            shown = counts or self.sizes
            raise ZooError(f"data.sizes={shown} is not three numbers of stories; give [10000, 1000, 1000].")

    def load(self) -> QuestionCorpus:
        draw, wanted = generator(self.split_seed), sum(self.sizes)
        found: dict[str, Question] = {}
        while len(found) < wanted:
            for numbers in torch.randint(2**31, (wanted, DRAWN), generator=draw).tolist():
                story, question = told(numbers, len(found))
                if len(found) < wanted:
                    found.setdefault(story, question)
        parts = torch.arange(wanted).split(list(self.sizes))
        splits = dict(zip(STAGES, parts, strict=True))
        return QuestionCorpus.of(list(found), list(found.values()), splits, "data=stories")


def told(numbers: Sequence[int], number: int) -> tuple[str, Question]:
    """A story and the question about it, of DRAWN whole numbers, by what is left of each when it is divided."""
    draw = iter(numbers)

    def one(options: Sequence[str]) -> str:
        return options[next(draw) % len(options)]

    sentences, at, last = list[str](), 0, dict[str, tuple[int, str]]()
    for _ in range(SHORTEST + next(draw) % (LONGEST - SHORTEST + 1)):
        person, way, place = one(PEOPLE), one(WAYS), one(tuple(PLACES))
        sentences.append(f"{person} {way} {PLACES[place]} {place}.")
        last[person] = (at + len(sentences[-1]) - len(place) - 1, place)
        at += len(sentences[-1]) + 1
    person = one(sorted(last))
    start, place = last[person]
    return " ".join(sentences), Question(str(number), number, f"Onde está {person}?", (place,), (start,))
