"""metrics.csv: one row per logged step, kept across a resumed run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from flexhook.structures.whole_files import whole_file


class CSVLog(Logger):
    """Writes ``metrics.csv`` in a folder, columns as they come up, rows in the order of steps.

    A run that resumes from a checkpoint keeps the rows up to the checkpoint's step and drops later ones, so that the file
    ends like an uninterrupted run's.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.rows: dict[int, dict[str, float]] = {}
        self._resumed = False

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
        if not self._resumed:
            self._take_over(step)
        self.rows.setdefault(step, {"step": step}).update({k: float(v) for k, v in metrics.items()})

    @rank_zero_only
    def save(self) -> None:
        """Write the file whole."""
        columns = list(dict.fromkeys(["step", "epoch", *(name for row in self.rows.values() for name in sorted(row))]))
        with whole_file(self.path) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows[k] for k in sorted(self.rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self.rows:
            self.save()

    def _take_over(self, step: int) -> None:
        """Rows of an earlier part of this run, before ``step``."""
        self._resumed = True
        if step and self.path.is_file():
            with open(self.path, newline="") as stream:
                for row in csv.DictReader(stream):
                    if int(row["step"]) < step:
                        self.rows[int(row["step"])] = {
                            k: int(v) if k == "step" else float(v) for k, v in row.items() if v}
