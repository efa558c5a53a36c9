"""Results of one block of expressions of one video, as they arrive; blocks of a video are merged into its file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from flexhook.errors import InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.structures import Expression, ExpressionResult, PairResults, Results, RowResults, TrackSet
from flexhook.structures.files import atomic_write
from flexhook.structures.result_files import (
    assemble_pairs,
    finished_job,
    job_digest,
    open_results,
    result_file,
    write_rows,
)

ROWS = 4096
"""Observations of all expressions of a video that are merged at a time."""


class BlockWriter:
    """Takes the results of a block of a video's expressions; what an earlier attempt at the same job wrote counts.

    A method with tracks of its own for every expression calls :meth:`write`, one that scores given tracks :meth:`pairs`.

    Args:
        folder: The folder of results.
        video: Name of the video.
        expressions: All expressions of the video.
        block: (index, number of blocks): which part of the expressions this is.
        key: Names what else is asked for (the frames).
        model: Names what makes the results.
        keeps_rejected: Whether results hold candidates that were not accepted.

    Attributes:
        expressions: The block's expressions.
        finished: Whether everything of the block is there.
    """

    def __init__(
        self, folder: str | Path, video: str, expressions: Sequence[Expression], block: tuple[int, int] = (0, 1), *,
        key: str = "", model: str = "", keeps_rejected: bool = True,
    ) -> None:
        index, count = block
        self.folder, self.video, self.all, self.count = Path(folder), video, tuple(expressions), count
        self.expressions = self.all[len(self.all) * index // count : len(self.all) * (index + 1) // count]
        self.key, self.model, self.keeps_rejected = key, model, keeps_rejected
        self.name = video if count == 1 else block_name(video, index, count)
        self.finished = False
        self._rows: _RowFolder | None = None

    def missing(self) -> tuple[Expression, ...]:
        """The expressions of the block without results, in its order."""
        return self._open().missing()

    def write(self, expression: Expression, tracks: TrackSet, score: np.ndarray, accepted: np.ndarray) -> None:
        """Take the result of one expression.

        Raises:
            InputError: A score is not a number in [0, 1], or the disk is full.
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
        rows.write(expression, tracks, score, accepted)

    def pairs(self, tracks: TrackSet, smoothing: int = 0) -> PairWriter:
        """A writer of logits of all (observation, expression) pairs, for a method that scores given tracks."""
        model = f"{self.model} smoothing {smoothing}" if smoothing else self.model
        name, expressions = self.name, self.expressions
        if self.count > 1 and finished_job(result_file(self.folder, self.video)) == job_digest(
            tracks, self.all, self.key, model
        ):  # all blocks were merged before
            name, expressions = self.video, self.all
        return PairWriter(self.folder, name, tracks, expressions, key=self.key, model=self.model, smoothing=smoothing)

    def finish(self) -> None:
        """Assemble the block's file, where :meth:`write` took its results.

        Raises:
            ValueError: Results are missing.
        """
        if self._rows is not None:
            self._rows.finish()

    def _open(self) -> _RowFolder:
        if self._rows is None:
            whole = row_job(self.all, self.key, self.model)
            done = finished_job(result_file(self.folder, self.video)) == whole
            self._rows = _RowFolder(self, done)
        return self._rows


class _RowFolder:
    """The hidden folder that holds results per expression until all of a block are there."""

    def __init__(self, block: BlockWriter, done: bool) -> None:
        self.block, self.path = block, result_file(block.folder, block.name)
        self.job = row_job(block.expressions, block.key, block.model)
        self.done = done or finished_job(self.path) == self.job
        self.folder = self.path.with_name(f".{self.path.stem.removeprefix('.')}.rows")
        if self.done:
            return
        try:
            named = self.folder / "job"
            if not (named.is_file() and named.read_text() == self.job):
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                with atomic_write(named) as temporary:
                    temporary.write_text(self.job)
        except OSError as error:
            raise InputError(f"the results cannot be written ({error.strerror})", file=self.folder,
                             expected="a folder to write to", hint="Choose another output folder") from None

    def _file(self, k: int) -> Path:
        return self.folder / f"{k}.npz"

    def missing(self) -> tuple[Expression, ...]:
        """The expressions without a file."""
        return () if self.done else tuple(e for k, e in enumerate(self.block.expressions) if not self._file(k).is_file())

    def write(self, expression: Expression, tracks: TrackSet, score: np.ndarray, accepted: np.ndarray) -> None:
        """Write one expression's file."""
        if self.done or expression not in self.block.expressions:
            raise ValueError(f"no results of '{expression.sentence}' are asked for")
        columns = {name: getattr(tracks, name) for name in ("frame", "identity", "box", "category")}
        path = self._file(self.block.expressions.index(expression))
        with atomic_write(path, sync=False) as temporary, open(temporary, "wb") as file:
            np.savez(file, **columns, score=score, accepted=accepted, categories=np.array(tracks.categories, "U"))

    def read(self) -> Iterator[ExpressionResult]:
        """The results of all expressions, in their order."""
        for k, expression in enumerate(self.block.expressions):
            with np.load(self._file(k), allow_pickle=False) as data:
                columns = {name: data[name] for name in ("frame", "identity", "box", "category")}
                tracks = TrackSet.build(**columns, confidence=data["score"], categories=data["categories"].tolist())
                yield ExpressionResult(expression, tracks, data["score"], data["accepted"])

    def finish(self) -> None:
        """Assemble the block's ``.npz`` and remove the folder."""
        if self.done:
            return
        if self.missing():
            raise ValueError(f"results of {len(self.missing())} expressions of {self.path} are missing")
        block = self.block
        categories = next((item.tracks.categories for item in self.read()), ())
        write_rows(block.folder, block.name, block.expressions, self.read, categories=categories,
                   keeps_rejected=block.keeps_rejected, job=self.job, model=block.model)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.done = True


def row_job(expressions: Sequence[Expression], key: str, model: str) -> str:
    """Digest of what is asked of a method that finds its objects itself."""
    return job_digest(TrackSet.empty(), expressions, key, model)


def block_name(video: str, index: int, count: int) -> str:
    """The name under which a block's results wait, in a hidden folder of the folder of results."""
    return f".blocks/{video}/{index}-of-{count}"


def merge_blocks(folder: str | Path, video: str, count: int, key: str, model: str) -> None:
    """Merge the blocks of a video into its file and remove them; nothing where they were merged before.

    Args:
        folder: The folder of results.
        video: Name of the video.
        count: Number of blocks.
        key: As of :class:`BlockWriter`.
        model: As of :class:`BlockWriter`.

    Raises:
        InputError: A block is missing or damaged.
    """
    files = [result_file(folder, block_name(video, index, count)) for index in range(count)]
    if count == 1 or not any(file.is_file() for file in files):
        return
    blocks = [open_results(file, video) for file in files]
    expressions = [e for block in blocks for e in block.expressions]
    if all(isinstance(block, PairResults) for block in blocks):
        _merge_pairs(folder, video, blocks, expressions, key, files[0])  # type: ignore[arg-type]
    else:
        _merge_rows(folder, video, blocks, expressions, key, model)
    del blocks
    shutil.rmtree(files[0].parent, ignore_errors=True)


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


def _merge_rows(
    folder: str | Path, video: str, blocks: Sequence[Results], expressions: Sequence[Expression], key: str, model: str
) -> None:
    rows: list[RowResults] = [block for block in blocks if isinstance(block, RowResults)]
    items: Callable[[], Iterator[ExpressionResult]] = lambda: (item for block in rows for item in block)  # noqa: E731
    write_rows(folder, video, expressions, items, categories=rows[0].categories,
               keeps_rejected=all(block.keeps_rejected for block in rows), job=row_job(expressions, key, model), model=model)


def model_named(path: Path) -> str:
    """The text that a file of results names its model by."""
    with np.load(path, allow_pickle=False) as data:
        return str(data["model"])
