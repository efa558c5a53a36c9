"""MOTChallenge files: tracker output and ground truth, rows ``frame,id,x,y,w,h,confidence,...`` in pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flexhook.datasets.mot_rows import MotRows, Remedies, dropped, read_rows, row_error, without_identity
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.text_files import read_text
from flexhook.errors import ConfigError, InputError
from flexhook.structures import TrackSet
from flexhook.structures.boxes import xywh_to_xyxy, xyxy_to_xywh
from flexhook.structures.files import atomic_write

#: What may be done with rows whose identity is -1.
UNIDENTIFIED = ("error", "drop", "detections")
#: File beside MOT files that names the classes of their eighth column: line k names class k.
CLASSES = "classes.txt"


def read_mot(
    path: str | Path,
    *,
    first_frame: int,
    min_confidence: float | None = None,
    drop_empty: bool = False,
    unidentified: str = "error",
    categories: Sequence[str] = (),
    report: Report = strict,
    remedies: Remedies | None = None,
) -> TrackSet:
    """Read one file of tracks; an empty file is a set without observations.

    The dialects of :func:`flexhook.datasets.mot_lines.mot_lines` are read.

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame: 1 in MOTChallenge files, 0 in some.
        min_confidence: Rows below it are left out; a larger value keeps fewer. None keeps all.
        drop_empty: Leave out boxes 0 wide or 0 high, as some detectors write, instead of refusing them.
        unidentified: What to do with rows whose identity is -1: ``"error"``, ``"drop"``, or ``"detections"``: each row of a
            file that has no other identity is a trajectory of its own.
        categories: Names of the classes that the eighth column numbers from 1 on; without them it is not looked at.
        report: Receives what is wrong.
        remedies: Names of the options that hints give; None for those of a tracker.

    Returns:
        The observations, 0-based frames, boxes in the file's pixels; category -1 where there is no class.

    Raises:
        InputError: The file is missing or not UTF-8, or in another known format; a row is not 6 to 10 numbers or differs in
            length from the rows before; a frame is no whole number from ``first_frame`` on; an identity is negative or no
            whole number; a box is not finite or has no area; a (frame, identity) pair occurs twice. The message has file
            and line.
    """
    rows = read_rows(path, first_frame, report, drop_empty=drop_empty, remedies=remedies)
    detection = rows.table[:, 1] == -1
    identity = rows.table[:, 1]
    if unidentified == "detections" and detection.all():
        identity, detection = np.arange(len(detection), dtype=np.float64), np.zeros(len(detection), bool)
    lines = rows.line[detection].tolist()
    if unidentified == "drop" and lines:
        report("dropped-rows", dropped(path, lines[0], len(lines), "have no identity (-1)"))
    for line in lines if unidentified != "drop" else ():
        kind, problem = without_identity()
        report(kind, row_error(kind, problem, path, line, first_frame, remedies or Remedies()))
    keep = ~detection
    if min_confidence is not None:
        keep &= rows.table[:, 6] >= min_confidence
    table, category = rows.table[keep], _categories(path, rows.select(keep), categories, report)
    box = xywh_to_xyxy(table[:, 2:6])
    return TrackSet.build(table[:, 0] - first_frame, identity[keep], box, category, table[:, 6], categories)


def _categories(path: str | Path, rows: MotRows, names: Sequence[str], report: Report) -> np.ndarray:
    """(n,) categories of the class numbers in the eighth column, -1 where the column is -1 or absent."""
    number = rows.table[:, 7] if names else np.full(len(rows.table), -1.0)
    none = np.isnan(number) | (number == -1)
    wrong = ~none & ~np.isin(number, np.arange(1, len(names) + 1))
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        problem = f"the class is {number[k]:g}, and {CLASSES} beside it has {len(names)} names"
        hint = f"Correct {CLASSES}, or remove it if the eighth column is no class"
        report("bad-class", InputError(problem, file=path, line=int(rows.line[k]), expected=f"-1, or 1 to {len(names)}",
                                       hint=hint))
    return np.where(none | wrong, -1, number - 1).astype(np.int16)


def read_class_names(folder: str | Path) -> tuple[str, ...]:
    """The names in a folder's ``classes.txt``, of which line k names class k; none where there is no such file.

    Raises:
        InputError: The file is not UTF-8, or a line is empty or occurs twice.
    """
    path = Path(folder) / CLASSES
    if not path.is_file():
        return ()
    names = tuple(line.strip() for line in (read_text(path, strict) or "").rstrip().split("\n"))
    if not all(names) or len(set(names)) < len(names):
        k = next(k for k, name in enumerate(names) if not name or name in names[:k])
        raise InputError(f"the class {names[k]!r} " + ("occurs twice" if names[k] else "has no name"), file=path, line=k + 1,
                         expected="a name per line, each once")
    return names


def write_class_names(folder: str | Path, names: Sequence[str]) -> None:
    """Write a folder's ``classes.txt``."""
    with atomic_write(Path(folder) / CLASSES) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def read_mot_truth(
    path: str | Path,
    *,
    first_frame: int = 1,
    classes: Mapping[int, str] | None = None,
    frame_of: Mapping[int, int] | None = None,
    drop_empty: bool = False,
    report: Report = strict,
) -> TrackSet:
    """The true trajectories of one video, ``frame,id,x,y,w,h,flag,class,...`` (MOT17, DanceTrack, SportsMOT, VisDrone).

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame.
        classes: Names of the classes (eighth column) that count; rows of other classes, and rows whose flag (seventh
            column) is 0, are no objects and are left out, whatever their identity. None keeps every class, without a
            category.
        frame_of: 0-based frame by the file's frame number, for files that number frames in another way; rows of
            frames that are not in it are left out.
        drop_empty: Leave out boxes 0 wide or 0 high instead of refusing them.
        report: Receives what is wrong.

    Raises:
        InputError: The file is missing or a row that counts is malformed (:func:`read_mot`) or has no identity.
    """
    truth = "data.reader.truth"
    remedies = Remedies(f"{truth}.first_frame", f"{truth}.empty_boxes=drop", None, f"{truth}.classes")
    numbers = None if classes is None else list(classes)
    least = first_frame if frame_of is None else 0
    rows = read_rows(path, least, report, is_truth=True, classes=numbers, drop_empty=drop_empty, remedies=remedies)
    for line in rows.line[rows.table[:, 1] < 0].tolist():
        kind, problem = without_identity()
        report(kind, row_error(kind, problem, path, line, least, remedies))
    rows = rows.select(rows.table[:, 1] >= 0)
    frame = rows.table[:, 0] - first_frame
    if frame_of is not None:
        frame = np.array([frame_of.get(int(number), -1) for number in rows.table[:, 0]], np.float64)
        rows, frame = rows.select(frame >= 0), frame[frame >= 0]
    names = tuple(dict.fromkeys((classes or {}).values()))
    kinds = rows.table[:, 7].tolist()
    category = [names.index((classes or {})[int(kind)]) if names and kind == kind else -1 for kind in kinds]
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


def format_mot(
    tracks: TrackSet, *, first_frame: int = 1, decimals: int | None = 6, tail: str | None = None, classes: bool = False
) -> list[str]:
    """The lines of a MOT file, one per observation, each with its line end.

    Args:
        tracks: The observations, boxes in pixels.
        first_frame: Number to give to frame 0.
        decimals: Decimals of a pixel; None writes nine at most, and no zeros at the end.
        tail: What follows the height; None for the confidence, the class as :data:`CLASSES` counts it (-1 where it is not
            known) and ``-1,-1``. ``"1,1,1"`` is flag, class and visibility of ground truth.
        classes: Write the class; otherwise -1.
    """
    number = np.where((tracks.category >= 0) & (tracks.category < len(tracks.categories)), tracks.category + 1, -1)
    box = xyxy_to_xywh(tracks.box) if decimals is not None else xyxy_to_xywh(tracks.box).round(9)
    rows = zip(
        (tracks.frame + first_frame).tolist(),
        tracks.identity.tolist(),
        box.tolist(),
        tracks.confidence.tolist(),
        number.tolist() if classes else [-1] * len(tracks),
        strict=True,
    )
    pixel = "%r" if decimals is None else f"%.{decimals}f"
    row = f"%d,%d,{pixel},{pixel},{pixel},{pixel},%s\n"
    return [row % (frame, identity, *xywh, tail or f"{score:.6g},{kind},-1,-1") for frame, identity, xywh, score, kind in rows]


def write_mot(path: str | Path, tracks: TrackSet, *, first_frame: int = 1, classes: bool = False) -> None:
    """Write a MOT file of ten columns, ``frame,id,x,y,w,h,confidence,class,-1,-1``, whole or not at all.

    Args:
        path: The file; its folder is made.
        tracks: What to write, boxes in pixels, of which six decimals are kept.
        first_frame: Number to give to frame 0.
        classes: Write the class numbers, which :func:`write_class_names` names; otherwise -1.
    """
    with atomic_write(path) as temporary:
        temporary.write_text("".join(format_mot(tracks, first_frame=first_frame, classes=classes)), encoding="utf-8")
