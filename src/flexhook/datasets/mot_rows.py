"""Rows of MOTChallenge files, ``frame,id,x,y,w,h[,confidence[,class,...]]``, and the rules for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexhook.datasets.mot_lines import LEAST, MOST, ROW, mot_lines
from flexhook.datasets.problems import Report, strict
from flexhook.errors import InputError

#: Numbers with decimal commas between white space.
_BLANKS = re.compile(r"(?=.*,)[-+]?\d+(,\d+)?(\s+[-+]?\d+(,\d+)?)+")
DECIMAL_COMMAS = "it has decimal commas, and its fields are separated by "
_LARGEST = float(np.finfo(np.float32).max)
#: Row of a file or of a list of lines -> (kind, problem).
Problems = dict[int, tuple[str, str]]


@dataclass(frozen=True)
class Remedies:
    """Names of the options of the command at hand, for hints; None where it has none.

    Attributes:
        first_frame: Option for the number of the first frame.
        empty_boxes: Option that leaves out boxes without area.
        unidentified: Option that leaves out rows with identity -1.
        classes: Option that names the classes that count.
    """

    first_frame: str = "tracker.first_frame"
    empty_boxes: str | None = "tracker.empty_boxes=drop"
    unidentified: str | None = "tracker.unidentified=drop"
    classes: str | None = None


@dataclass(frozen=True, eq=False)
class MotRows:
    """Rows of a MOT file.

    Attributes:
        table: (n, 10) float64: frame as the file numbers it, identity, x, y, w, h, confidence (1 where there is none),
            class and two more; NaN in other columns that the file does not have.
        line: (n,) int64, line of the file, from 1.
    """

    table: np.ndarray
    line: np.ndarray

    def select(self, keep: np.ndarray) -> MotRows:
        """The rows of a boolean mask."""
        return MotRows(self.table[keep], self.line[keep])


def read_rows(
    path: str | Path,
    first_frame: int,
    report: Report = strict,
    *,
    is_truth: bool = False,
    classes: Sequence[int] | None = None,
    drop_empty: bool = False,
    remedies: Remedies | None = None,
) -> MotRows:
    """Read the sound rows of a MOT file; identities may be -1.

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame.
        report: Receives what is wrong; the row is left out if it returns.
        is_truth: Leave out rows whose seventh column is 0 before their numbers are checked (an ignored region repeats its
            identity, or has no size).
        classes: Of the truth, leave out rows of other classes (eighth column), too.
        drop_empty: Leave out boxes that are 0 wide or 0 high, as some detectors write, instead of reporting them as bad.
        remedies: Names of the options that hints give; None for those of a tracker.

    Raises:
        InputError: See :func:`flexhook.datasets.mot.read_mot`.
    """
    remedies = remedies or Remedies()
    lines = mot_lines(path, report)
    number = np.array([k for k, line in enumerate(lines, 1) if line and not line.isspace()], np.int64)
    table, columns, problems = parse_lines([lines[k - 1] for k in number.tolist()])
    counted = np.ones(len(table), bool)
    if is_truth:
        counted = table[:, 6] != 0
        if classes is not None:
            counted &= (columns < 8) | np.isin(table[:, 7], list(classes))
    counted[list(problems)] = False
    if is_truth:
        left = np.ones(len(table), bool)
        left[list(problems)] = False
        _report_left_out(path, table[left & ~counted], int(counted.sum()), report, remedies)
    problems |= find_problems(table, counted, first_frame)
    sound = counted.copy()
    sound[list(problems)] = False
    problems = _repeated(table, sound) | _other_columns(columns, sound) | problems
    empty = []
    for row in sorted(problems):
        kind, problem = problems[row]
        counted[row] = False
        if kind == "bad-box" and drop_empty and table[row, 4:6].min() == 0:
            empty.append(row)
        else:
            report(kind, row_error(kind, problem, path, int(number[row]), first_frame, remedies))
    if empty:
        report("dropped-rows", dropped(path, int(number[empty[0]]), len(empty), "have a box without area"))
    return MotRows(table, number).select(counted)


def _report_left_out(path: str | Path, left: np.ndarray, kept: int, report: Report, remedies: Remedies) -> None:
    """Note how many rows of ground truth are left out by flag and by class; (k, 10) as in :class:`MotRows`."""
    if not len(left):
        return
    off = left[:, 6] == 0
    reasons = [f"{off.sum()} with flag 0"] if off.any() else []
    for number, count in zip(*np.unique(left[~off, 7], return_counts=True), strict=True):
        reasons.append(f"{count} of class {number:g}")
    problem = f"{len(left)} of {len(left) + kept} rows are left out: {', '.join(reasons)}"
    hint = f"{remedies.classes} names the classes that count, null keeps all" if remedies.classes and not off.all() else None
    report("rows-left-out", InputError(problem, file=path, hint=hint))


def dropped(path: str | Path, line: int, count: int, why: str) -> InputError:
    """The notice of rows that an option leaves out; ``line`` is that of the first."""
    return InputError(f"{count} rows are left out that {why}, this one first", file=path, line=line)


def parse_lines(lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray, Problems]:
    """Lines of numbers separated by commas -> ((n, 10) table as in :class:`MotRows`, (n,) number of columns, problems)."""
    table = np.full((len(lines), MOST), np.nan)
    columns = np.array([line.count(",") + 1 for line in lines], np.int64)
    problems: Problems = {}
    text = ",".join(lines)
    count = int(columns[0]) if len(lines) and (columns == columns[0]).all() else 0
    try:
        if not (LEAST <= count <= MOST and _plain(text)):
            raise ValueError
        table[:, :count] = np.array(list(map(float, text.split(",")))).reshape(-1, count)
    except ValueError:
        for row, line in enumerate(lines):
            try:
                values = _numbers(line)
                table[row, : len(values)] = values
            except _RowError as error:
                problems[row] = error.kind, f"'{line.strip()[:80]}' is not a MOT row: {error}"
    table[columns == LEAST, 6] = 1
    return table, columns, problems


class _RowError(Exception):
    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind


def _numbers(line: str) -> list[float]:
    separators = _separators_problem(line)
    if separators:
        raise _RowError("not-a-number", separators)
    if not _plain(line):
        raise _RowError("not-a-number", "it holds characters that are not part of a number")
    values = []
    for field in line.split(","):
        try:
            values.append(float(field))
        except ValueError:
            raise _RowError("not-a-number", f"{field.strip()!r} is not a number") from None
    if not LEAST <= len(values) <= MOST:
        raise _RowError("wrong-columns", f"it has {len(values)} columns")
    return values


def _separators_problem(line: str) -> str | None:
    """In words, what keeps a line's fields from being told apart; None where commas separate them."""
    if ";" in line:
        return DECIMAL_COMMAS + "semicolons" if "," in line else "its fields are separated by semicolons, others by commas"
    return DECIMAL_COMMAS + "white space" if _BLANKS.fullmatch(line.strip()) else None


def _plain(text: str) -> bool:
    """False where ``float`` would take what is no plain number: "1_0", or digits of other scripts."""
    return text.isascii() and "_" not in text


def find_problems(table: np.ndarray, counted: np.ndarray, first_frame: int) -> Problems:
    """What is wrong with single rows.

    Args:
        table: (n, 10) as in :class:`MotRows`.
        counted: (n,) boolean, the rows to check.
        first_frame: Least frame number.
    """
    frame, identity, x, y, w, h, confidence = table[:, :7].T
    with np.errstate(invalid="ignore", over="ignore"):
        good_frame = (frame % 1 == 0) & (frame >= first_frame) & (frame < 2**53)
        good_identity = (identity % 1 == 0) & (identity >= -1) & (identity < 2**53)
        good_box = np.isfinite(table[:, 2:6]).all(1) & (w > 0) & (h > 0) & (x + w > x) & (y + h > y)
        good_confidence = np.abs(confidence) <= _LARGEST
    problems: Problems = {}
    for row in np.flatnonzero(counted & ~(good_frame & good_identity & good_box & good_confidence)).tolist():
        if not good_frame[row]:
            problems[row] = "bad-frame", f"the frame is {frame[row]:.10g}"
        elif not good_identity[row]:
            problems[row] = "bad-identity", f"the identity is {identity[row]:.10g}"
        elif not good_box[row]:
            problems[row] = "bad-box", _box_problem(*table[row, 2:6].tolist())
        else:
            problems[row] = "bad-confidence", f"the confidence is {confidence[row]:g}"
    return problems


def _box_problem(x: float, y: float, w: float, h: float) -> str:
    what = f"it is {w:g} wide and {h:g} high" if np.isfinite([x, y, w, h]).all() else "it holds NaN or infinity"
    return f"the box is {x:g},{y:g},{w:g},{h:g}: {what}"


def _repeated(table: np.ndarray, sound: np.ndarray) -> Problems:
    """Rows whose frame and identity an earlier row has."""
    rows = np.flatnonzero(sound & (table[:, 1] >= 0))
    order = rows[np.lexsort((table[rows, 1], table[rows, 0]))]
    again = (np.diff(table[order, 0]) == 0) & (np.diff(table[order, 1]) == 0)
    return {row: repeated(*table[row, :2].tolist()) for row in order[1:][again].tolist()}


def repeated(frame: float, identity: float) -> tuple[str, str]:
    """Kind and problem of a row whose frame and identity an earlier row has."""
    return "duplicate-row", f"identity {identity:.0f} occurs twice in frame {frame:.0f}"


def _other_columns(columns: np.ndarray, sound: np.ndarray) -> Problems:
    """Rows with another number of columns than the first sound one."""
    if not sound.any():
        return {}
    usual = columns[sound][0]
    return {row: other_columns(columns[row], usual) for row in np.flatnonzero(sound & (columns != usual)).tolist()}


def other_columns(found: int, usual: int) -> tuple[str, str]:
    """Kind and problem of a row with another number of columns."""
    return "wrong-columns", f"the row has {found} columns, the rows before have {usual}"


def without_identity() -> tuple[str, str]:
    """Kind and problem of a row with identity -1, where identities are needed."""
    return "bad-identity", "the identity is -1: a row without identity, as detections have"


def row_error(kind: str, problem: str, path: str | Path, line: int, first_frame: int, remedies: Remedies) -> InputError:
    """The message for a row.

    Args:
        kind: Kind of the problem.
        problem: What is wrong.
        path: The file.
        line: Its line.
        first_frame: Number of the first frame that is configured.
        remedies: Names of the options that the hint gives.
    """
    expected, hint = ROW, "Correct or remove the row"
    if DECIMAL_COMMAS in problem:
        hint = "Write the numbers with decimal points, as 10.5"
    elif kind == "bad-frame":
        expected = f"a whole number from {first_frame} on"
        hint = f"Set {remedies.first_frame} to the file's first frame number, or correct the row"
    elif kind == "bad-identity":
        expected = "a whole number from 0 on"
        if " -1:" in problem and remedies.unidentified:
            hint += f"; {remedies.unidentified} leaves such rows out"
    elif kind == "bad-box":
        expected = "finite x, y, w, h with w and h above 0"
        if ("it is 0 wide" in problem or " 0 high" in problem) and remedies.empty_boxes:
            hint += f"; {remedies.empty_boxes} leaves such rows out"
    elif kind == "duplicate-row":
        expected = "one row per frame and identity"
    return InputError(problem, file=path, line=line, expected=expected, hint=hint)
