"""Draw a pattern, a score or a position as a PNG.

    python -m zoo show pattern=window pattern.size=4
    python -m zoo show score=additive n=24 out=additive.png
    python -m zoo show position=rope position.base=100 head_dim=64
    python -m zoo show pattern=edges n=24                  on a graph of 24 points; positions of graphs on a grid

Any yaml in conf/pattern, conf/score or conf/position is drawn by its name, your own too. Settings of the example:
n (tokens), heads, head_dim, prefix (class and register tokens of a 2-D position), seed, out (the file).
"""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo import conf
from zoo.errors import ZooError, nearest

AXES = ("pattern", "score", "position")
#: The same keys as training's config has them, so that they can be pasted.
LONG = {"model.attention.pattern": "pattern", "model.attention.score": "score", "model.position": "position"}
#: Tokens where `n` is not given: a position shows what it does over longer distances.
TOKENS = {"pattern": 16, "score": 16, "position": 64}


def arguments(parser: argparse.ArgumentParser) -> None:
    """key=value words, as train.py takes them."""
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE", help="pattern=, score= or position=, and settings")


def run(options: argparse.Namespace) -> None:
    """One picture for each part that was named."""
    chosen, changes, settings = read(options.words)
    out = settings.pop("out", None)
    if out and len(chosen) > 1:
        raise ZooError(f"out={out} is one file for {len(chosen)} pictures ({', '.join(chosen)}); leave it out.")
    for axis, name in chosen.items():
        config = conf.compose(axis, name, [c for c in changes if c.split(".")[0].lstrip("+~") == axis])
        print(draw(axis, config, {"n": TOKENS[axis], **settings}, Path(out or f"{axis}-{name}.png")))


def draw(axis: str, config: dict[str, Any], settings: dict[str, int], png: Path) -> Path:
    """Build the part with what it needs to know, draw it, and write the file whole."""
    import torch

    from zoo.attention import build, make_pattern
    from zoo.config import instantiate
    from zoo.inspect.draw.sizes import Sizes
    from zoo.inspect.plots import save

    sizes = Sizes(**settings)
    torch.manual_seed(sizes.seed)  # for parameters that start at random
    part = instantiate(config)
    part = make_pattern(part, **sizes.facts) if axis == "pattern" else build(part, **sizes.facts)
    if png.suffix.lower() != ".png":
        raise ZooError(f"out={png} is not a .png file; name one.")
    return save(import_module(f"zoo.inspect.draw.{axis}").draw(part, sizes), png).absolute()


def read(words: Sequence[str]) -> tuple[dict[str, str], list[str], dict[str, Any]]:
    """The parts chosen (axis -> name), changes to them for Hydra, settings of the example."""
    chosen: dict[str, str] = {}
    changes: list[str] = []
    settings: dict[str, Any] = {}
    numbers = ("n", "heads", "head_dim", "prefix", "seed")
    for word in words:
        key, equals, value = word.partition("=")
        long = next((prefix for prefix in LONG if key.lstrip("+~").startswith(prefix)), None)
        if long:
            key = key.replace(long, LONG[long])
        root = key.lstrip("+~").split(".")[0]
        if not equals:
            ways = [f"{axis}={name}" for axis in AXES for name in conf.options(axis)]
            raise ZooError(f"{word!r} is not key=value; {nearest(word, ways)}")
        if key in AXES:
            chosen[key] = value
        elif root in AXES:
            changes.append(f"{key}={value}")
        elif key == "out":
            settings[key] = value
        elif key in numbers:
            settings[key] = _number(key, value)
        else:
            raise ZooError(f"{key!r} is neither a part to draw nor a setting; {nearest(key, [*AXES, *numbers, 'out'])}")
    roots = {change.lstrip("+~").split(".")[0] for change in changes}
    if not chosen or roots - chosen.keys():
        axis = min(roots - chosen.keys(), default="pattern")
        raise ZooError(f"Name what to draw, {axis}=<one of {', '.join(conf.options(axis))}>.")
    return chosen, changes, settings


def _number(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ZooError(f"{key}={value} is not a whole number.") from None
