"""What of other libraries `zoo.convert` takes, counted: each name is converted, refused by an option's name, or wrong.

    python -m zoo report coverage                        all of them, into docs/coverage.md
    python -m zoo report coverage only=timm              one of them; what the page says of the others stays
    python -m zoo report coverage only=timm names="vit_*siglip*" out=siglip.md

timm: every name of vit_*, deit*, beit*, eva*, and of its vision_transformer.py and deit.py; transformers: every causal class of
AutoModelForCausalLM; transformers_pairs: every encoder-decoder of its AutoModelForSeq2SeqLM; pyg: every layer with attention of
PyTorch Geometric. Weights are random, none of them left at zero or one. A model is built small where its constructor allows it;
a timm name is first looked at in its own size, without memory. Converted means that ours gives the same numbers for inputs that
the conversion has not seen: at most 1e-4 apart, of numbers above 1 at most 1e-4 of the largest. Exit code 1 where one is wrong.
Settings: only, names, out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

from zoo.console import table
from zoo.errors import ZooError, nearest
from zoo.files import write_text
from zoo.reports.coverage import page
from zoo.reports.coverage.rows import RESULTS, Row
from zoo.reports.settings import read_settings

#: library -> the module that has `names()` and `judge(name) -> Row`
LIBRARIES = {name: f"zoo.reports.coverage.of_{name}" for name in ("timm", "transformers", "transformers_pairs", "pyg")}


@dataclass(frozen=True)
class Settings:
    """See the head of the file."""

    only: tuple[str, ...] = ()
    names: tuple[str, ...] = ("*",)
    out: str = "docs/coverage.md"


def run(words: Sequence[str]) -> int:
    """Look at each name, write the page, print the counts."""
    settings = read_settings(words, Settings)
    for library in settings.only:
        if library not in LIBRARIES:
            raise ZooError(f"only={library} is not a library of this report; {nearest(library, LIBRARIES)}")
    out = Path(settings.out)
    rows = page.read(out.read_text(encoding="utf-8")) if out.is_file() else {}
    for library in settings.only or LIBRARIES:
        found = list(look(library, settings.names, print))
        kept = (
            []
            if settings.names == ("*",)
            else [row for row in rows.get(library, []) if not _asked(row.name, settings.names)]
        )
        rows[library] = sorted(kept + found, key=lambda row: row.name)
        write_text(out, page.write({name: rows[name] for name in LIBRARIES if name in rows}))
    table(page.counts(rows), f"random weights; in {out}", ("of", "names", *RESULTS))
    return int(any(row.result == "wrong" for each in rows.values() for row in each))


def look(
    library: str, names: Sequence[str] = ("*",), tell: Callable[[str], object] = lambda line: None
) -> Iterator[Row]:
    """A row for each name of a library that one of the patterns is of; `tell` is called with a line that says how far it is."""
    module = import_module(LIBRARIES[library])
    wanted = [name for name in module.names() if _asked(name, names)]
    for i, name in enumerate(wanted, 1):
        row = module.judge(name)
        if row.result != "converted" or i % 25 == 0:
            tell(f"{library} {i}/{len(wanted)} {name}: {row.result} {row.why}")
        yield row


def _asked(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
