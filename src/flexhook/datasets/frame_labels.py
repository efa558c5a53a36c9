"""The field's per-frame label files: rows ``class id x y w h``, boxes as fractions of the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from flexhook.datasets.naming import FramePattern
from flexhook.datasets.parts import Truth, VideoPlace, one_of
from flexhook.datasets.problems import Report, ignore, strict
from flexhook.datasets.text_files import number_lines
from flexhook.errors import InputError
from flexhook.structures import TrackSet

#: A fraction beyond this is not a box that hangs over the border but one in pixels.
LARGEST_FRACTION = 2.0
_ROW = "rows `class id x y w h`, boxes as fractions of the frame"


@dataclass
class FrameLabels(Truth):
    """A label file per frame.

    Attributes:
        path: Pattern of the files (:class:`flexhook.datasets.naming.FramePattern`).
        first_frame: Number of the first frame in the files' names.
        origin: What x and y of a label are, ``"top_left"`` or ``"centre"``.
        classes: Name of the labels' class 0, 1, ....

    Raises:
        ConfigError: An argument is unknown or malformed.
    """

    path: str = "KITTI/labels_with_ids/image_02/{video}/{frame:06d}.txt"
    first_frame: int = 0
    origin: str = "top_left"
    classes: Sequence[str] = ("pedestrian", "car")

    def __post_init__(self) -> None:
        self.pattern = FramePattern(self.path, self.first_frame)
        self.origin = one_of("truth.origin", self.origin, ("top_left", "centre"))
        self.classes = tuple(map(str, self.classes))

    def read(self, video: VideoPlace, report: Report = strict) -> TrackSet:
        """The label files of a video, as trajectories."""
        files = self.pattern.files(video.root, video.key, report)
        return read_frame_labels(files, video.size, classes=self.classes, origin=self.origin, report=report)

    def files(self, video: VideoPlace) -> list[Path]:
        """The label files of a video."""
        return [Path(path) for path in self.pattern.files(video.root, video.key, ignore).values()]

    def place_of(self, video: VideoPlace, frame: int) -> tuple[Path, int | None]:
        """The label file of a 0-based frame."""
        return self.pattern.path(video.root, video.key, frame), None


def read_frame_labels(
    files: Mapping[int, str],
    size: tuple[int, int],
    *,
    classes: Sequence[str],
    origin: str = "top_left",
    report: Report = strict,
) -> TrackSet:
    """The true trajectories of one video.

    Args:
        files: A path per 0-based frame; frames without a file have no objects, and neither has an empty file.
        size: (height, width) of the original frame, which makes pixels of the fractions.
        classes: Name of class 0, 1, ...; an observation of another class gets category -1.
        origin: What x and y are: the box's ``"top_left"`` corner (Refer-KITTI) or its ``"centre"`` (JDE, MOTR).
        report: Receives what is wrong.

    Raises:
        InputError: A row that has not six numbers, a class or identity that is no whole number, a box that is not
            finite, not of positive size or not in fractions, an identity twice in a frame; with file and line.
    """
    frames: list[int] = []
    rows: list[list[float]] = []
    for frame, path in files.items():
        seen: set[float] = set()
        for line, fields in number_lines(path, report=report):
            values = _parse(fields, path, line, len(classes), report)
            if values is None:
                continue
            if values[1] in seen:
                report(
                    "duplicate-row",
                    InputError(
                        f"identity {int(values[1])} occurs twice in this frame",
                        file=path,
                        line=line,
                        expected="one row per identity",
                        hint="Remove the wrong one",
                    ),
                )
                continue
            seen.add(values[1])
            frames.append(frame)
            rows.append(values)
    table = np.array(rows, np.float64).reshape(-1, 6)
    height, width = size
    scale = np.array([width, height], np.float64)
    corner, extent = table[:, 2:4] * scale, table[:, 4:6] * scale
    if origin == "centre":
        corner = corner - extent / 2
    category = np.where(table[:, 0] < len(classes), table[:, 0], -1)
    return TrackSet.build(frames, table[:, 1], np.concatenate([corner, corner + extent], 1), category, categories=classes)


def _parse(fields: list[str], path: str, line: int, num_classes: int, report: Report) -> list[float] | None:
    kind, problem = "", ""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
        kind, problem = "not-a-number", f"the row {' '.join(fields)[:60]!r} holds something that is not a number"
    if not kind:
        if len(values) != 6:
            kind, problem = "wrong-columns", f"the row has {len(values)} columns"
        elif not isfinite(sum(values)):
            kind, problem = "bad-box", f"the row {' '.join(fields)[:60]!r} holds NaN or infinity"
        elif values[0] < 0 or values[0] % 1 or values[0] >= 2**15:
            kind, problem = "bad-class", f"the class is {fields[0]}"
        elif values[1] < 0 or values[1] % 1 or values[1] >= 2**53:
            kind, problem = "bad-identity", f"the identity is {fields[1]}"
        elif values[4] <= 0 or values[5] <= 0:
            kind, problem = "bad-box", f"the box is {fields[4]} wide and {fields[5]} high"
        elif max(map(abs, values[2:])) > LARGEST_FRACTION:
            kind, problem = "bad-box", f"the box {' '.join(fields[2:])} is not in fractions of the frame"
        elif values[0] >= num_classes:
            report(
                "unknown-class",
                InputError(
                    f"class {fields[0]} has no name",
                    file=path,
                    line=line,
                    expected=f"a class from 0 to {num_classes - 1}",
                    hint="Name it in data.reader.truth.classes",
                ),
            )
    if kind:
        report(
            kind,
            InputError(
                problem,
                file=path,
                line=line,
                expected=_ROW,
                hint="Mend the row, or copy the file again from its source",
            ),
        )
        return None
    return values
