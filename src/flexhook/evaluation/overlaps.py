"""The overlaps of a video's true and predicted boxes: computed once, shared by all its expressions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flexhook.structures import TrackSet

THRESHOLD = 0.5
"""IoU from which CLEAR, Identity and the oracle call two boxes the same object."""

EPS = float(np.finfo(float).eps)
PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one video of which every sequence takes a subset, by row index.

    Unlike in a :class:`flexhook.structures.TrackSet` an identity may occur twice in a frame, as long as no sequence
    takes
    both rows: files of different expressions may disagree about an object.

    Attributes:
        frame: (n,) int64.
        identity: (n,) int64.
        box: (n, 4) float64, (x1, y1, x2, y2).
    """

    frame: np.ndarray
    identity: np.ndarray
    box: np.ndarray

    @classmethod
    def of(cls, tracks: TrackSet) -> Boxes:
        """The boxes of a track set, row for row."""
        return cls(tracks.frame, tracks.identity, tracks.box)

    def __len__(self) -> int:
        return len(self.frame)


class Overlaps:
    """All pairs of a true and a predicted box of one frame that overlap.

    Args:
        truth: The video's true boxes.
        tracks: The video's predicted boxes.

    Attributes:
        truth, tracks: The two sets of boxes.
        truth_code, track_code: (n,) identities as 0, 1, 2, ...
        t, p: (m,) rows of the true and of the predicted box of each pair, sorted by frame, then t, then p.
        iou: (m,) intersection over union, above 0.
        code: (m,) which pair of identities it is, 0 to ``len(code_truth) - 1``.
        code_truth, code_track: (k,) the identity codes of each pair of identities.
    """

    def __init__(self, truth: Boxes, tracks: Boxes) -> None:
        self.truth, self.tracks = truth, tracks
        self.truth_ids, self.truth_code = np.unique(truth.identity, return_inverse=True)
        self.track_ids, self.track_code = np.unique(tracks.identity, return_inverse=True)
        self.t, self.p, self.iou = _overlapping(truth, tracks)
        both = self.truth_code[self.t] * len(self.track_ids) + self.track_code[self.p]
        codes, self.code = np.unique(both, return_inverse=True)
        self.code_truth, self.code_track = np.divmod(codes, max(1, len(self.track_ids)))

    @cached_property
    def frame(self) -> np.ndarray:
        """(m,) frame of each pair."""
        return self.truth.frame[self.t]


def _overlapping(truth: Boxes, tracks: Boxes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the pairs that share a frame and overlap, and their IoU; block by block of frames, to bound memory."""
    order_t, order_p = np.argsort(truth.frame, kind="stable"), np.argsort(tracks.frame, kind="stable")
    frames, first_t, count_t = np.unique(truth.frame[order_t], return_index=True, return_counts=True)
    first_p = np.searchsorted(tracks.frame[order_p], frames)
    count_p = np.searchsorted(tracks.frame[order_p], frames, side="right") - first_p
    block = np.cumsum(count_t * count_p) // PAIRS_AT_ONCE
    parts = []
    for chosen in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(block)) + 1):
        n_t, n_p = count_t[chosen], count_p[chosen]
        of_frame = np.repeat(np.arange(len(chosen)), n_t * n_p)
        within = np.arange(len(of_frame)) - np.repeat(np.cumsum(n_t * n_p) - n_t * n_p, n_t * n_p)
        row, column = np.divmod(within, n_p[of_frame])
        t = order_t[first_t[chosen][of_frame] + row]
        p = order_p[first_p[chosen][of_frame] + column]
        iou = pair_iou(truth.box[t], tracks.box[p])
        parts.append((t[iou > 0], p[iou > 0], iou[iou > 0]))
    t, p, iou = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return t, p, iou


def pair_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of row k of ``a`` with row k of ``b``: (m, 4), (m, 4) -> (m,), in TrackEval's arithmetic to the last bit."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    overlap = np.maximum(low[:, 2] - high[:, 0], 0) * np.maximum(low[:, 3] - high[:, 1], 0)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a + area_b - overlap
    solid = (area_a > EPS) & (area_b > EPS) & (union > EPS)
    return np.where(solid, overlap, 0) / np.where(solid, union, 1)
