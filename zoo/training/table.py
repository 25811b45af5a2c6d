"""The table at the end of a sweep: a row a job, and mean and standard deviation over seeds."""

import csv
import io
import json
import logging
import sys
import traceback
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from zoo.files import write_text
from zoo.training.folders import ended, summary

log = logging.getLogger(__name__)
#: What `Task.counted` logs: how many were tested, which compares no jobs.
COUNTS = ("test/samples", "test/tokens")


class SweepTable(Callback):
    """Print the table, keep it as sweep.csv in the sweep's folder, and end with an error if a job failed (A4)."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            failure = self.end(Path(config.hydra.sweep.dir))
        except Exception:  # Hydra would only log it and exit with 0
            failure = traceback.format_exc()
        if failure:
            print(failure, file=sys.stderr)
            sys.exit(1)  # Hydra swallows a callback's exceptions, not this

    def end(self, folder: Path) -> str | None:
        """Write and show the table; the sentence about the jobs that failed, if any did."""
        jobs = read_jobs(folder)
        if not jobs:
            return f"error: {folder} holds no job with a .hydra/hydra.yaml, so nothing tells how the sweep went."
        rows = jobs + over_seeds(jobs)
        write_text(folder / "sweep.csv", as_csv(rows))
        show(rows, folder)
        failed = [row for row in jobs if row["status"] != "finished"]
        if not failed:
            return None
        names = "; ".join(f"{row['job']} ({_text(row, _varied(jobs))})" for row in failed)
        return f"error: {len(failed)} of {len(jobs)} jobs failed: {names}. Why is in {folder}/<job>/train.log."


def read_jobs(folder: Path) -> list[dict[str, Any]]:
    """One row for each job in a sweep's folder, by number: job, overrides, metrics, status, folder.

    The folder's name is the user's choice (hydra.sweep.subdir), so the number is read from what Hydra wrote into it.
    """
    numbers = {path: OmegaConf.load(path).hydra.job.num for path in folder.rglob(".hydra/hydra.yaml")}
    rows = []
    for path in sorted(numbers, key=lambda path: int(numbers[path])):
        job, given = path.parents[1], OmegaConf.load(path.with_name("overrides.yaml"))
        overrides = dict(o.lstrip("+").split("=", 1) for o in map(str, given) if "=" in o)
        finished = json.loads(summary(job).read_text())["metrics"] if summary(job).exists() else None
        well = finished is not None or ended(job).exists()
        row = {"job": str(job.relative_to(folder)), "overrides": overrides, "metrics": _main(finished or {})}
        rows.append(row | {"status": "finished" if well else "failed", "folder": str(job)})
    return rows


def over_seeds(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of mean and standard deviation of finished jobs that differ in `seed` only."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in jobs:
        key = tuple(sorted((name, value) for name, value in row["overrides"].items() if name != "seed"))
        if row["status"] == "finished":
            groups.setdefault(key, []).append(row)
    rows = []
    for key, group in groups.items():
        if len(group) < 2:
            continue
        for name, function in (("mean", mean), ("std", stdev)):
            names = [m for m in group[0]["metrics"] if all(m in row["metrics"] for row in group)]
            metrics = {m: function([row["metrics"][m] for row in group]) for m in names}
            overrides = {**dict(key), "seed": f"{len(group)} seeds"}
            rows.append({"job": name, "overrides": overrides, "metrics": metrics, "status": "", "folder": ""})
    return rows


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The table as text of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *_names(rows, "overrides"), *_names(rows, "metrics"), "status", "folder"])
    for row in rows:
        cells = [row[part].get(name, "") for part in ("overrides", "metrics") for name in _names(rows, part)]
        writer.writerow([row["job"], *cells, row["status"], row["folder"]])
    return text.getvalue()


def show(rows: list[dict[str, Any]], folder: Path) -> None:
    """The table on the terminal; what all jobs have in common is left out, that they finished too."""
    from rich.console import Console
    from rich.table import Table

    varied = _varied(rows)
    table = Table(title="Sweep", title_justify="left")
    metrics = _names(rows, "metrics")
    status = {row["status"] for row in rows} - {"finished", ""}
    for name in ("job", *varied, *metrics, *(["status"] if status else [])):
        table.add_column(name.replace("/", "/\n"), overflow="fold")
    for row in rows:
        cells = [row["job"], *(str(row["overrides"].get(name, "")) for name in varied)]
        cells += [f"{row['metrics'][name]:.4f}" if name in row["metrics"] else "" for name in metrics]
        table.add_row(*cells, *([row["status"]] if status else []))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Kept as {folder / 'sweep.csv'}", soft_wrap=True)


def _main(metrics: dict[str, float]) -> dict[str, float]:
    """What was tested; what was validated where nothing was."""
    for part in ("test/", "val/", ""):
        found = {name: value for name, value in metrics.items() if name.startswith(part) and name not in COUNTS}
        if found:
            return found
    return {}


def _names(rows: list[dict[str, Any]], part: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[part]))


def _varied(rows: list[dict[str, Any]]) -> list[str]:
    """Overrides that not all jobs have in common."""
    values = {name: {row["overrides"].get(name) for row in rows} for name in _names(rows, "overrides")}
    return [name for name, found in values.items() if len(found) > 1]


def _text(row: dict[str, Any], names: list[str]) -> str:
    return " ".join(f"{name}={row['overrides'][name]}" for name in names if name in row["overrides"])
