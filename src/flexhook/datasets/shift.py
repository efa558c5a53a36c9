"""Off by one frame: how well tracker output, and expressions, fit the truth when their frames are shifted.

Overlap alone is a blunt measure: where objects move slowly, or a detector's boxes are all a bit to one side, a
neighbouring shift overlaps as well as the right one. So the *lag* is measured too: by how many frames the tracker's boxes
are ahead of the true ones, which is the slope of their displacement against the true velocity. The right shift leaves no
lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from flexhook.datasets.expression_files import Annotation
from flexhook.structures import TrackSet
from flexhook.structures.boxes import iou

#: Shifts that are tried; a shift of 1 moves the tracker's frame 0 onto the truth's frame 1.
OFFSETS = (-2, -1, 0, 1, 2)
#: A tracker's box that overlaps no true box this much at a shift is not compared with one.
LEAST_OVERLAP = 0.3
#: Shifts whose overlap is within this share of the largest are told apart by their lag.
TIE = 0.02
#: Among them, another shift than none must leave this much less lag, in frames and in standard errors, to be believed.
LEAST_GAIN, CERTAINTY = 0.1, 3.0
#: Fewer boxes than this say nothing.
FEWEST = 20
#: Tracker output that agrees less at every shift is not of this video, or its boxes or the truth's are misread: of KITTI's
#: videos the right tracks agree by 0.54 or more, those of other videos and misread boxes by 0.29 or less.
HARDLY = 0.3


@dataclass(frozen=True, eq=False)
class Fit:
    """How a tracker fits the truth; the fits of several videos add up.

    Attributes:
        boxes: Boxes in frames that have truth at every shift.
        overlap: (5,) sum of each such box's best overlap with a true box at the shift, per :data:`OFFSETS`.
        truths: (5,) true boxes in those frames at the shift.
        covered: (5,) sum of each such true box's best overlap with a tracker's box.
        count: (5,) coordinates compared at each shift.
        vv: (5, g) per shift and true trajectory, the sum of v^2 over them: v is the true velocity in box sizes per frame,
            less its mean over the video and axis.
        vd: (5, g) likewise the sum of v d: d is the displacement of the tracker's box in box sizes.
    """

    boxes: int
    overlap: np.ndarray
    truths: np.ndarray
    covered: np.ndarray
    count: np.ndarray
    vv: np.ndarray
    vd: np.ndarray

    def __add__(self, other: Fit) -> Fit:
        vv, vd = np.concatenate([self.vv, other.vv], axis=1), np.concatenate([self.vd, other.vd], axis=1)
        overlap, truths, covered = self.overlap + other.overlap, self.truths + other.truths, self.covered + other.covered
        return Fit(self.boxes + other.boxes, overlap, truths, covered, self.count + other.count, vv, vd)

    @property
    def mean_overlap(self) -> dict[int, float]:
        """Mean best overlap of a tracker's box with the truth at each shift, from 0 to 1."""
        return dict(zip(OFFSETS, (self.overlap / max(self.boxes, 1)).tolist(), strict=True))

    @property
    def lag(self) -> dict[int, float]:
        """Frames by which the shifted tracker is ahead of the truth, at each shift; NaN where nothing moves."""
        return dict(zip(OFFSETS, self._lags()[0].tolist(), strict=True))

    @property
    def agreement(self) -> float:
        """Mean overlap at the best shift, of the tracker's boxes or of the true ones, whichever is larger."""
        return float(max((self.overlap / max(self.boxes, 1)).max(), (self.covered / np.maximum(self.truths, 1)).max()))

    @property
    def says_nothing(self) -> bool:
        """Whether there are too few boxes to judge by."""
        return self.boxes < FEWEST

    @property
    def best(self) -> int:
        """The shift that fits: 0 unless another one is better beyond doubt.

        Among the shifts whose overlap is about the largest it is the one that leaves the least lag.
        """
        lag, error = (np.abs(values) for values in self._lags())
        none = OFFSETS.index(0)
        near = self.overlap >= (1 - TIE) * self.overlap.max()
        if self.says_nothing or self.agreement < HARDLY:
            return 0
        if np.isnan(lag[near]).all():
            return 0 if near[none] else OFFSETS[int(self.overlap.argmax())]
        best = int(np.nanargmin(np.where(near, lag, np.nan)))
        if not near[none]:
            return OFFSETS[best]
        doubt = max(LEAST_GAIN, CERTAINTY * float(np.hypot(error[best], error[none])))
        return OFFSETS[best] if lag[none] - lag[best] > doubt else 0

    def _lags(self) -> tuple[np.ndarray, np.ndarray]:
        """Lag at each shift and its standard error, in which the boxes of a trajectory count as one."""
        vv, vd = self.vv.sum(axis=1), self.vd.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(self.count >= FEWEST, vd / vv, np.nan)
            error = np.sqrt(((self.vd - slope[:, None] * self.vv) ** 2).sum(axis=1)) / vv
        return slope, error


NOTHING = Fit(0, *np.zeros((4, len(OFFSETS))), *np.zeros((2, len(OFFSETS), 0)))


def track_fit(truth: TrackSet, tracks: TrackSet) -> Fit:
    """How a video's tracks fit its truth at every shift.

    Only boxes in frames whose shifted frames all have truth are used, so that every shift is judged by the same boxes.
    """
    if not len(truth) or not len(tracks):
        return NOTHING
    velocity = _velocity(truth)
    length = int(max(truth.frame.max(), tracks.frame.max())) + max(OFFSETS) + 1
    true_rows, their_rows = _rows_by_frame(truth, length), _rows_by_frame(tracks, length)
    boxes, (overlap, truths, covered) = 0, np.zeros((3, len(OFFSETS)))
    pairs: list[list[np.ndarray]] = [[np.zeros((0, 2), np.int64)] for _ in OFFSETS]
    for frame in np.unique(tracks.frame).tolist():
        around = [true_rows[frame + d] if frame + d >= 0 else slice(0, 0) for d in OFFSETS]
        if any(rows.start == rows.stop for rows in around):
            continue
        theirs = np.arange(their_rows[frame].start, their_rows[frame].stop)
        boxes += len(theirs)
        for k, rows in enumerate(around):
            table = iou(tracks.box[theirs], truth.box[rows])
            mine, best = table.argmax(axis=1), table.max(axis=1)
            overlap[k] += best.sum()
            truths[k] += table.shape[1]
            covered[k] += table.max(axis=0).sum()
            near = best >= LEAST_OVERLAP
            pairs[k].append(np.stack([theirs[near], rows.start + mine[near]], axis=1))
    sums = [_sums(truth, tracks, np.concatenate(p), velocity) for p in pairs]
    count, vv, vd = zip(*sums, strict=True)
    return Fit(boxes, overlap, truths, covered, np.array(count), np.stack(vv), np.stack(vd))


def _velocity(truth: TrackSet) -> np.ndarray:
    """(n, 2) central difference of each true box's centre, pixels per frame; NaN beside gaps and at a track's ends."""
    centre = (truth.box[:, :2] + truth.box[:, 2:]) / 2
    before = truth.rows_of(truth.frame - 1, truth.identity)
    after = truth.rows_of(truth.frame + 1, truth.identity)
    known = (before >= 0) & (after >= 0)
    return np.where(known[:, None], (centre[after] - centre[before]) / 2, np.nan)


def _sums(truth: TrackSet, tracks: TrackSet, pairs: np.ndarray, velocity: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of compared coordinates, and the sums of v^2 and v d of every true trajectory."""
    ids, code = np.unique(truth.identity, return_inverse=True)
    theirs, mine = tracks.box[pairs[:, 0]], truth.box[pairs[:, 1]]
    size = mine[:, 2:] - mine[:, :2]
    v = velocity[pairs[:, 1]] / size
    d = (theirs[:, :2] + theirs[:, 2:] - mine[:, :2] - mine[:, 2:]) / 2 / size
    known = ~np.isnan(v[:, 0])
    v, d, of = v[known], d[known], code[pairs[known, 1]]
    if not len(v):
        return 0, np.zeros(len(ids)), np.zeros(len(ids))
    v, d = v - v.mean(axis=0), d - d.mean(axis=0)
    sums = [np.bincount(of, values.sum(axis=1), len(ids)) for values in (v * v, v * d)]
    return v.size, sums[0], sums[1]


def referent_hits(truth: TrackSet, annotations: Sequence[Annotation]) -> dict[int, int]:
    """How many referents of all expressions have a label when the expressions' frames are shifted."""
    frame = np.concatenate([np.zeros(0, np.int64), *(a.referents.frame for a in annotations)])
    identity = np.concatenate([np.zeros(0, np.int64), *(a.referents.identity for a in annotations)])
    return {d: int((truth.rows_of(frame + d, identity) >= 0).sum()) for d in OFFSETS}


def _rows_by_frame(tracks: TrackSet, length: int) -> list[slice]:
    edges = np.searchsorted(tracks.frame, np.arange(length + 1)).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]
