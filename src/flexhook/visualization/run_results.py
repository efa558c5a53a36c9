"""What a run left behind that pictures are made of: scores, metrics per expression, reference points."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.errors import InputError
from flexhook.structures.reference_points import NAME as REFERENCE_POINTS
from flexhook.structures.reference_points import read_reference_points
from flexhook.structures.result_files import scored_videos
from flexhook.visualization.contact_sheet import METRICS


@dataclass(frozen=True)
class RunResults:
    """What a run left behind.

    Attributes:
        run: The run folder.
        scores: The folder of scores.
        videos: The scored videos.
    """

    run: Path
    scores: Path
    videos: list[str]

    @classmethod
    def find(cls, folder: Path) -> RunResults:
        """The results in a run folder or around a folder of scores.

        Raises:
            InputError: There are no scores.
        """
        scores = folder / "scores" if (folder / "scores").is_dir() else folder
        run = (
            folder
            if scores != folder or not (folder.absolute().parent / "config.yaml").is_file()
            else folder.absolute().parent
        )
        videos = scored_videos(scores) if (scores / "expressions.json").is_file() else []
        if not videos:
            raise InputError(
                "the folder holds no scores" if folder.is_dir() else "no such folder",
                file=folder,
                expected="a run folder with scores/, or a folder of scores",
                hint="`flexhook score` writes one",
            )
        return cls(run, scores, videos)

    def reference_points(self, wanted: bool | None) -> dict[str, list[np.ndarray]]:
        """The reference points by sentence; none where they are not wanted, or not there and not asked for."""
        path = self.scores / REFERENCE_POINTS
        if wanted is False or (wanted is None and not path.is_file()):
            return {}
        return read_reference_points(path)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of expressions.csv with its metrics as numbers, NaN where blank; none where it was not written.

        Raises:
            InputError: The file is malformed.
        """
        path = self.run / "expressions.csv"
        if not path.is_file():
            return []
        hint = "Write it again with `flexhook evaluate`"
        try:
            with path.open(newline="", encoding="utf-8") as lines:
                rows: list[dict[str, Any]] = list(csv.DictReader(lines))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"the metrics per expression do not read ({reason})", file=path, hint=hint) from None
        for line, row in enumerate(rows, start=2):
            try:
                if None in row or None in row.values() or not row["video"] or not row["slug"]:
                    raise ValueError
                for name in METRICS:
                    if name in row or name == "HOTA":
                        row[name] = float(row[name] or "nan")
            except (KeyError, ValueError):
                expected = "a value for each column, among them video, slug and HOTA"
                raise InputError("the line is malformed", file=path, line=line, expected=expected, hint=hint) from None
        return rows
