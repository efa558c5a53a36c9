"""Tracker output and other MOTChallenge files: rows ``frame,id,x,y,w,h,confidence,...`` in pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexhook.datasets.mot_rows import read_rows
from flexhook.datasets.problems import Report, strict
from flexhook.errors import InputError
from flexhook.structures import TrackSet
from flexhook.structures.boxes import xywh_to_xyxy
from flexhook.structures.files import atomic_write


def read_mot(
    path: str | Path,
    *,
    first_frame: int,
    min_confidence: float | None = None,
    drop_empty: bool = False,
    report: Report = strict,
) -> TrackSet:
    """Read one MOT file; an empty file is a set without observations.

    Fields are separated by commas or, in a file without commas, by white space. A file whose identities are all -1
    holds detections: each row becomes a trajectory of its own.

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame: 1 in MOTChallenge files, 0 in some.
        min_confidence: Rows below it are left out; a larger value keeps fewer. None keeps all.
        drop_empty: Leave out boxes 0 wide or 0 high, as some detectors write, instead of refusing them.
        report: Receives what is wrong.

    Returns:
        The observations, 0-based frames, boxes in the file's pixels, category -1.

    Raises:
        InputError: The file is missing or not UTF-8; a row is not 7, 9 or 10 numbers or differs in length from the rows
            before; a frame is no whole number from ``first_frame`` on; an identity is negative or no whole number; a
            box is not finite or not of positive size; a (frame, identity) pair occurs twice. The message has file and
            line.
    """
    rows = read_rows(path, first_frame, report, drop_empty=drop_empty)
    detection = rows.table[:, 1] == -1
    if detection.any() and not detection.all():
        problem = "a row without identity (-1) stands among rows with one"
        expected = "identities from 0 on; -1 in all rows of a file of detections"
        line = int(rows.line[detection][0])
        report("bad-identity", InputError(problem, file=path, line=line, expected=expected, hint="Remove the rows with -1"))
        rows = rows.select(~detection)
    table = rows.table
    identity = np.arange(len(table)) if detection.all() else table[:, 1]
    if min_confidence is not None:
        keep = table[:, 6] >= min_confidence
        table, identity = table[keep], identity[keep]
    return TrackSet.build(table[:, 0] - first_frame, identity, xywh_to_xyxy(table[:, 2:6]), confidence=table[:, 6])


def write_mot(path: str | Path, tracks: TrackSet, *, first_frame: int = 1) -> None:
    """Write a MOT file of ten columns, ``frame,id,x,y,w,h,confidence,-1,-1,-1``, whole or not at all.

    Six decimals of a pixel are kept.

    Args:
        path: The file; its folder is made.
        tracks: What to write, boxes in pixels.
        first_frame: Number to give to frame 0.
    """
    size = tracks.box[:, 2:] - tracks.box[:, :2]
    rows = zip(
        (tracks.frame + first_frame).tolist(),
        tracks.identity.tolist(),
        tracks.box[:, :2].tolist(),
        size.tolist(),
        tracks.confidence.tolist(),
        strict=True,
    )
    with atomic_write(path) as temporary:
        temporary.write_text(
            "".join(
                f"{frame},{identity},{x:.6f},{y:.6f},{w:.6f},{h:.6f},{confidence:.6g},-1,-1,-1\n"
                for frame, identity, (x, y), (w, h), confidence in rows
            )
        )
