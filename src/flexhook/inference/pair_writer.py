"""Scores of given tracks that arrive in pieces: streamed to disk, resumable, whole only when the last row is there."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from flexhook.inference.partial_folder import AGAIN, PartialFolder
from flexhook.inference.smoothing import smooth_tracks
from flexhook.structures import Expression, TrackSet
from flexhook.structures.files import allocate
from flexhook.structures.result_check import check_finite, check_observations
from flexhook.structures.result_files import assemble_pairs, finished_job, job_digest, result_file


class PairWriter:
    """Writes the scores of one video piece by piece, in any order, without holding them in memory.

    Until :meth:`finish` everything lies in a hidden folder beside the file to be; a writer made later for the same
    job (same tracks, expressions and ``key``) goes on where that one stopped, however it was stopped. A finished file
    of the same job counts as all rows written. What another job left behind is thrown away.

    Args:
        folder: The folder of scores.
        video: Name of the video.
        tracks: The observations, n rows.
        expressions: The sentences, E of them.
        key: Names what else is scored (the frames): with another key nothing is taken over.
        model: Names what makes the scores (weights, precision, image size): with another model nothing is taken over, and
            scores of several models are not evaluated together.
        smoothing: Observations of its track on either side that an observation's logits are averaged with when all rows are
            there; 0 for none.
        title: The video in messages, where ``video`` names a part of its results.

    Attributes:
        finished: Whether the video's file is complete: nothing to write any more.

    Raises:
        InputError: A track's box is not finite or has no area, the folder cannot be written to, or another process is writing
            the same video's scores there.
        ValueError: ``smoothing`` is no whole number from 0.
    """

    def __init__(
        self, folder: str | Path, video: str, tracks: TrackSet, expressions: Sequence[Expression], *, key: str = "",
        model: str = "", smoothing: int = 0, title: str | None = None,
    ) -> None:
        if type(smoothing) is not int or smoothing < 0:
            raise ValueError(f"smoothing is {smoothing!r}; expected a whole number, 0 or more")
        self.folder, self.video, self.title, self.tracks = Path(folder), video, title or video, tracks
        self.expressions, self.key, self.smoothing = tuple(expressions), key, smoothing
        self.model = f"{model} smoothing {smoothing}" if smoothing else model
        self.path = result_file(folder, video)
        self._row = len(self.expressions) * 2 * 4  # bytes of one observation
        check_observations({"frame": tracks.frame, "box": tracks.box}, self.title, hint="Mend what makes the tracks")
        self._job = job_digest(tracks, self.expressions, key, self.model)
        self._partial = PartialFolder(self.path, self.title)
        self.finished = finished_job(self.path) == self._job
        self._logits: IO[bytes] | None = None
        self._written = np.ones(len(tracks), bool) if self.finished else self._open()
        if self.finished:
            self._partial.discard()

    @property
    def written(self) -> np.ndarray:
        """(n,) bool: the rows that need not be computed any more."""
        return self._written.copy()

    def missing(self) -> list[tuple[int, int]]:
        """The ranges [start, stop) of rows that are not written yet, in order."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self._written, [True]]).astype(np.int8)))
        return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]

    def write(self, start: int, logits: np.ndarray) -> None:
        """Write the rows [start, start + k): logits (k, E, 2), (no, yes). Rows written before are replaced.

        Raises:
            InputError: A logit is not finite, or the disk is full.
            ValueError: The rows or the shape do not fit, or the writer is finished or closed.
        """
        if self._logits is None:
            raise ValueError(f"the writer of {self.path} is closed")
        logits = np.ascontiguousarray(logits, "<f4")
        stop = start + len(logits)
        if not 0 <= start <= stop <= len(self._written) or logits.shape[1:] != (len(self.expressions), 2):
            raise ValueError(
                f"logits of shape {logits.shape} for row {start} do not fit "
                f"{len(self._written)} observations x {len(self.expressions)} expressions x 2"
            )
        check_finite(logits, self.title)
        try:
            self._logits.seek(start * self._row)
            self._logits.write(logits.tobytes())
            self._logits.flush()
            with open(self._partial.path / "rows", "r+b") as rows:  # only now: a row counts as written when its logits are
                rows.seek(start)
                rows.write(b"\1" * len(logits))
        except OSError as error:
            raise self._partial.not_written(error) from None
        self._written[start:stop] = True

    def finish(self) -> Path:
        """Assemble the ``.npz`` of the rows, give it its name and remove what was temporary.

        Raises:
            ValueError: Rows are missing.
            InputError: The disk is full.
        """
        if self.finished:
            return self.path
        if self._logits is None:
            raise ValueError(f"the writer of {self.path} is closed")
        if not self._written.all():
            raise ValueError(f"rows {self.missing()} of {self.path} are missing")
        shape = (len(self._written), len(self.expressions), 2)
        try:
            with contextlib.ExitStack() as files:
                source = files.enter_context(self._smoothed(shape)) if self.smoothing and all(shape) else self._logits

                def write(stream: IO[bytes]) -> None:
                    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
                    source.seek(0)
                    shutil.copyfileobj(source, stream, 1 << 20)

                assemble_pairs(self.folder, self.video, self.tracks, self.expressions, self.key, self.model, write, AGAIN)
        except OSError as error:
            raise self._partial.not_written(error) from None
        self.finished = True
        self._partial.remove()
        self.close()
        return self.path

    def _smoothed(self, shape: tuple[int, int, int]) -> IO[bytes]:
        """The rows smoothed along their tracks, in a file of the hidden folder."""
        path = self._partial.path / "smoothed"
        with open(path, "wb") as file:
            allocate(file.fileno(), len(self._written) * self._row)
        rows = np.memmap(self._partial.path / "logits", "<f4", "r", shape=shape)
        smoothed = np.memmap(path, "<f4", "r+", shape=shape)
        smooth_tracks(rows, smoothed, self.tracks.tracks().values(), self.smoothing)
        smoothed.flush()
        return open(path, "rb")

    def close(self) -> None:
        """Let go of the temporary files; what was written stays for a later writer."""
        if self._logits is not None:
            self._logits.close()
        self._logits = None
        self._partial.close()  # last: the lock

    def __enter__(self) -> PairWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> np.ndarray:
        n, partial = len(self.tracks), self._partial
        logits, rows = partial.path / "logits", partial.path / "rows"
        try:
            partial.lock()
            sizes = [path.stat().st_size if path.is_file() else None for path in (logits, rows)]
            if not (partial.holds(self._job) and sizes == [n * self._row, n]):
                partial.clear()
                with open(logits, "wb") as stream:
                    stream.truncate(n * self._row)
                rows.write_bytes(bytes(n))
                partial.sign(self._job)
            self._logits = open(logits, "r+b")
            return np.frombuffer(rows.read_bytes(), np.uint8) == 1
        except OSError as error:
            partial.close()
            raise partial.not_written(error, hint=None) from None
