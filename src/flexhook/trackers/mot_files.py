"""Tracker output of a dataset, as MOT files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flexhook.datasets.mot import read_mot, write_mot
from flexhook.datasets.problems import Report, ignore, strict
from flexhook.datasets.text_files import number_lines
from flexhook.errors import ConfigError, InputError
from flexhook.structures import TrackSet, Video

LAYOUTS = ("per_class", "per_video")


class TrackerFiles:
    """Tracker output of a dataset, a MOT file per video or per video and class.

    Args:
        root: Folder of the tracker's output.
        layout: ``"per_class"``: ``<root>/<video>/<class>/predict.txt``; ``"per_video"``: ``<root>/<video>.txt``.
        classes: Classes of the ``per_class`` layout, in the order in which their identities are numbered: those of a
            later class are shifted past the earlier ones'. They become the categories.
        first_frame: Number that the files give to the first frame.
        min_confidence: Observations below it are left out; a larger value keeps fewer. None keeps all.
        size: (height, width) of the frames that the files' pixels refer to, where that is not the original frame; boxes
            are then scaled to the original one.
        pattern: Path of a file under ``root`` instead of the layout's, with ``{video}`` and, per class, ``{class}``.
        beyond_end: What to do with rows of frames that the video does not have: ``"error"`` or ``"drop"`` (for a
            shortened copy of the videos).
        empty_boxes: What to do with boxes that are 0 wide or 0 high: ``"error"`` or ``"drop"``.

    Raises:
        ConfigError: An unknown layout or choice.
    """

    def __init__(
        self,
        root: str | Path,
        layout: str = "per_class",
        classes: Sequence[str] = ("car", "pedestrian"),
        first_frame: int = 1,
        min_confidence: float | None = None,
        size: Sequence[int] | None = None,
        pattern: str | None = None,
        beyond_end: str = "error",
        empty_boxes: str = "error",
    ) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(
                f"the tracker layout is {layout!r}",
                expected=f"one of {', '.join(LAYOUTS)}",
                hint="Set data.tracker.layout",
            )
        for name, value in (("beyond_end", beyond_end), ("empty_boxes", empty_boxes)):
            if value not in ("error", "drop"):
                raise ConfigError(f"data.tracker.{name} is {value!r}", expected="error or drop")
        self.root, self.layout, self.first_frame = Path(root), layout, int(first_frame)
        self.classes = tuple(str(c) for c in classes) if layout == "per_class" else ()
        self.min_confidence = None if min_confidence is None else float(min_confidence)
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.pattern = pattern or ("{video}/{class}/predict.txt" if layout == "per_class" else "{video}.txt")
        self.beyond_end, self.empty_boxes = beyond_end, empty_boxes
        if "{video}" not in self.pattern or (layout == "per_class") != ("{class}" in self.pattern):
            raise ConfigError(
                f"the tracker file pattern is {self.pattern!r}",
                expected="{video} in it, and {class} in the per_class layout",
            )

    def files(self, name: str) -> list[Path]:
        """The files of the video ``name``, one per class or just one."""
        named = self.pattern.replace("{video}", name)
        return [self.root / named.replace("{class}", c) for c in self.classes] if self.classes else [self.root / named]

    def read(self, video: Video, report: Report = strict) -> TrackSet:
        """The tracker's observations of one video, boxes in pixels of the original frame.

        Raises:
            InputError: A file is missing or malformed (see :func:`read_mot`), or names a frame that the video does not
                have.
        """
        parts, largest = [], None
        for category, path in enumerate(self.files(video.name)):
            if not path.is_file():
                problem = f"there is no tracker output for video {video.name}"
                expected = f"a MOT file in the {self.layout} layout"
                hint = "Check data.tracker.root and .layout; a tracker that found nothing leaves an empty file"
                report("missing-file", InputError(problem, file=path, expected=expected, hint=hint))
                continue
            tracks = self._read_file(path, video, report)
            if len(tracks):
                # Trackers number from 1; one that numbers from 0 must still not meet the largest identity so far.
                shift = 0 if largest is None else largest + (1 if tracks.identity.min() == 0 else 0)
                identity = tracks.identity + shift
                largest = int(identity.max())
                parts.append((tracks, identity, np.full(len(tracks), category if self.classes else -1)))
        if not parts:
            return TrackSet.empty(self.classes)
        return TrackSet.build(
            np.concatenate([t.frame for t, _, _ in parts]),
            np.concatenate([i for _, i, _ in parts]),
            np.concatenate([t.box for t, _, _ in parts]),
            np.concatenate([c for _, _, c in parts]),
            np.concatenate([t.confidence for t, _, _ in parts]),
            self.classes,
        )

    def write(self, name: str, tracks: TrackSet) -> None:
        """Write the observations of the video ``name``; a class's file holds the rows of its category."""
        for category, path in enumerate(self.files(name)):
            rows = tracks.select(tracks.category == category) if self.classes else tracks
            write_mot(path, rows, first_frame=self.first_frame)

    def _read_file(self, path: Path, video: Video, report: Report) -> TrackSet:
        tracks = read_mot(
            path,
            first_frame=self.first_frame,
            min_confidence=self.min_confidence,
            drop_empty=self.empty_boxes == "drop",
            report=report,
        )
        beyond = tracks.frame >= video.num_frames
        if beyond.any():
            if self.beyond_end == "error":
                frame = int(tracks.frame[beyond][0]) + self.first_frame
                last = video.num_frames - 1 + self.first_frame
                problem = (
                    f"{beyond.sum()} rows are of frames that video {video.name} does not have:"
                    f" the first is of frame {frame}, the last frame would be {last}"
                )
                hint = (
                    "Is data.tracker.first_frame right (`flexhook data check` measures it)?"
                    " For shortened videos set data.tracker.beyond_end=drop"
                )
                error = InputError(problem, file=path, line=_line_of_frame(path, frame), hint=hint)
                report("frame-outside-video", error)
            tracks = tracks.select(~beyond)
        if self.size is not None and self.size != tuple(video.size):
            scale = np.array([video.size[1] / self.size[1], video.size[0] / self.size[0]] * 2)
            tracks = TrackSet(
                tracks.frame, tracks.identity, tracks.box * scale, tracks.category, tracks.confidence, tracks.categories
            )
        return tracks


def _line_of_frame(path: Path, frame: int) -> int | None:
    """1-based line of the first row of a frame as the file numbers it, among rows of which others may be malformed."""
    for line, fields in number_lines(path, report=ignore, words=True):
        with contextlib.suppress(ValueError):
            if float(fields[0].split(",")[0]) == frame:
                return line
    return None
