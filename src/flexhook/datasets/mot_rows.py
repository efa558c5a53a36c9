"""Rows of MOTChallenge files, ``frame,id,x,y,w,h,confidence[,class,...]``, checked one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from flexhook.datasets.problems import Report
from flexhook.datasets.text_files import number_lines
from flexhook.errors import InputError

COLUMNS = (7, 9, 10)
ROW = "rows `frame,id,x,y,w,h,confidence,...` of 7, 9 or 10 numbers in pixels, as many in every row"


@dataclass(frozen=True, eq=False)
class MotRows:
    """The sound rows of a MOT file.

    Attributes:
        table: (n, 7) float64: frame as the file numbers it, identity, x, y, w, h, confidence.
        kind: (n,) float64, the eighth column (the class in files of ground truth); NaN where there is none.
        line: (n,) int64, line of the file, from 1.
    """

    table: np.ndarray
    kind: np.ndarray
    line: np.ndarray

    def select(self, keep: np.ndarray) -> MotRows:
        """The rows of a boolean mask."""
        return MotRows(self.table[keep], self.kind[keep], self.line[keep])


def read_rows(
    path: str | Path,
    first_frame: int,
    report: Report,
    wanted: Callable[[list[float]], bool] = lambda values: True,
    drop_empty: bool = False,
) -> MotRows:
    """Read the rows of a MOT file, those with one frame and identity only once.

    Fields are separated by commas or, in a file without commas, by white space.

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame.
        report: Receives what is wrong; the row is left out if it returns.
        wanted: Says of a row of numbers whether it counts; rows that do not are left out before anything is checked but
            the number of columns (an ignored region repeats its identity, or has no size).
        drop_empty: Leave out boxes that are 0 wide or 0 high, as some detectors write, instead of reporting them as bad.

    Raises:
        InputError: See :func:`flexhook.datasets.mot.read_mot`.
    """
    rows, lines, columns = [], [], 0
    seen: set[tuple[float, float]] = set()
    for line, fields in number_lines(path, "," if _has_comma(path) else None, report):
        try:
            values = [float(field) for field in fields]
        except ValueError:
            kind, problem = "not-a-number", f"the row {','.join(fields)[:60]!r} holds something that is not a number"
        else:
            columns = columns or (len(values) if len(values) in COLUMNS else 0)
            kind, problem = _judge_columns(values, columns)
            if not kind and not wanted(values):
                continue
            kind, problem = (kind, problem) if kind else _judge(values, first_frame, seen)
            if kind == "bad-box" and drop_empty and min(values[4:6]) == 0:
                kind = "empty-box"
        if not kind:
            rows.append(values[:8])
            lines.append(line)
        elif kind == "bad-frame":
            expected = f"whole frame numbers from {first_frame} on"
            hint = "Set first_frame (of a dataset data.tracker.first_frame) to the file's first frame number, or mend the row"
            report(kind, InputError(problem, file=path, line=line, expected=expected, hint=hint))
        else:
            hint = "Mend or remove the row"
            if kind == "bad-box" and 0 in values[4:6]:
                hint += "; data.tracker.empty_boxes=drop leaves such rows out"
            report(kind, InputError(problem, file=path, line=line, expected=ROW, hint=hint))
    table = np.full((len(rows), 8), np.nan)
    if rows:
        table[:, : len(rows[0])] = rows
    return MotRows(table[:, :7], table[:, 7], np.array(lines, np.int64))


def _judge_columns(values: list[float], columns: int) -> tuple[str, str]:
    if len(values) not in COLUMNS:
        return "wrong-columns", f"the row has {len(values)} columns"
    if len(values) != columns:
        return "wrong-columns", f"the row has {len(values)} columns, the rows before have {columns}"
    return "", ""


def _judge(values: list[float], first_frame: int, seen: set[tuple[float, float]]) -> tuple[str, str]:
    """What is wrong with a row, as (kind, problem); two empty texts if nothing is."""
    frame, identity, _, _, width, height, _ = values[:7]
    if not isfinite(sum(values[:7])):
        return "bad-box", "the row holds NaN or infinity"
    if frame % 1 or not first_frame <= frame < 2**53:
        return "bad-frame", f"the frame is {frame:.10g}"
    if identity % 1 or not -1 <= identity < 2**53:
        return "bad-identity", f"the identity is {identity:.10g}"
    if width <= 0 or height <= 0:
        return "bad-box", f"the box is {width:g} wide and {height:g} high"
    if identity >= 0 and (frame, identity) in seen:
        return "duplicate-row", f"identity {identity:.0f} occurs twice in frame {frame:.0f}"
    seen.add((frame, identity))
    return "", ""


def _has_comma(path: str | Path) -> bool:
    try:
        with open(path, "rb") as file:
            return b"," in file.read(4096)
    except OSError:
        return True
