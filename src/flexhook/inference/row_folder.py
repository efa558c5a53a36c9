"""Results of single expressions on disk, one file each, until those of all expressions are there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from flexhook.errors import InputError
from flexhook.inference.partial_folder import AGAIN, PartialFolder
from flexhook.structures import Expression, ExpressionResult, TrackSet
from flexhook.structures.files import atomic_write
from flexhook.structures.result_files import DAMAGED, shared_categories

log = logging.getLogger(__name__)
_COLUMNS = ("frame", "identity", "box", "category")


class RowFolder:
    """Holds results per expression; what an earlier attempt at the same job wrote and is undamaged counts.

    Args:
        file: The file that they will be assembled to.
        video: Name of the video.
        expressions: The expressions of the file.
        job: Digest of all that is asked for.

    Raises:
        InputError: The folder cannot be written to, or another process writes the same file.
    """

    def __init__(self, file: Path, video: str, expressions: Sequence[Expression], job: str) -> None:
        self.video, self.expressions, self.partial = video, tuple(expressions), PartialFolder(file, video)
        self._index = {expression: k for k, expression in enumerate(self.expressions)}
        self._there: set[int] = set()
        self._categories: tuple[str, ...] | None = None
        try:
            self.partial.lock()
            if self.partial.holds(job):
                self._take_over()
            else:
                self.partial.clear()
                self.partial.sign(job)
        except OSError as error:
            self.partial.close()
            raise self.partial.not_written(error, hint=None) from None

    def missing(self) -> tuple[Expression, ...]:
        """The expressions without results."""
        return tuple(e for k, e in enumerate(self.expressions) if k not in self._there)

    def write(self, expression: Expression, tracks: TrackSet, score: np.ndarray, accepted: np.ndarray) -> None:
        """Write the results of one expression.

        Raises:
            InputError: The categories are not those of the other expressions, or the disk is full.
        """
        self._categories = shared_categories(self._categories, tracks, self.video)
        columns = {name: getattr(tracks, name) for name in _COLUMNS}
        k = self._index[expression]
        with atomic_write(self._file(k), sync=False, hint=AGAIN) as temporary, open(temporary, "wb") as file:
            np.savez(file, **columns, score=score, accepted=accepted, categories=np.array(tracks.categories, "U"))
        self._there.add(k)

    def read(self) -> Iterator[ExpressionResult]:
        """The results of all expressions, in their order.

        Raises:
            InputError: A file is damaged or gone.
        """
        for k in range(len(self.expressions)):
            try:
                yield self._read(k)
            except DAMAGED as error:
                raise InputError(f"the results of '{self.expressions[k].sentence}' do not read ({error})", file=self._file(k),
                                 hint="Run the command again: it makes them again") from None

    def _take_over(self) -> None:
        for k, expression in enumerate(self.expressions):
            if not self._file(k).is_file():
                continue
            try:
                tracks = self._read(k).tracks
            except DAMAGED as error:
                log.warning("%s is damaged (%s): the results of '%s' are made again", self._file(k), error, expression.sentence)
                continue
            self._there.add(k)
            self._categories = self._categories or tracks.categories or None

    def _file(self, k: int) -> Path:
        return self.partial.path / f"{k}.npz"

    def _read(self, k: int) -> ExpressionResult:
        with np.load(self._file(k), allow_pickle=False) as data:
            score, accepted, categories = data["score"], data["accepted"], data["categories"].tolist()
            tracks = TrackSet.build(**{name: data[name] for name in _COLUMNS}, confidence=score, categories=categories)
        if score.shape != accepted.shape:
            raise ValueError(f"{len(score)} scores and {len(accepted)} answers")
        return ExpressionResult(self.expressions[k], tracks, score, accepted)
