"""docs/coverage.md: counts on top, then a table a library. It is read back, so that one library can be looked at again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from zoo.reports.coverage.rows import RESULTS, Row

TITLES = {
    "timm": "timm: `vit_*`, `deit*`, `beit*`, `eva*`, and its vision_transformer.py and deit.py",
    "transformers": "transformers: the causal classes of AutoModelForCausalLM",
    "transformers_pairs": "transformers: the encoder-decoders of AutoModelForSeq2SeqLM",
    "pyg": "PyTorch Geometric: layers with attention",
}
#: what an issue of this project counts by itself
PLAIN_VITS = ("vision_transformer", "deit")
HEAD = """# What is converted

`zoo.convert` turns models of timm, transformers and PyTorch Geometric into ours. Written by `python -m zoo report coverage`
with {versions}: each name is built small with random weights, converted, and held against the original on
inputs that the conversion has not seen. *Converted*: at most 1e-4 apart (the figure beside it). *Refused*: a sentence names the
option or class that ours does not have. *Wrong*: converted, and not the same.

"""
ROW = re.compile(r"^\| `(.+?)` \| (.*?) \| (converted|refused|wrong|not built) \| (.*?) \|$", re.M)


def write(rows: Mapping[str, Sequence[Row]]) -> str:
    """The page."""
    parts = [HEAD.format(versions=versions(rows)), _table(("of", "names", *RESULTS), counts(rows))]
    for library, each in rows.items():
        parts.append(f"\n## {TITLES[library]}\n\n<!-- {library} -->\n")
        if refused := Counter(row.why for row in each if row.result == "refused"):
            parts.append(_table(("refused by", "names"), [(why, str(n)) for why, n in refused.most_common()]) + "\n")
        parts.append(_table(("name", "there", "here", "by, or apart"), [(f"`{r.name}`", *r[1:]) for r in each]))
    return "".join(parts)


def read(text: str) -> dict[str, list[Row]]:
    """The rows of a page by library; what is no page has none."""
    sections = re.split(r"<!-- (\w+) -->\n", text)[1:]
    return {
        library: [Row(*map(_plain, row)) for row in ROW.findall(body)]
        for library, body in zip(*[iter(sections)] * 2, strict=False)
    }


def counts(rows: Mapping[str, Sequence[Row]]) -> list[tuple[str, ...]]:
    """A line a library, and one for timm's vision_transformer.py and deit.py alone."""
    lines = []
    for library, each in rows.items():
        lines.append(_count(library, each))
        if plain := [row for row in each if row.kind in PLAIN_VITS]:
            lines.append(_count("timm's vision_transformer.py and deit.py", plain))
    return lines


def versions(rows: Mapping[str, Sequence[Row]]) -> str:
    """The releases that were looked at, as they are installed."""
    from importlib.metadata import version

    packages = {"pyg": "torch_geometric", "transformers_pairs": "transformers"}
    return ", ".join(f"{name} {version(name)}" for name in dict.fromkeys(packages.get(name, name) for name in rows))


def _count(of: str, rows: Sequence[Row]) -> tuple[str, ...]:
    found = Counter(row.result for row in rows)
    share = f"{found['converted']} ({100 * found['converted'] / max(len(rows), 1):.0f} %)"
    return of, str(len(rows)), share, *(str(found[result]) for result in RESULTS[1:])


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in line] for line in lines)]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _plain(cell: str) -> str:
    return cell.replace("\\|", "|")
