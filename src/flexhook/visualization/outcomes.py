"""What became of one expression: which boxes were found, missed or raised by mistake, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment

from flexhook.structures import Expression, ExpressionResult, TrackSet, Video
from flexhook.structures.boxes import iou

MATCH_IOU = 0.5


@dataclass(frozen=True, eq=False)
class FrameOutcome:
    """The boxes of one frame by what became of them; each array holds row indices.

    Attributes:
        correct: Accepted tracker boxes that cover a referent; without ground truth all accepted ones.
        false_alarm: Accepted tracker boxes that cover none, or one that another box covers already.
        other: Tracker boxes that were not accepted.
        found: Rows of the truth: referents that a correct box covers, in the order of ``correct``.
        missed: Rows of the truth: referents that no accepted box covers.
        rejected: For each of ``missed`` the tracker box in ``other`` that covers it best, -1 where none does.
    """

    correct: np.ndarray
    false_alarm: np.ndarray
    other: np.ndarray
    found: np.ndarray
    missed: np.ndarray
    rejected: np.ndarray


@dataclass(frozen=True, eq=False)
class ScoredExpression:
    """One expression of one video with the scores of every tracker box and, where there is one, its ground truth.

    Attributes:
        video: The video.
        expression: The expression.
        tracks: The tracker's observations, n of them.
        accepted: (n,) bool, True where the expression was accepted for the observation.
        probability: (n,) float64, how sure the method is of yes, 0 to 1.
        referent: (len(video.truth),) bool, True where the expression refers to the observation; None without truth.
    """

    video: Video
    expression: Expression
    tracks: TrackSet
    accepted: np.ndarray
    probability: np.ndarray
    referent: np.ndarray | None

    @classmethod
    def of(cls, video: Video, result: ExpressionResult) -> ScoredExpression:
        """One expression's result, with the labels of the video's expression of that slug if it has one."""
        expression, slugs = result.expression, [e.slug for e in video.expressions]
        referent = None
        if len(video.truth) and expression.slug in slugs:
            referent = video.labels[:, [slugs.index(expression.slug)]].toarray()[:, 0].astype(bool)
        return cls(video, expression, result.tracks, result.accepted, result.score, referent)

    def at(self, frame: int) -> FrameOutcome:
        """The outcome in one frame: accepted boxes and referents are paired one to one at an IoU of at least 0.5.

        Of all pairings the one with most pairs is taken, of these the one with the largest sum of IoU, as in CLEAR MOT.
        """
        rows = _rows(self.tracks, frame)
        yes, other = rows[self.accepted[rows]], rows[~self.accepted[rows]]
        nothing = np.zeros(0, np.int64)
        if self.referent is None:
            return FrameOutcome(yes, nothing, other, nothing, nothing, nothing)
        truth = _rows(self.video.truth, frame)
        truth = truth[self.referent[truth]]
        overlap = iou(self.tracks.box[yes], self.video.truth.box[truth])
        a, b = linear_sum_assignment(np.where(overlap >= MATCH_IOU, len(yes) + overlap, 0), maximize=True)
        a, b = a[overlap[a, b] >= MATCH_IOU], b[overlap[a, b] >= MATCH_IOU]
        missed = np.delete(truth, b)
        left = iou(self.video.truth.box[missed], self.tracks.box[other])
        rejected = np.full(len(missed), -1, np.int64)
        if len(other) and len(missed):
            best = left.argmax(1)
            covers = left[np.arange(len(missed)), best] >= MATCH_IOU
            rejected[covers] = other[best[covers]]
        return FrameOutcome(yes[a], np.delete(yes, a), other, truth[b], missed, rejected)

    @cached_property
    def accepted_identities(self) -> np.ndarray:
        """The identities with an accepted box, increasing: the places of their colours."""
        return np.unique(self.tracks.identity[self.accepted])

    def eventful_frames(self) -> np.ndarray:
        """Frames of the video, increasing, that hold an accepted box or a referent; all frames where none does."""
        frames = self.tracks.frame[self.accepted]
        if self.referent is not None:
            frames = np.concatenate([frames, self.video.truth.frame[self.referent]])
        frames = np.unique(frames)
        frames = frames[(frames >= 0) & (frames < self.video.num_frames)]
        return frames if len(frames) else np.arange(self.video.num_frames)


def _rows(tracks: TrackSet, frame: int) -> np.ndarray:
    start, stop = np.searchsorted(tracks.frame, [frame, frame + 1])
    return np.arange(start, stop)
