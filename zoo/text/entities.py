"""Entities as tags of words: B-PER begins one, I-PER goes on with it, O is outside (Ramshaw and Marcus 1995; IOB2)."""

from collections.abc import Sequence
from typing import NamedTuple

#: The tag of a word that is in no entity.
OUTSIDE = "O"


class Entity(NamedTuple):
    """Words first to end - 1 are a `kind`."""

    kind: str
    first: int
    end: int


def is_tag(tag: str) -> bool:
    """Whether it is O, or B- or I- and a kind."""
    return tag == OUTSIDE or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def as_iob2(tags: Sequence[str]) -> list[str]:
    """Tags in which every entity begins with B-: an I- that goes on with nothing of its kind begins one, as it does in IOB1.
    What is IOB2 stays as it is."""
    made, inside = list[str](), ""
    for tag in tags:
        kind = tag[2:]
        made.append(f"B-{kind}" if tag != OUTSIDE and tag[0] == "I" and kind != inside else tag)
        inside = kind
    return made


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of tags, read as `as_iob2` does; what is no such tag is outside."""
    found = list[Entity]()
    for i, tag in enumerate(as_iob2([tag if is_tag(tag) else OUTSIDE for tag in tags])):
        if tag[0] == "B":
            found.append(Entity(tag[2:], i, i + 1))
        elif tag != OUTSIDE:
            found[-1] = found[-1]._replace(end=i + 1)
    return found
