"""Entities as tags of words."""

import pytest

from zoo.text.entities import Entity, as_iob2, entities, is_tag


@pytest.mark.parametrize(
    "given, iob2",
    [
        ("I-A I-A B-A I-A O I-B", "B-A I-A B-A I-A O B-B"),  # IOB1
        ("B-A I-A B-A O B-B I-B", "B-A I-A B-A O B-B I-B"),  # IOB2 stays
        ("I-A I-B I-B-C B-B-C", "B-A B-B B-B-C B-B-C"),
        ("O O", "O O"),
    ],
)
def test_iob1_becomes_iob2(given, iob2):
    assert as_iob2(given.split()) == iob2.split()
    assert as_iob2(iob2.split()) == iob2.split()


def test_entities_are_those_of_seqeval():
    """Of what is IOB2 already; kinds may hold a hyphen."""
    from seqeval.scheme import IOB2, Entities

    tags = ["B-A", "I-A", "O", "B-B-C", "B-B-C", "I-B-C", "I-B-C", "O", "B-A"]
    (theirs,) = Entities([tags], scheme=IOB2).entities
    assert entities(tags) == [Entity(each.tag, each.start, each.end) for each in theirs]


def test_what_is_no_tag_is_outside():
    assert not any(map(is_tag, ["", "B-", "I", "X-A", "o", "NN"])) and is_tag("B-A") and is_tag("O")
    assert entities(["NN", "I-A", "", "B-A"]) == [Entity("A", 1, 2), Entity("A", 3, 4)]
