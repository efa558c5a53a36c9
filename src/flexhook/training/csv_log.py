"""metrics.csv: one row per logged step, kept across a resumed run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from flexhook.structures.files import atomic_write


class CSVLog(Logger):
    """Writes ``metrics.csv`` in a folder, columns as they come up, rows in the order of steps.

    It goes on with the rows that the file has; :func:`keep_rows` leaves in it those that a resumed run does not log again.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.rows = _read(self.path) if self.path.is_file() else {}

    @property
    def name(self) -> str:
        """Lightning's name of the log."""
        return ""

    @property
    def version(self) -> str:
        """Lightning's version of the log."""
        return ""

    @property
    def log_dir(self) -> str:
        """The run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration lies in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add values to a step's row."""
        step = 0 if step is None else step
        self.rows.setdefault(step, {"step": step}).update({k: float(v) for k, v in metrics.items()})

    @rank_zero_only
    def save(self) -> None:
        """Write the file whole."""
        _write(self.path, self.rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self.rows:
            self.save()


def keep_rows(source: Path, target: Path, before: int) -> None:
    """Leave a log's rows before a step as the beginning of a resumed run's log.

    Args:
        source: The metrics.csv of the run so far; it may be missing.
        target: The resumed run's; it may be the same.
        before: Steps done in the checkpoint that the run resumes from.
    """
    if source.is_file():
        _write(target, {step: row for step, row in _read(source).items() if step < before})


def _read(path: Path) -> dict[int, dict[str, float]]:
    with open(path, newline="") as stream:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(stream)]
    return {int(row["step"]): {**row, "step": int(row["step"])} for row in rows}


def _write(path: Path, rows: dict[int, dict[str, float]]) -> None:
    columns = list(dict.fromkeys(["step", "epoch", *(name for row in rows.values() for name in sorted(row))]))
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows[k] for k in sorted(rows))
