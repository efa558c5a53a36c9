"""Statistics of many sequences, video by video, by the fast evaluation or by the trackeval package."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flexhook.errors import ConfigError
from flexhook.evaluation.clear import clear
from flexhook.evaluation.hota import hota
from flexhook.evaluation.identity import identity
from flexhook.evaluation.overlaps import Boxes, Overlaps
from flexhook.evaluation.sequence import Sequence
from flexhook.evaluation.statistics import Statistics

ENGINES = ("fast", "trackeval")
CHUNK = 64
AHEAD = 2
"""Chunks per process that wait while an earlier video is not done: enough to keep all busy, few enough to hold."""


@dataclass(frozen=True, eq=False)
class Job:
    """The sequences of one video.

    Attributes:
        truth: The video's true boxes.
        tracks: Its predicted boxes.
        truth_rows: For every sequence the rows of the true boxes that its expression refers to.
        track_rows: For every sequence the rows of the boxes accepted for it; an identity at most once per frame.
    """

    truth: Boxes
    tracks: Boxes
    truth_rows: list[np.ndarray]
    track_rows: list[np.ndarray]

    @cached_property
    def overlaps(self) -> Overlaps:
        """The overlaps of the video, shared by the sequences."""
        return Overlaps(self.truth, self.tracks)

    def parts(self, size: int) -> list[Job]:
        """The same sequences, ``size`` at a time; overlaps that are computed already go along."""
        starts = range(0, len(self.truth_rows), size)
        parts = [
            Job(self.truth, self.tracks, self.truth_rows[start : start + size], self.track_rows[start : start + size])
            for start in starts
        ]
        known = {name: value for name, value in self.__dict__.items() if name == "overlaps"}
        for part in parts:
            part.__dict__.update(known)
        return parts


def statistics(jobs: Iterable[Job], *, engine: str = "fast", processes: int = 1) -> Iterator[Statistics]:
    """Evaluate the sequences of every job, in order.

    Args:
        jobs: One per video.
        engine: ``"fast"`` or ``"trackeval"``; the numbers agree to 1e-9, the latter takes tens of times longer.
        processes: Number of processes that share the sequences; starting one takes about a second. Videos are read as the
            processes get to them.

    Yields:
        The statistics of one job's sequences.

    Raises:
        ConfigError: Another engine or number of processes.
    """
    if engine not in ENGINES:
        raise ConfigError(f"the evaluation engine '{engine}' is unknown", expected=f"one of {', '.join(ENGINES)}")
    if not isinstance(processes, int) or processes < 1:
        raise ConfigError(f"{processes} processes cannot evaluate", expected="a number of at least 1")
    work = fast_statistics if engine == "fast" else _reference
    if processes == 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: deque[list[Future[Statistics]]] = deque()
        for job in jobs:
            if engine == "fast":
                _ = job.overlaps  # computed once, here
            waiting.append([pool.submit(work, part) for part in job.parts(CHUNK)])
            while len(waiting) > 1 and sum(map(len, waiting)) - len(waiting[0]) >= AHEAD * processes:
                yield Statistics.concatenate(part.result() for part in waiting.popleft())
        while waiting:
            yield Statistics.concatenate(part.result() for part in waiting.popleft())


def fast_statistics(job: Job) -> Statistics:
    """The statistics of a job's sequences: overlaps once, then each sequence on its share of them."""
    out = Statistics.zeros(len(job.truth_rows))
    for s, (truth_rows, track_rows) in enumerate(zip(job.truth_rows, job.track_rows, strict=True)):
        out.truth[s], out.predicted[s] = len(truth_rows), len(track_rows)
        sequence = Sequence(job.overlaps, truth_rows, track_rows)
        if len(sequence.iou) == 0:
            continue
        for name, values in hota(sequence).items():
            getattr(out, name)[s] = values
        out.clear_matches[s], out.switches[s] = clear(sequence)
        out.identity_matches[s] = identity(sequence)
    return out


def _reference(job: Job) -> Statistics:
    from flexhook.evaluation.trackeval_reference import reference_statistics

    return reference_statistics(job.truth, job.tracks, job.truth_rows, job.track_rows)
