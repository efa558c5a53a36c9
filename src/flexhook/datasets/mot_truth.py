"""Ground truth in MOTChallenge files: ``frame,id,x,y,w,h,flag,class,...`` (MOT17, DanceTrack, SportsMOT, VisDrone)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flexhook.datasets.mot_rows import read_rows
from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError
from flexhook.structures import TrackSet
from flexhook.structures.boxes import xywh_to_xyxy


def read_mot_truth(
    path: str | Path,
    *,
    first_frame: int = 1,
    classes: Mapping[int, str] | None = None,
    frame_of: Mapping[int, int] | None = None,
    report: Report = strict,
) -> TrackSet:
    """The true trajectories of one video.

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame.
        classes: Names of the classes (eighth column) that count; rows of other classes, and rows whose flag (seventh
            column) is 0, are no objects and are left out. None keeps every class, without a category.
        frame_of: 0-based frame by the file's frame number, for files that number frames in another way; rows of
            frames that are not in it are left out.
        report: Receives what is wrong.

    Raises:
        InputError: The file is missing or a row that counts is malformed (:func:`flexhook.datasets.mot.read_mot`).
    """

    def wanted(values: list[float]) -> bool:
        return values[6] != 0 and (classes is None or len(values) < 8 or values[7] in classes)

    rows = read_rows(path, first_frame if frame_of is None else 0, report, wanted)
    frame = rows.table[:, 0] - first_frame
    if frame_of is not None:
        frame = np.array([frame_of.get(int(number), -1) for number in rows.table[:, 0]], np.float64)
        rows, frame = rows.select(frame >= 0), frame[frame >= 0]
    names = tuple(dict.fromkeys((classes or {}).values()))
    category = [names.index((classes or {})[int(kind)]) if names and kind == kind else -1 for kind in rows.kind]
    return TrackSet.build(frame, rows.table[:, 1], xywh_to_xyxy(rows.table[:, 2:6]), category, categories=names)


def plain_classes(classes: Mapping[int, str] | None) -> dict[int, str] | None:
    """Names of class numbers from a configuration.

    Raises:
        ConfigError: A key is no whole number.
    """
    if classes is None:
        return None
    try:
        return {int(number): str(name) for number, name in classes.items()}
    except (ValueError, AttributeError):
        raise ConfigError(f"the classes are {classes!r}", expected="{number: name}", hint="Correct data.reader") from None
