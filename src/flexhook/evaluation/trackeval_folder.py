"""TrackEval's folder layout: ``<folder>/<video>/<slug>/{gt,predict}.txt``, MOT rows with 1-based frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexhook.errors import InputError
from flexhook.evaluation.jobs import Job
from flexhook.evaluation.overlaps import Boxes
from flexhook.structures import TrackSet
from flexhook.structures.files import atomic_folder

ROW = "frame,identity,x,y,w,h[,confidence,...]"
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
                    expected=f"MOT rows {ROW}",
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


def read_trackeval_folder(folder: str | Path) -> Iterator[VideoFolder]:
    """Read a results folder video by video; rows that several files share are parsed once.

    True rows whose confidence (seventh column) is 0 are left out, as in MOTChallenge and TrackEval.

    Raises:
        InputError: The folder or a file is missing, or a row is malformed, is repeated or has a box that is none.
    """
    for video, sequences in find_sequences(folder).items():
        truth, tracks = _RowTable(), _RowTable()
        truth_rows = [truth.read(sequence / "gt.txt") for sequence in sequences]
        track_rows = [tracks.read(sequence / "predict.txt") for sequence in sequences]
        truth_boxes, truth_place = truth.boxes(keep_unconfident=False)
        track_boxes, track_place = tracks.boxes(keep_unconfident=True)
        places = [truth_place[rows] for rows in truth_rows]
        job = Job(
            truth_boxes,
            track_boxes,
            [place[place >= 0] for place in places],
            [track_place[rows] for rows in track_rows],
        )
        for rows, boxes, name in ((job.truth_rows, truth_boxes, FILES[0]), (job.track_rows, track_boxes, FILES[1])):
            for sequence, chosen in zip(sequences, rows, strict=True):
                _check_unique(chosen, boxes, sequence / name)
        yield VideoFolder(video, tuple(sequence.name for sequence in sequences), job)


class _RowTable(dict[bytes, int]):
    """The distinct lines of many files, numbered in the order in which they are met."""

    def __init__(self) -> None:
        super().__init__()
        self.values_of_line: list[tuple[float, ...]] = []

    def __missing__(self, line: bytes) -> int:
        values = _parse(line)
        number = self[line] = len(self)
        self.values_of_line.append(values)
        return number

    def read(self, path: Path) -> np.ndarray:
        """Numbers of a file's lines; blank ones are skipped."""
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise InputError(f"the file does not read ({error.strerror})", file=path) from None
        try:
            return np.fromiter(map(self.__getitem__, filter(bytes.strip, lines)), np.int64)
        except _RowError as error:
            raise InputError(error.problem, file=path, line=lines.index(error.line) + 1, expected=error.expected) from None

    def boxes(self, keep_unconfident: bool) -> tuple[Boxes, np.ndarray]:
        """The distinct lines as boxes sorted by frame and identity, and each line's place among them (-1: left out)."""
        table = np.array(self.values_of_line, np.float64).reshape(-1, 7)
        order = np.lexsort((table[:, 1], table[:, 0]))
        if not keep_unconfident:
            order = order[table[order, 6] != 0]
        place = np.full(len(table), -1)
        place[order] = np.arange(len(order))
        table = table[order]
        box = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1)
        return Boxes(table[:, 0].astype(np.int64) - 1, table[:, 1].astype(np.int64), box), place


class _RowError(Exception):
    def __init__(self, problem: str, line: bytes, expected: str) -> None:
        self.problem, self.line, self.expected = problem, line, expected


def _parse(line: bytes) -> tuple[float, ...]:
    """(frame, identity, x, y, w, h, confidence) of a line."""
    fields = line.split(b",", 7)[:7] if b"," in line else line.split()[:7]
    try:
        values = tuple(map(float, fields))
    except ValueError:
        values = ()
    if len(values) < 6:
        shown = line.decode(errors="replace").strip()
        raise _RowError(f"'{shown[:80]}' is not a MOT row", line, f"{ROW}, numbers separated by commas or by spaces")
    frame, identity, x, y, w, h = values[:6]
    if not (1 <= frame < 1 << 53 and frame == int(frame)):
        raise _RowError(f"the frame is {frame:g}", line, "a whole number from 1 on")
    if not (0 <= identity < 1 << 53 and identity == int(identity)):
        raise _RowError(f"the identity is {identity:g}", line, "a whole number from 0 on")
    if not (abs(x) + abs(y) + w + h < np.inf and w >= 0 and h >= 0):
        raise _RowError(f"the box is {x:g},{y:g},{w:g},{h:g}", line, "finite x, y, w, h with w and h from 0 on")
    return values if len(values) == 7 else (*values, 1.0)


def _check_unique(rows: np.ndarray, boxes: Boxes, path: Path) -> None:
    """Refuse a file in which an identity occurs twice in a frame."""
    rows = np.sort(rows)
    same = (np.diff(boxes.frame[rows]) == 0) & (np.diff(boxes.identity[rows]) == 0)
    if same.any():
        row = rows[1:][same][0]
        frame, identity = int(boxes.frame[row]) + 1, int(boxes.identity[row])
        lines = [
            number
            for number, line in enumerate(path.read_bytes().split(b"\n"), 1)
            if line.strip() and _parse(line)[:2] == (frame, identity)
        ]
        raise InputError(
            f"identity {identity} occurs a second time in frame {frame}",
            file=path,
            line=lines[1],
            expected="one row per frame and identity",
        )


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
    lines = [np.array(_lines(part), object) for part in (truth, tracks)]
    with atomic_folder(place, replace=True, sync=False) as temporary:
        for slug, *rows in zip(slugs, truth_rows, track_rows, strict=True):
            (temporary / slug).mkdir()
            for name, text, chosen in zip(FILES, lines, rows, strict=True):
                (temporary / slug / name).write_text("".join(text[chosen]))
    return place


def _lines(tracks: TrackSet) -> list[str]:
    corner, size = tracks.box[:, :2], tracks.box[:, 2:] - tracks.box[:, :2]
    numbers = np.round(np.concatenate([corner, size], axis=1), 9).tolist()
    return [
        f"{frame + 1},{identity},{x!r},{y!r},{w!r},{h!r},1,1,1\n"
        for frame, identity, (x, y, w, h) in zip(tracks.frame.tolist(), tracks.identity.tolist(), numbers, strict=True)
    ]


def _holds_only_sequences(place: Path) -> bool:
    return place.is_dir() and all(
        slug.is_dir() and all(file.name in FILES for file in slug.iterdir()) for slug in place.iterdir()
    )
