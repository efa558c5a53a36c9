"""Puts the parts of a video together: looks up among the observations what the expressions refer to."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from flexhook.datasets.expression_files import Annotation
from flexhook.datasets.problems import Report, strict
from flexhook.errors import InputError
from flexhook.structures import Frames, TrackSet, Video, make_labels

log = logging.getLogger(__name__)


def assemble(
    name: str,
    size: tuple[int, int],
    frames: Frames,
    truth: TrackSet,
    annotations: Sequence[Annotation],
    *,
    drop_missing: bool = False,
    report: Report = strict,
    lacking: str = "",
) -> Video:
    """Make a video of its parts.

    Args:
        name: The video's name.
        size: (height, width) of the original frame.
        frames: Its pictures.
        truth: Its observations.
        annotations: Its expressions with their referents.
        drop_missing: Leave out referents that no observation is, with one warning, instead of reporting them.
        report: Receives expressions that name a frame or identity which does not exist, once per expression.
        lacking: What is known of rows that the labels leave out, for the message.

    Raises:
        InputError: A referent does not exist and ``drop_missing`` is off.
    """
    column, frame, identity = _pairs(annotations)
    rows = truth.rows_of(frame, identity)
    missing = np.flatnonzero(rows < 0)
    if len(missing) and drop_missing:
        count = len(np.unique(column[missing]))
        log.warning(
            "%s: %d of %d referents, in %d of %d expressions, have no label and are left out",
            *(name, len(missing), len(rows), count, len(annotations)),
        )
    elif len(missing):
        for c in np.unique(column[missing]).tolist():
            of_this = missing[column[missing] == c]
            _report_missing(name, annotations[c], frame[of_this], identity[of_this], len(frames), report, lacking)
    hit = rows >= 0
    labels = make_labels(rows[hit], column[hit], (len(truth), len(annotations)))
    return Video(name, size, frames, truth, tuple(a.expression for a in annotations), labels)


def _pairs(annotations: Sequence[Annotation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns (expression, frame, identity) of every referent of every expression."""
    counts = [len(a.referents) for a in annotations]
    nothing = np.zeros(0, np.int64)
    frame = np.concatenate([nothing, *(a.referents.frame for a in annotations)])
    identity = np.concatenate([nothing, *(a.referents.identity for a in annotations)])
    return np.repeat(np.arange(len(annotations)), counts), frame, identity


def _report_missing(
    name: str, source: Annotation, frame: np.ndarray, identity: np.ndarray, num_frames: int, report: Report, lacking: str
) -> None:
    first = int(frame[0])
    if first >= num_frames:
        kind = "frame-outside-video"
        last = num_frames - 1 + source.first_frame
        problem = f"the expression names frame {first + source.first_frame}, the last one of video {name} is {last}"
    else:
        kind = "missing-referent"
        problem = f"the expression names identity {identity[0]} in frame {first + source.first_frame}, which no label has"
    if len(frame) > 1:
        problem += f" ({len(frame)} such referents in this file)"
    if kind == "missing-referent" and lacking:
        problem += f"; of the labels {lacking}"
    error = InputError(
        problem,
        file=source.file,
        line=source.line_of_frame(first),
        expected="frames and identities that the labels have",
        hint="Check the first frames in the data configuration; data.reader.on_missing_referent=drop leaves such referents out",
    )
    report(kind, error)
