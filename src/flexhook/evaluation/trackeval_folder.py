"""TrackEval's folder layout: ``<folder>/<video>/<slug>/{gt,predict}.txt``, MOT rows with 1-based frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexhook.datasets.mot_rows import (
    ROW,
    Problems,
    Remedies,
    find_problems,
    mot_lines,
    other_columns,
    parse_lines,
    repeated,
    row_error,
    without_identity,
)  # fmt: skip
from flexhook.datasets.naming import is_hidden
from flexhook.datasets.sequence_list import SequenceList, few
from flexhook.errors import ConfigError, InputError
from flexhook.evaluation.jobs import Job
from flexhook.evaluation.overlaps import Boxes
from flexhook.structures import Expression
from flexhook.structures.boxes import xywh_to_xyxy

log = logging.getLogger(__name__)

FILES = ("gt.txt", "predict.txt")


@dataclass(frozen=True, eq=False)
class VideoFolder:
    """The sequences of one video as they lie in a folder.

    Attributes:
        video: Path of the video below the folder that holds all videos.
        slugs: Names of its expressions, sorted.
        job: Their content.
    """

    video: str
    slugs: tuple[str, ...]
    job: Job


def find_sequences(folder: str | Path, missing: str = "error") -> dict[str, list[Path]]:
    """The sequence folders below ``folder``, by video.

    A video's name is its path, without the part that all videos share (``TAO/a`` and ``TAO/b`` are ``a`` and
    ``b``).

    Args:
        folder: The results folder.
        missing: What to do with sequences that have no ``predict.txt``: ``"error"``, or ``"empty"``: nothing is predicted.

    Raises:
        InputError: The folder is missing or empty, or a sequence lacks one of its files.
    """
    folder = Path(os.path.abspath(folder))
    found: dict[Path, list[Path]] = {}
    lacking: dict[str, list[Path]] = {name: [] for name in FILES}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        if folders and not set(FILES) & set(files):
            continue
        if Path(place) == folder and not files:
            break
        for name in FILES:
            lacking[name] += [] if name in files else [Path(place)]
        found.setdefault(Path(place).parent, []).append(Path(place))
    if not found:
        raise InputError(
            "there are no sequences" if folder.is_dir() else "the folder does not exist",
            file=folder,
            expected="<video>/<expression>/gt.txt and predict.txt in it",
        )
    for name, places in lacking.items():
        if places and (name == FILES[0] or missing == "error"):
            said = few((place.relative_to(folder).as_posix() for place in places), 20)
            hint = "An expression that refers to nothing has an empty gt.txt"
            if name != FILES[0]:
                hint = "An expression without predictions has an empty predict.txt; missing=empty counts absent ones as such"
            raise InputError(f"{len(places)} of {sum(map(len, found.values()))} sequences have no {name}: {said}",
                             file=places[0] / name, expected=ROW, hint=hint)
    shared = os.path.commonpath([video.parent for video in found])
    return {video.relative_to(shared).as_posix(): sequences for video, sequences in found.items()}


def read_trackeval_folder(
    folder: str | Path, rules: Rules | None = None, listed: SequenceList | None = None
) -> Iterator[VideoFolder]:
    """Read a results folder video by video; rows that several files share are parsed once.

    The files may be in any dialect of :func:`flexhook.datasets.mot_lines.mot_lines`. True rows whose confidence (seventh
    column) is 0 are left out, whatever else they hold, as in MOTChallenge and TrackEval.

    Args:
        folder: The results folder.
        rules: How its files are read; None for the defaults.
        listed: The sequences that count; None for all.

    Raises:
        InputError: A listed sequence, the folder or a file is missing, or a row is malformed, is repeated or has a box that is
            none.
    """
    rules = rules or Rules()
    found = find_sequences(folder, rules.missing)
    for video in found if listed is None else listed.videos(list(found)):
        sequences = found[video]
        if listed is not None:
            chosen = listed.chosen(video, [Expression(place.name, place.name) for place in sequences])
            sequences = [sequences[k] for k in chosen]
        truth = _RowTable([sequence / FILES[0] for sequence in sequences], rules, is_truth=True)
        tracks = _RowTable([sequence / FILES[1] for sequence in sequences], rules, is_truth=False)
        job = Job(truth.boxes, tracks.boxes, truth.rows, tracks.rows)
        yield VideoFolder(video, tuple(sequence.name for sequence in sequences), job)


@dataclass(frozen=True)
class Rules:
    """How a results folder is read.

    Attributes:
        first_frame: Number that the files give to the first frame.
        predictions_first_frame: That of ``predict.txt``, where it differs.
        missing: What to do with sequences that have no ``predict.txt``: ``"error"``, or ``"empty"``: nothing is predicted.
        empty_boxes: What to do with boxes that are 0 wide or 0 high: ``"error"`` or ``"drop"``.
        unidentified: What to do with rows of ``predict.txt`` whose identity is -1: ``"error"`` or ``"drop"``.
    """

    first_frame: int = 1
    empty_boxes: str = "error"
    unidentified: str = "error"
    predictions_first_frame: int | None = None
    missing: str = "error"

    def __post_init__(self) -> None:
        if self.missing not in ("error", "empty"):
            raise ConfigError(f"missing is {self.missing!r}", expected="error or empty")
        for name in ("first_frame", "predictions_first_frame"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, type(None))) or (value is None and name == "first_frame"):
                raise ConfigError(f"{name} is {value!r}", expected="a whole number, such as 0 or 1")
        for name in ("empty_boxes", "unidentified"):
            if getattr(self, name) not in ("error", "drop"):
                raise ConfigError(f"{name} is {getattr(self, name)!r}", expected="error or drop")


class _RowTable:
    """The distinct lines of many files, parsed once.

    Args:
        paths: The files.
        rules: How they are read.
        is_truth: Leave out rows whose seventh column is 0, and refuse rows without identity.

    Attributes:
        boxes: The distinct lines as boxes sorted by frame and identity.
        rows: For every file the rows of ``boxes`` that it holds.
    """

    def __init__(self, paths: Sequence[Path], rules: Rules, *, is_truth: bool) -> None:
        self._paths, self._rules, self._is_truth = paths, rules, is_truth
        predicted = rules.predictions_first_frame
        self._first_frame = rules.first_frame if is_truth or predicted is None else predicted
        numbers = _Numbers()
        self._lines_of_file = [numbers.read(path) for path in paths]
        table, columns, problems = parse_lines(list(numbers))
        counted = table[:, 6] != 0 if is_truth else np.ones(len(table), bool)
        counted[list(problems)] = False
        problems |= find_problems(table, counted, self._first_frame)
        if rules.empty_boxes == "drop":
            with np.errstate(invalid="ignore"):
                empty = np.isfinite(table[:, 2:6]).all(1) & (table[:, 4:6].min(1) == 0)
            problems = {row: found for row, found in problems.items() if not (found[0] == "bad-box" and empty[row])}
            self._tell_dropped(counted & empty, "have a box without area")
            counted &= ~empty
        unidentified = counted & (table[:, 1] == -1)
        counted &= ~unidentified
        if is_truth or rules.unidentified == "error":
            problems |= {row: without_identity() for row in np.flatnonzero(unidentified).tolist() if row not in problems}
        else:
            self._tell_dropped(unidentified, "have no identity (-1)")
        if problems:
            self._refuse(problems)
        order = np.lexsort((table[:, 1], table[:, 0]))
        order = order[counted[order]]
        place = np.full(len(table), -1)
        place[order] = np.arange(len(order))
        chosen = table[order]
        self.boxes = Boxes(
            chosen[:, 0].astype(np.int64) - self._first_frame, chosen[:, 1].astype(np.int64), xywh_to_xyxy(chosen[:, 2:6])
        )
        places = [place[lines] for lines in self._lines_of_file]
        self.rows = [rows[rows >= 0] for rows in places]
        for file, lines in enumerate(self._lines_of_file):
            self._check_file(file, lines[places[file] >= 0], columns, table)

    def _check_file(self, file: int, lines: np.ndarray, columns: np.ndarray, table: np.ndarray) -> None:
        """Refuse a file in which an identity occurs twice in a frame, or rows differ in length."""
        key = table[lines, :2]
        order = np.lexsort((key[:, 1], key[:, 0]))
        again = (np.diff(key[order], axis=0) == 0).all(1)
        if again.any():
            row = lines[order[1:][again].min()]
            self._raise(file, repeated(*table[row, :2].tolist()), table=table, row=row)
        if len(lines) and (columns[lines] != columns[lines[0]]).any():
            row = lines[columns[lines] != columns[lines[0]]][0]
            self._raise(file, other_columns(columns[row], columns[lines[0]]), row=row)

    def _tell_dropped(self, rows: np.ndarray, why: str) -> None:
        """Tell how many rows of the files an option leaves out; (n,) bool of the distinct lines."""
        counts = [int(rows[lines].sum()) for lines in self._lines_of_file]
        if any(counts):
            first = next(path for path, count in zip(self._paths, counts, strict=True) if count)
            log.warning("%s: %d rows of this and %d other files are left out that %s", first, sum(counts),
                        sum(map(bool, counts)) - 1, why)

    def _refuse(self, problems: Problems) -> None:
        bad = np.array(list(problems))
        for file, lines in enumerate(self._lines_of_file):
            found = np.flatnonzero(np.isin(lines, bad))
            if len(found):
                self._raise(file, problems[int(lines[found[0]])], row=lines[found[0]])

    def _raise(self, file: int, problem: tuple[str, str], *, row: int, table: np.ndarray | None = None) -> None:
        """Raise the message for a row of a file; with a table, for the second line of its frame and identity."""
        numbers = [k for k, line in enumerate(mot_lines(self._paths[file]), 1) if line and not line.isspace()]
        lines = self._lines_of_file[file]
        same = np.flatnonzero(lines == row if table is None else (table[lines, :2] == table[row, :2]).all(1))
        line = numbers[same[0] if table is None else same[1]]
        name = "first_frame" if self._is_truth else "predictions_first_frame"
        remedies = Remedies(name, "empty_boxes=drop", None if self._is_truth else "unidentified=drop")
        raise row_error(*problem, self._paths[file], line, self._first_frame, remedies)


class _Numbers(dict[str, int]):
    """The distinct lines of many files, numbered in the order in which they are met."""

    def __missing__(self, line: str) -> int:
        number = self[line] = len(self)
        return number

    def read(self, path: Path) -> np.ndarray:
        """Numbers of a file's lines; blank ones are skipped. A file that is not there has none."""
        if not path.exists():  # found missing, and allowed to be
            return np.zeros(0, np.int64)
        return np.fromiter(map(self.__getitem__, filter(str.strip, mot_lines(path))), np.int64)
