"""Measure again what a model's card says: hashes, sizes and dtype of its files, its probe, and its figure on the real data.

    python -m zoo check gat.cora                   a name, an address, a model folder, or a run's folder; several
    python -m zoo check --all                      every model of the package and of ZOO_INDEX
    python -m zoo check --all --probe              hashes and probes alone, which need no data
    python -m zoo check runs/<a run> --data my.csv     of a run on data of yours: where they lie now
    python -m zoo check --all --json --strict      for programs; what was skipped counts

Figures are equal within one sample or .2 % of them, whichever is more, if they are shares of what is right, and within .1 % if
they are losses or errors. Exit code 0: all that was measured is equal; 1: something differs; 3 with --strict: something was
skipped. Data are looked for in ZOO_DATA, and downloaded as for a training unless ZOO_OFFLINE=1.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from zoo.console import table
from zoo.errors import ZooError, one_line

if TYPE_CHECKING:
    from zoo.training.checking import Row


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which models, how much of them."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a name, an address, a model folder, or a run's folder"
    )
    parser.add_argument("--all", action="store_true", help="every model that `list pretrained` shows")
    parser.add_argument("--probe", action="store_true", help="hashes and probes alone")
    parser.add_argument("--data", metavar="PATH", help="of a run on data of yours: where they lie")
    parser.add_argument("--json", action="store_true", help="print JSON, a list of models with their rows")
    parser.add_argument("--strict", action="store_true", help="exit with 3 where something was skipped")
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that NAME's config may name",
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print, and say by the exit code what came out."""
    from zoo.catalog import list_pretrained
    from zoo.training import checking

    names = [*options.names, *(list_pretrained() if options.all else ())]
    if not names:
        what = "there is no model to check" if options.all else "check takes a name, a folder, or --all"
        raise ZooError(f"{what}; python -m zoo list pretrained shows the names.")
    found: dict[str, list[Row]] = {}
    for name in names:
        found[name] = []
        try:
            for row in checking.check(name, at=options.data, metric=not options.probe, trust=options.trust):
                found[name].append(row)
        except ZooError as error:
            if len(names) == 1:
                raise
            found[name].append(checking.Row("model", None, None, None, checking.DIFFERENT, why=str(error)))
        if not options.json:
            _tell(name, found[name])
    if options.json:
        print(
            json.dumps(
                [{"model": name, "rows": [asdict(row) for row in rows]} for name, rows in found.items()], indent=2
            )
        )
    verdicts = {row.verdict for rows in found.values() for row in rows}
    if checking.DIFFERENT in verdicts:
        return 1
    return 3 if options.strict and checking.SKIPPED in verdicts else 0


def _tell(name: str, rows: "Sequence[Row]") -> None:
    cells = [
        (row.what, _said(row.stated), _said(row.measured), _said(row.difference), f"{row.seconds:.1f}", row.verdict)
        for row in rows
    ]
    table(cells, name, ("", "stated", "measured", "difference", "seconds", ""))
    for row in rows:
        if row.why:
            table([(f"{row.what} {row.verdict}:", one_line(row.why, 400))])


def _said(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
