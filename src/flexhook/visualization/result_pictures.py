"""The pictures of a run's expressions: of those that are named, or of the best and the worst."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flexhook.datasets.reader import Reader
from flexhook.errors import InputError
from flexhook.structures import Results, Video
from flexhook.structures.result_files import read_expressions, read_results
from flexhook.visualization.contact_sheet import sheet_row, write_contact_sheet, write_good_and_bad
from flexhook.visualization.lookup import find_expressions
from flexhook.visualization.overlay import write_overlay
from flexhook.visualization.run_results import RunResults


class ResultPictures:
    """Draws expressions of a run into a folder, an overlay video and a contact sheet each.

    Args:
        results: The run's results.
        reader: Reads its videos.
        out: Where the pictures go.
        points: Reference points by sentence.
        frames: Frames on the contact sheet of one expression.
        frame_rate: Of the overlay videos.
    """

    def __init__(
        self, results: RunResults, reader: Reader, out: Path, points: Mapping[str, Any], frames: int, frame_rate: float
    ) -> None:
        self.results, self.reader, self.out = results, reader, out
        self.points, self.frames, self.frame_rate = points, frames, frame_rate
        self.read = lru_cache(maxsize=16)(self._read)

    def _read(self, video: str) -> tuple[Video, Results]:
        print(f"reading video {video}", flush=True)
        return self.reader.read(video), read_results(self.results.scores, video)

    def named(self, videos: Sequence[str], sentences: Sequence[str]) -> list[Path]:
        """Draw the named expressions in each of the videos that has them.

        Raises:
            InputError: None of the videos has one of the expressions.
        """
        everything = read_expressions(self.results.scores)
        known = {video: everything.get(video, ()) for video in videos}
        chosen = [pair for sentence in sentences for pair in find_expressions(sentence, known)]
        rows = {(row["video"], row["slug"]): row for row in self.results.metrics()}
        written: list[Path] = []
        for video, slug in dict.fromkeys((video, expression.slug) for video, expression in chosen):
            row = rows.get((video, slug), {"video": video, "slug": slug})
            path = self.out / video / f"{file_name(slug)}.png"
            shown = sheet_row(*self.read(video), row, self.points)
            written += [write_contact_sheet(path, [shown], frames=self.frames), self.overlay(row)]
        return written

    def best_and_worst(self, videos: Sequence[str], best: int, worst: int) -> list[Path]:
        """Draw the expressions with the highest and the lowest HOTA, with a sheet of the good and one of the bad ones.

        Raises:
            InputError: The videos were not evaluated.
        """
        rows = [row for row in self.results.metrics() if row["video"] in videos]
        if not rows:
            raise InputError(
                "without --expression the HOTA of every expression is needed to choose some",
                file=self.results.run / "expressions.csv",
                expected="the file that `flexhook evaluate` writes",
                hint="Evaluate first, or name an expression with --expression",
            )
        sheets = write_good_and_bad(self.out, self.read, rows, good=best, bad=worst, points=self.points)
        return list(dict.fromkeys([*sheets, *(self.overlay(row) for chosen in sheets.values() for row in chosen)]))

    def overlay(self, row: Mapping[str, Any]) -> Path:
        """Draw the overlay video of one expression."""
        shown = sheet_row(*self.read(row["video"]), row, self.points)
        scored = shown.scored
        title = f"video {scored.video.name}: “{scored.expression.sentence}”"
        print(f"drawing {title}", flush=True)
        notes = [f"HOTA {shown.metrics['HOTA']:.1f}"] if "HOTA" in shown.metrics else []
        frames: Iterable[int] = tqdm(range(scored.video.num_frames), unit="frame", leave=False, disable=None)
        path = self.out / scored.video.name / f"{file_name(scored.expression.slug)}.mp4"
        return write_overlay(path, scored, frames=frames, points=shown.points, notes=notes, frame_rate=self.frame_rate)


def file_name(slug: str) -> str:
    """A slug as the name of a file, without what would make it a path."""
    return slug.replace("/", "-").replace("\\", "-")
