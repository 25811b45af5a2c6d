"""What the linear maps of a part are called in the field, also where several lie in one matrix."""

from typing import NamedTuple

#: queries, keys, values, output; of a feed-forward its two maps, and the gate of a gated one
NAMES = ("q", "k", "v", "o", "up", "gate", "down")


class Map(NamedTuple):
    """Rows start:stop of a module's Linear. A part that has such maps says so by a property `maps`, one of NAMES -> Map.

    linear: its name inside the module. start, stop: rows of its weight; stop None is the end.
    """

    linear: str
    start: int = 0
    stop: int | None = None


def side_by_side(linear: str, **rows: int) -> dict[str, Map]:
    """Maps in one matrix, one below the other: `side_by_side("qkv", q=64, k=32, v=32)`."""
    maps, start = {}, 0
    for name, count in rows.items():
        maps[name] = Map(linear, start, start + count)
        start += count
    return maps
