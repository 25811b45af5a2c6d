"""metrics.csv: one row for each time something was logged, kept through a resume."""

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from zoo.files import write_text


class CSVLogger(Logger):
    """Append to <folder>/metrics.csv, columns epoch, step, then the metrics in order of appearance.

    Lightning's own logger deletes the file where it finds one, so a resumed run would lose its curve, and it keeps up
    to 100 rows in memory. Rows that a killed run logged after its last checkpoint are dropped when the resumed run
    comes to the same step.
    """

    def __init__(self, folder: str):
        super().__init__()
        self.file = Path(folder) / "metrics.csv"
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Part of Lightning's interface; the folder is the name."""
        return ""

    @property
    def version(self) -> str:
        """Likewise."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.file.parent)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write one row."""
        metrics = dict(metrics)
        row = {"epoch": int(metrics.pop("epoch", 0)), "step": step, **metrics}
        if self._columns is None:
            self._columns = self._take_over(step or 0)
        new = [name for name in row if name not in self._columns]
        if new:
            rows = self._read()
            self._columns += new
            write_text(self.file, self._text([*rows, row], header=True))
        else:
            with open(self.file, "a", encoding="utf-8", newline="") as file:
                file.write(self._text([row], header=False))

    def _take_over(self, step: int) -> list[str]:
        """The columns of a file that is there already, without its rows from `step` on."""
        if not self.file.exists():
            return []
        rows = self._read()
        self._columns = list(rows[0]) if rows else []
        kept = [row for row in rows if int(row["step"]) < step]
        write_text(self.file, self._text(kept, header=True))
        return self._columns

    def _read(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        with open(self.file, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _text(self, rows: list[dict[str, Any]], header: bool) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns or [], lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
