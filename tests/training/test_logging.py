"""metrics.csv through interruptions."""

import csv

from zoo.training.csv_logger import CSVLogger


def read(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_grow_as_metrics_appear(tmp_path):
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"epoch": 0, "a": 1.0}, 3)
    logger.log_metrics({"epoch": 0, "b": 2.0}, 3)
    logger.log_metrics({"epoch": 1, "a": 0.5, "b": 1.0}, 7)
    assert [list(row.values()) for row in read(tmp_path)] == [
        ["0", "3", "1.0", ""],
        ["0", "3", "", "2.0"],
        ["1", "7", "0.5", "1.0"],
    ]


def test_rows_after_the_checkpoint_are_written_once(tmp_path):
    killed = CSVLogger(str(tmp_path))
    for step in range(5):
        killed.log_metrics({"a": float(step)}, step)
    resumed = CSVLogger(str(tmp_path))
    for step in range(3, 6):
        resumed.log_metrics({"a": float(step), "late": 1.0}, step)
    assert [row["step"] for row in read(tmp_path)] == list("012345")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
