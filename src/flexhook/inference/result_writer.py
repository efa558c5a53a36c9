"""Results of one block of expressions of one video, as they arrive; blocks of a video are merged into its file."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from flexhook.errors import InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.inference.partial_folder import PartialFolder
from flexhook.inference.row_folder import RowFolder
from flexhook.structures import Expression, ExpressionResult, PairResults, Results, RowResults, TrackSet
from flexhook.structures.result_files import (
    assemble_pairs,
    finished_job,
    job_digest,
    job_of,
    open_results,
    result_file,
    write_rows,
)

ROWS = 4096
"""Observations of all expressions of a video that are merged at a time."""


class BlockWriter:
    """Takes the results of a block of a video's expressions; what an earlier attempt at the same job wrote counts.

    A method with tracks of its own for every expression calls :meth:`write`, one that scores given tracks :meth:`pairs`.
    One process at a time writes a block; the writer lets go of it in :meth:`finish` or :meth:`close`.

    Args:
        folder: The folder of results.
        video: Name of the video.
        expressions: All expressions of the video.
        block: (index, number of blocks): which part of the expressions this is.
        key: Names what else is asked for (the frames).
        model: Names what makes the results.
        keeps_rejected: Whether results hold candidates that were not accepted.
        tracker: Gives the key of the tracker whose tracks :meth:`write` takes results of, empty where there is none.

    Attributes:
        expressions: The block's expressions.
    """

    def __init__(
        self, folder: str | Path, video: str, expressions: Sequence[Expression], block: tuple[int, int] = (0, 1), *,
        key: str = "", model: str = "", keeps_rejected: bool = True, tracker: Callable[[], str] = str,
    ) -> None:
        index, count = block
        self.folder, self.video, self.all, self.count = Path(folder), video, tuple(expressions), count
        self.expressions = part_of(self.all, index, count)
        self.key, self.model, self.keeps_rejected, self.tracker = key, model, keeps_rejected, tracker
        self.name = video if count == 1 else block_name(video, index, count)
        self._path = result_file(folder, self.name)
        self._rows: RowFolder | None = None
        self._pairs: PairWriter | None = None
        self._done = False

    def missing(self) -> tuple[Expression, ...]:
        """The expressions of the block without results, in its order.

        Raises:
            InputError: The folder cannot be written to, or another process writes the same block.
        """
        rows = self._open()
        return () if rows is None else rows.missing()

    def write(self, expression: Expression, tracks: TrackSet, score: np.ndarray, accepted: np.ndarray) -> None:
        """Take the result of one expression.

        Raises:
            InputError: A score is not a number in [0, 1], the categories are not those of the other expressions, or the disk
                is full.
            ValueError: The columns differ in length, or the expression is not missing.
        """
        rows, score, accepted = self._open(), np.asarray(score, np.float32), np.asarray(accepted, bool)
        if score.shape != (len(tracks),) or accepted.shape != (len(tracks),):
            raise ValueError(f"{len(tracks)} scores and answers expected, {score.shape} and {accepted.shape} found")
        if not ((score >= 0) & (score <= 1)).all():
            raise InputError(f"a score of '{expression.sentence}' in video {self.video} is not in [0, 1]",
                             expected="a probability", hint="Check that the training's loss did not diverge")
        if not accepted.all() and not self.keeps_rejected:
            raise ValueError("a candidate that was not accepted, of a method that says it keeps none")
        if rows is None or expression not in self.expressions:
            raise ValueError(f"no results of '{expression.sentence}' are asked for")
        rows.write(expression, tracks, score, accepted)

    def pairs(self, tracks: TrackSet, smoothing: int = 0) -> PairWriter:
        """A writer of logits of all (observation, expression) pairs, for a method that scores given tracks."""
        self.close()  # where missing() was asked
        model = f"{self.model} smoothing {smoothing}" if smoothing else self.model
        name, expressions = self.name, self.expressions
        if self.count > 1 and self._merged(job_digest(tracks, self.all, self.key, model)):
            name, expressions = self.video, self.all
        self._pairs = PairWriter(
            self.folder, name, tracks, expressions, key=self.key, model=self.model, smoothing=smoothing, title=self.video)
        return self._pairs

    def finish(self) -> None:
        """Assemble the block's file, where :meth:`write` took its results.

        Raises:
            InputError: Results of the expressions do not belong together, or the disk is full.
            ValueError: Results are missing.
        """
        if self._pairs is not None:
            if not self._pairs.finished:
                raise ValueError(f"the results in {self._path} are not finished")
            return
        rows = self._open()
        if rows is None:
            return
        if rows.missing():
            raise ValueError(f"results of {len(rows.missing())} expressions of {self._path} are missing")
        write_rows(self.folder, self.name, self.expressions, rows.read, keeps_rejected=self.keeps_rejected,
                   job=self._job(self.expressions), model=self.model)
        rows.partial.remove()
        self._rows, self._done = None, True

    def close(self) -> None:
        """Let go of the block; what was written stays for a later writer."""
        if self._rows is not None:
            self._rows.partial.close()
        self._rows = None

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> RowFolder | None:
        """Where results of expressions are kept; None where all of them are there."""
        if self._pairs is not None:
            raise ValueError("the block's results are written with pairs(), which leaves nothing to write()")
        if self._rows is None and not self._done:
            job = self._job(self.expressions)
            self._done = self._merged(self._job(self.all)) or (self.count > 1 and finished_job(self._path) == job)
            if self._done:
                PartialFolder(self._path, self.video).discard()
            else:
                self._rows = RowFolder(self._path, self.video, self.expressions, job)
        return self._rows

    def _job(self, expressions: Sequence[Expression]) -> str:
        return row_job(expressions, self.key, self.model, self.tracker())

    def _merged(self, job: str) -> bool:
        """Whether the video's file is of the job. What is left of the block is then of an earlier one, and removed."""
        if finished_job(result_file(self.folder, self.video)) != job:
            return False
        if self.count > 1:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            PartialFolder(self._path, self.video).discard()
        return True


def row_job(expressions: Sequence[Expression], key: str, model: str, tracker: str = "") -> str:
    """Digest of what is asked of a method that writes tracks per expression; ``tracker`` where it takes a tracker's."""
    return job_digest(TrackSet.empty(), expressions, f"{key} tracker {tracker}" if tracker else key, model)


def part_of(expressions: Sequence[Expression], index: int, count: int) -> tuple[Expression, ...]:
    """The expressions of one of a video's blocks."""
    return tuple(expressions[len(expressions) * index // count : len(expressions) * (index + 1) // count])


def block_name(video: str, index: int, count: int) -> str:
    """The name under which a block's results wait, in a hidden folder of the folder of results."""
    return f".blocks/{video}/{index}-of-{count}"


def remove_blocks(folder: str | Path, videos: Sequence[str]) -> None:
    """Remove the blocks of videos, and the hidden folder with the last of them; blocks of other videos stay."""
    for video in videos:
        place = result_file(folder, block_name(video, 0, 1)).parent
        for entry in place.iterdir() if place.is_dir() else ():
            if entry.suffix == ".partial":
                shutil.rmtree(entry, ignore_errors=True)
            elif not entry.is_dir():  # else of a video whose name begins with this one's
                entry.unlink(missing_ok=True)
        for parent in (place, *place.parents[: len(Path(video).parts)]):
            with contextlib.suppress(OSError):
                parent.rmdir()


def merge_blocks(
    folder: str | Path, video: str, expressions: Sequence[Expression], count: int, *, key: str, model: str,
    tracker: Callable[[], str] = str,
) -> None:
    """Merge the blocks of a video into its file and remove them; only remove them where they were merged before.

    Args:
        folder: The folder of results.
        video: Name of the video.
        expressions: All expressions of the video.
        count: Number of blocks.
        key: As of :class:`BlockWriter`.
        model: As of :class:`BlockWriter`.
        tracker: As of :class:`BlockWriter`.

    Raises:
        InputError: A block is missing, damaged or of another job.
    """
    files = [result_file(folder, block_name(video, index, count)) for index in range(count)]
    if count == 1 or not any(file.is_file() for file in files):
        return
    whole = result_file(folder, video)

    def opened(file: Path, own: Sequence[Expression]) -> tuple[Results | None, str | None]:
        """The results in a file, and the job of the video's file that they are of; None where they are of no wanted one."""
        with contextlib.suppress(InputError):
            results = open_results(file, video)
            jobs = [_wanted(file, results, e, key, model, tracker) for e in (own, expressions)]
            if jobs[0] is not None and job_of(file) == jobs[0]:
                return results, jobs[1]
        return None, None

    blocks = [opened(file, part_of(expressions, index, count)) for index, file in enumerate(files)]
    jobs = {job for _, job in blocks}
    if None in jobs or len(jobs) > 1:
        merged = opened(whole, expressions)[1]
        if merged is None or jobs - {None, merged}:
            wrong = next((file for file, (_, job) in zip(files, blocks, strict=True) if job is None), files[0])
            raise InputError(f"a part of the results of video {video} is missing, damaged or of another job", file=wrong,
                             expected="results of one model, with the same frames, tracks and sentences",
                             hint="Run the command again: it makes the part again")
    elif finished_job(whole) not in jobs:
        parts = [results for results, _ in blocks if results is not None]
        _merge(folder, video, parts, expressions, key, model, tracker, files[0])
    remove_blocks(folder, [video])


def _wanted(
    file: Path, results: Results, expressions: Sequence[Expression], key: str, model: str, tracker: Callable[[], str]
) -> str | None:
    """The job of expressions with the tracks and smoothing of a file; None where it is another model's."""
    if not isinstance(results, PairResults):
        return row_job(expressions, key, model, tracker())
    named = model_named(file)
    if named != model and not named.startswith(f"{model} smoothing "):
        return None
    return job_digest(results.tracks, expressions, key, named)


def _merge(
    folder: str | Path, video: str, blocks: Sequence[Results], expressions: Sequence[Expression], key: str, model: str,
    tracker: Callable[[], str], first: Path,
) -> None:
    pairs = [block for block in blocks if isinstance(block, PairResults)]
    if pairs:
        _merge_pairs(folder, video, pairs, expressions, key, first)
        return
    rows = [block for block in blocks if isinstance(block, RowResults)]
    items: Callable[[], Iterator[ExpressionResult]] = lambda: (item for block in rows for item in block)  # noqa: E731
    write_rows(folder, video, expressions, items, keeps_rejected=all(block.keeps_rejected for block in rows),
               job=row_job(expressions, key, model, tracker()), model=model)


def _merge_pairs(
    folder: str | Path, video: str, blocks: Sequence[PairResults], expressions: Sequence[Expression], key: str, first: Path
) -> None:
    tracks = blocks[0].tracks

    def write(stream: IO[bytes]) -> None:
        shape = (len(tracks), len(expressions), 2)
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for start in range(0, len(tracks), ROWS):
            part = [block.logits[start : start + ROWS] for block in blocks]
            stream.write(np.ascontiguousarray(np.concatenate(part, axis=1), "<f4").tobytes())

    assemble_pairs(folder, video, tracks, expressions, key, model_named(first), write)


def model_named(path: Path) -> str:
    """The text that a file of results names its model by."""
    with np.load(path, allow_pickle=False) as data:
        return str(data["model"])
