"""What README.md and docs/ hold: Python blocks with the output they claim, and command lines."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\s*^```(?:text)?\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL
)
#: a line of an indented block, continued by a backslash
LINE = re.compile(r"^ {4}(python (?:train\.py|-m (?:zoo|benchmarks)) (?:.*\\\n)*.*)", re.MULTILINE)
INLINE = re.compile(r"`(python (?:train\.py|-m zoo|-m benchmarks) [^`]*)`")


class Block(NamedTuple):
    """A Python block; what stands in the block of output right below it, or None."""

    code: str
    output: str | None


def blocks(page: Path) -> list[Block]:
    return [Block(*match.group("code", "output")) for match in PYTHON.finditer(page.read_text())]


def commands(page: Path) -> list[str]:
    text = page.read_text()
    return list(dict.fromkeys(line.replace("\\\n", " ") for line in LINE.findall(text) + INLINE.findall(text)))
