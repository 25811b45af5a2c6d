"""The history line on one data set: an LSTM and a GRU without attention, Bahdanau, Luong, the Transformer of 2017.

    python -m zoo report history
    python -m zoo report history data=multi30k out=runs/reports/multi30k
    python -m zoo report history systems=seq2seq,bahdanau seeds=0,1 epochs=1 model.dim=64

Each system is trained on the same batches and for the same number of updates, at the size and with the recipe of
zoo.reports.history_systems; the weights of the epoch of least validation loss are tested. Told for each: parameters, updates,
minutes of processor time of the training, target tokens a second of it (by the clock: a busy machine shows), validation
perplexity, and BLEU, or of strings that are no words the per cent that are exactly right, with half the width of the 95 %
interval of 1,000 resamplings of the test rows. A figure shows quality against the length of the source.

Settings: data (default: reverse), systems, seeds, epochs, out, and whatever train.py takes of model, data, task, trainer,
recipe, tokenizer. In out= each finished system is a JSON file with all that it said; what is there is not trained again, so
that an interrupted study goes on, and two processes may share one. history.csv and history.png are made of the systems that
were asked for.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, nearest, one_line
from zoo.files import write_text
from zoo.reports.history_systems import SYSTEMS, same, train_one

GROUPS = ("model", "data", "task", "trainer", "recipe", "tokenizer")
RESAMPLES = 1000
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """See the head of the file."""

    data: str = "reverse"
    systems: tuple[str, ...] = tuple(SYSTEMS)
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    out: str | None = None
    changes: tuple[str, ...] = ()


def run(words: Sequence[str]) -> None:
    """Train what is not yet in the folder, print the table, write the CSV and the figure."""
    from zoo.console import console, table

    settings = read(words)
    folder = _folder(settings)
    _about(folder, settings)
    rows = []
    for seed in settings.seeds:
        for system in settings.systems:
            file = folder / f"{system}-{seed}.json"
            if not file.is_file():
                found = train_one(system, seed, settings.data, settings.epochs, settings.changes)
                about = _about(folder, settings)  # again: another process may have begun meanwhile
                write_text(folder / "settings.json", about)
                write_text(file, json.dumps(_scored(found), ensure_ascii=False, indent=1) + "\n")
            rows.append(_read(file))
            shown = ", ".join(
                f"{name} {value}" for name, value in zip(header(rows)[2:], cells(rows[-1])[2:], strict=True)
            )
            console().print(f"{system}, seed {seed}: {shown}", style="dim", soft_wrap=True)
    write_text(folder / "history.csv", as_csv(rows))
    draw(rows, folder / "history.png", _title(settings, rows))
    table(map(cells, rows), _title(settings, rows), header(rows))
    console().print(f"\nhistory.csv, history.png and a JSON file a system are in {folder}", soft_wrap=True)


def _scored(row: Row) -> Row:
    """With its quality on the whole test part."""
    from zoo.tasks.by_length import quality, score

    found = score(row["predictions"], row["in_words"], RESAMPLES)
    told = {"quality": quality(row["in_words"]), "value": found.value, "spread": found.spread}
    return {
        **{key: value for key, value in row.items() if key != "predictions"},
        **told,
        "predictions": row["predictions"],
    }


#: key of a row -> (title of its column, how it is written)
COLUMNS: dict[str, tuple[str, Any]] = {
    "system": ("system", str),
    "seed": ("seed", str),
    "parameters": ("parameters", "{:,}".format),
    "updates": ("updates", "{:,}".format),
    "cpu_minutes": ("CPU min", "{:.1f}".format),
    "tokens_per_second": ("target tokens/s", "{:,.0f}".format),
    "val_perplexity": ("val. perplexity", "{:.2f}".format),
}


def header(rows: Sequence[Row]) -> list[str]:
    """The titles of the columns."""
    return [*(title for title, _ in COLUMNS.values()), rows[0]["quality"]]


def cells(row: Row) -> list[str]:
    """A line of the table."""
    return [*(form(row[key]) for key, (_, form) in COLUMNS.items()), f"{row['value']:.1f} ± {row['spread']:.1f}"]


def as_csv(rows: Sequence[Row]) -> str:
    """The same with all digits, the epoch that was chosen, and the quality of each bin of lengths."""
    from zoo.tasks.by_length import bins, score

    lines = []
    for row in rows:
        by_length = {
            f"length {each.label}": score(each.rows, row["in_words"]).value
            for each in bins(row["predictions"], row["in_words"])
        }
        rest = {key: row[key] for key in ("epoch", "seconds", "test_perplexity", "value", "spread")}
        lines.append({**{key: row[key] for key in COLUMNS}, **rest, **by_length})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(key for line in lines for key in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def draw(rows: Sequence[Row], png: Path, title: str) -> Path:
    """Quality against the length of the source."""
    from zoo.inspect.lengths import Line, plot_by_length
    from zoo.tasks.by_length import bins, score

    in_words = rows[0]["in_words"]
    shared = bins(rows[0]["predictions"], in_words)
    lines = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        own = [bins(row["predictions"], in_words) for row in rows if row["system"] == system]
        values = [[score(each.rows, in_words).value for each in found] for found in own]
        lines[system] = Line(values, SYSTEMS[system].style)
    counts = [len(each.rows) for each in shared]
    how: Any = {"unit": "words" if in_words else "letters", "quality": rows[0]["quality"], "title": title}
    return plot_by_length(lines, [each.label for each in shared], counts, png, **how)


def read(words: Sequence[str]) -> Settings:
    """Settings from key=value words. Raises: ZooError for a word that is none, or a value that cannot be."""
    known = [each.name for each in fields(Settings) if each.name != "changes"]
    given: dict[str, Any] = {}
    changes = []
    for word in words:
        key, equals, value = word.partition("=")
        parts = tuple(dict.fromkeys(part.strip() for part in value.strip("[]()").split(",") if part.strip()))
        if equals and key not in known and key.lstrip("+~").partition(".")[0] in GROUPS:
            if key in ("model", "trainer.max_epochs"):
                raise ZooError(
                    f"{word}: this study says that itself; give {'systems' if key == 'model' else 'epochs'}=."
                )
            changes.append(word)
        elif not equals or key not in known:
            raise ZooError(f"{word!r} is not a setting of this study; {nearest(key, [*known, *GROUPS])}")
        elif key in ("seeds", "epochs"):
            if not parts or not all(part.isascii() and part.isdecimal() for part in parts):
                raise ZooError(f"{word}: whole numbers are meant, such as {key}={'0,1,2' if key == 'seeds' else '4'}.")
            given[key] = tuple(map(int, parts)) if key == "seeds" else int(value)
            if key == "epochs" and not given[key]:
                raise ZooError("epochs=0 trains nothing; give 1 or more.")
        elif key == "systems":
            if wrong := [part for part in parts if part not in SYSTEMS] or (not parts and [value]):
                raise ZooError(f"systems: {wrong[0]!r} is unknown; {nearest(wrong[0], SYSTEMS)}")
            given[key] = parts
        else:
            given[key] = value
    return Settings(**given, changes=tuple(changes))


def _title(settings: Settings, rows: Sequence[Row]) -> str:
    many = f"seeds {', '.join(map(str, settings.seeds))}" if len(settings.seeds) > 1 else f"seed {settings.seeds[0]}"
    return f"{settings.data}, {rows[0]['updates']:,} updates, {many}, {len(rows[0]['predictions']):,} test rows"


def _folder(settings: Settings) -> Path:
    from zoo.training.folders import stamp

    return Path(settings.out or Path("runs", "reports", f"{stamp()}_history_{settings.data}")).absolute()


def _about(folder: Path, settings: Settings) -> str:
    """What settings.json of the folder says. Raises: ZooError where it holds a study that was made otherwise."""
    file, wanted = folder / "settings.json", same(settings.data, settings.epochs, settings.changes)
    if file.is_file() and (found := _read(file)) != wanted:
        raise ZooError(f"{folder} holds a study of other settings ({found}); choose another out=.")
    return json.dumps(wanted, indent=1) + "\n"


def _read(file: Path) -> Any:
    """What a study has written. Raises: ZooError for what is no JSON object."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ZooError(f"{file} cannot be read ({one_line(error, 100)}); remove it, and it is made again.") from error
    if not isinstance(found, dict):
        raise ZooError(f"{file} holds a {type(found).__name__}, which this study never wrote; remove it.")
    return found
