"""TrackEval's folder layout: ``<folder>/<video>/<slug>/{gt,predict}.txt``, MOT rows with 1-based frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexhook.datasets.mot import format_mot
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
from flexhook.errors import ConfigError, InputError
from flexhook.evaluation.jobs import Job
from flexhook.evaluation.overlaps import Boxes
from flexhook.structures import TrackSet
from flexhook.structures.boxes import xywh_to_xyxy
from flexhook.structures.files import atomic_folder

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


def find_sequences(folder: str | Path) -> dict[str, list[Path]]:
    """The sequence folders below ``folder``, by video.

    A video's name is its path, without the part that all videos share (``TAO/a`` and ``TAO/b`` are ``a`` and
    ``b``).

    Raises:
        InputError: The folder is missing or empty, or a sequence lacks one of its files.
    """
    folder = Path(os.path.abspath(folder))
    found: dict[Path, list[Path]] = {}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if folders and not set(FILES) & set(files):
            continue
        if Path(place) == folder and not files:
            break
        for name in FILES:
            if name not in files:
                raise InputError(
                    "the file does not exist",
                    file=Path(place) / name,
                    expected=ROW,
                    hint="An expression without predictions has an empty predict.txt",
                )
        found.setdefault(Path(place).parent, []).append(Path(place))
    if not found:
        raise InputError(
            "there are no sequences" if folder.is_dir() else "the folder does not exist",
            file=folder,
            expected="<video>/<expression>/gt.txt and predict.txt in it",
        )
    shared = os.path.commonpath([video.parent for video in found])
    return {video.relative_to(shared).as_posix(): sequences for video, sequences in found.items()}


def read_trackeval_folder(folder: str | Path, rules: Rules | None = None) -> Iterator[VideoFolder]:
    """Read a results folder video by video; rows that several files share are parsed once.

    The files may be in any dialect of :func:`flexhook.datasets.mot_lines.mot_lines`. True rows whose confidence (seventh
    column) is 0 are left out, whatever else they hold, as in MOTChallenge and TrackEval.

    Args:
        folder: The results folder.
        rules: How its files are read; None for the defaults.

    Raises:
        InputError: The folder or a file is missing, or a row is malformed, is repeated or has a box that is none.
    """
    rules = rules or Rules()
    for video, sequences in find_sequences(folder).items():
        truth = _RowTable([sequence / FILES[0] for sequence in sequences], rules, is_truth=True)
        tracks = _RowTable([sequence / FILES[1] for sequence in sequences], rules, is_truth=False)
        job = Job(truth.boxes, tracks.boxes, truth.rows, tracks.rows)
        yield VideoFolder(video, tuple(sequence.name for sequence in sequences), job)


@dataclass(frozen=True)
class Rules:
    """How a results folder is read.

    Attributes:
        first_frame: Number that the files give to the first frame.
        empty_boxes: What to do with boxes that are 0 wide or 0 high: ``"error"`` or ``"drop"``.
        unidentified: What to do with rows of ``predict.txt`` whose identity is -1: ``"error"`` or ``"drop"``.
    """

    first_frame: int = 1
    empty_boxes: str = "error"
    unidentified: str = "error"

    def __post_init__(self) -> None:
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
        numbers = _Numbers()
        self._lines_of_file = [numbers.read(path) for path in paths]
        table, columns, problems = parse_lines(list(numbers))
        counted = table[:, 6] != 0 if is_truth else np.ones(len(table), bool)
        counted[list(problems)] = False
        problems |= find_problems(table, counted, rules.first_frame)
        if rules.empty_boxes == "drop":
            with np.errstate(invalid="ignore"):
                empty = np.isfinite(table[:, 2:6]).all(1) & (table[:, 4:6].min(1) == 0)
            problems = {row: found for row, found in problems.items() if not (found[0] == "bad-box" and empty[row])}
            counted &= ~empty
        unidentified = counted & (table[:, 1] == -1)
        counted &= ~unidentified
        if is_truth or rules.unidentified == "error":
            problems |= {row: without_identity() for row in np.flatnonzero(unidentified).tolist() if row not in problems}
        if problems:
            self._refuse(problems)
        order = np.lexsort((table[:, 1], table[:, 0]))
        order = order[counted[order]]
        place = np.full(len(table), -1)
        place[order] = np.arange(len(order))
        chosen = table[order]
        self.boxes = Boxes(
            chosen[:, 0].astype(np.int64) - rules.first_frame, chosen[:, 1].astype(np.int64), xywh_to_xyxy(chosen[:, 2:6])
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
        remedies = Remedies("first_frame", "empty_boxes=drop", None if self._is_truth else "unidentified=drop")
        raise row_error(*problem, self._paths[file], line, self._rules.first_frame, remedies)


class _Numbers(dict[str, int]):
    """The distinct lines of many files, numbered in the order in which they are met."""

    def __missing__(self, line: str) -> int:
        number = self[line] = len(self)
        return number

    def read(self, path: Path) -> np.ndarray:
        """Numbers of a file's lines; blank ones are skipped."""
        return np.fromiter(map(self.__getitem__, filter(str.strip, mot_lines(path))), np.int64)


def write_trackeval_folder(
    folder: str | Path,
    video: str,
    truth: TrackSet,
    tracks: TrackSet,
    slugs: tuple[str, ...],
    truth_rows: list[np.ndarray],
    track_rows: list[np.ndarray],
) -> Path:
    """Write the sequences of one video as ``<folder>/<video>/<slug>/{gt,predict}.txt``.

    Coordinates keep nine decimals, so that scores from the files equal those from memory. A folder of the video
    that holds nothing but such sequences is replaced.

    Args:
        folder: The results folder; made where it is missing.
        video: Name of the video.
        truth: Its true trajectories.
        tracks: Its predicted ones.
        slugs: Name of each sequence.
        truth_rows: For every sequence the rows of the true boxes that its expression refers to.
        track_rows: For every sequence the rows of the boxes accepted for it.

    Returns:
        The folder of the video.

    Raises:
        InputError: Something else lies where the video's folder should be, or the folder cannot be written to.
    """
    place = Path(folder) / video
    if place.exists() and not _holds_only_sequences(place):
        raise InputError(
            "the folder holds other things than sequences",
            file=place,
            hint="Choose another output folder",
            expected="no such folder, or one written by an earlier evaluation",
        )
    lines = [np.array(format_mot(part, decimals=None, tail="1,1,1"), object) for part in (truth, tracks)]
    with atomic_folder(place, replace=True, sync=False) as temporary:
        for slug, *rows in zip(slugs, truth_rows, track_rows, strict=True):
            (temporary / slug).mkdir()
            for name, text, chosen in zip(FILES, lines, rows, strict=True):
                (temporary / slug / name).write_text("".join(text[chosen]))
    return place


def _holds_only_sequences(place: Path) -> bool:
    return place.is_dir() and all(
        slug.is_dir() and all(file.name in FILES for file in slug.iterdir()) for slug in place.iterdir()
    )
