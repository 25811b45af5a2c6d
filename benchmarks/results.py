"""What was measured, kept as JSON: written after each row, so that an interrupted run loses nothing."""

import json
import os
import sys
from collections.abc import Iterable
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import load
from zoo.errors import ZooError
from zoo.files import write_text

FOLDER = Path(__file__).parent / "results"


class Results:
    """Rows by their key, and one entry for each time the tool was started on the file.

    {"benchmark", "sessions": [{"started", "ended", "load_before", "load_after", "threads", "versions", ...}],
     "rows": {key: {..., "session": index of the session that measured it}}}
    """

    def __init__(self, benchmark: str, path: Path | None = None, resume: bool = False, **settings: Any):
        self.path = path or FOLDER / f"{benchmark}_{date.today().isoformat()}.json"
        self.data: dict[str, Any] = {"benchmark": benchmark, "sessions": [], "rows": {}}
        if resume and self.path.exists():
            self.data = json.loads(self.path.read_text())
        session = {
            "started": _now(), "ended": None, "load_before": load(), "load_after": None,
            "threads": torch.get_num_threads(), "cpus": os.cpu_count(), "versions": versions(),
            "freed_memory": "kept" if os.environ.get("MALLOC_MMAP_MAX_") == "0" else "given back", **settings,
        }  # fmt: skip
        self.data["sessions"].append(session)
        how = f"{session['threads']} threads; freed memory {session['freed_memory']}"
        print(f"load average {session['load_before']}; {how}; {session['versions']}")

    @property
    def session(self) -> dict[str, Any]:
        """The entry of this start of the tool; what is put in it is written with the next row."""
        return self.data["sessions"][-1]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return self.data["rows"]

    def add(self, key: str, row: dict[str, Any]) -> None:
        self.rows[key] = {**row, "session": len(self.data["sessions"]) - 1}
        self.write()

    def close(self) -> None:
        """Note the load average and the time at the end."""
        self.session.update(load_after=load(), ended=_now())
        self.write()
        print(f"load average {self.session['load_after']}; written to {self.path}")

    def write(self) -> None:
        """Replace the file in one step: it is always whole."""
        write_text(self.path, json.dumps(self.data, indent=1) + "\n")


def chosen(keys: Iterable[str], only: str) -> list[str]:
    """The rows whose key begins as one of `only` says.

    Args:
        keys: of all rows.
        only: beginnings, by commas; "" is all.
    Raises: ZooError where none begins so.
    """
    keys = list(keys)
    if wanted := [key for key in keys if key.startswith(tuple(only.split(",")))]:
        return wanted
    more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
    raise ZooError(f"--only {only} is not a row, nor the beginning of one; there are {', '.join(keys[:8])}{more}.")


def versions() -> dict[str, str]:
    names = ("torch", "timm", "lightning", "torch-geometric", "transformers")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
