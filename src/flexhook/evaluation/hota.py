"""HOTA of one sequence (Luiten et al., IJCV 2021), vectorised over frames, thresholds and pairs of trajectories."""

from __future__ import annotations

import numpy as np

from flexhook.evaluation.assignment import assign
from flexhook.evaluation.overlaps import EPS
from flexhook.evaluation.sequence import Sequence
from flexhook.evaluation.statistics import ALPHAS


def hota(sequence: Sequence) -> dict[str, np.ndarray]:
    """The matched pairs and their association, summed over the sequence at every threshold.

    Boxes are matched once per frame, for all thresholds, so that the sum of IoU x global alignment is greatest; the
    global alignment of two trajectories is the Jaccard index of their (soft) overlaps. A matched pair counts at the
    thresholds that its IoU reaches.

    Returns:
        The columns ``matches``, ``overlap``, ``association``, ``association_recall`` and ``association_precision``
        of :class:`flexhook.evaluation.statistics.Statistics`, (19,) each.
    """
    overlaps, code, iou = sequence.overlaps, sequence.code, sequence.iou
    k = len(overlaps.code_truth)
    length_t = np.bincount(sequence.truth_code, minlength=len(overlaps.truth_ids))[overlaps.code_truth]  # (k,)
    length_p = np.bincount(sequence.track_code, minlength=len(overlaps.track_ids))[overlaps.code_track]

    shared = np.bincount(code, _soft_overlap(sequence), minlength=k)
    weight = (shared / np.maximum(length_t + length_p - shared, EPS))[code] * iou
    matched = assign(sequence, weight)

    code, iou = code[matched], iou[matched]
    reached = np.searchsorted(ALPHAS - EPS, iou, side="right")  # number of thresholds that the pair reaches
    cell = np.bincount(code * (len(ALPHAS) + 1) + reached, minlength=k * (len(ALPHAS) + 1))
    counts = _at_least(cell.reshape(k, -1))  # (k, 19)
    used = counts[:, 0] > 0
    counts, length_t, length_p = counts[used], length_t[used, None], length_p[used, None]
    return {
        "matches": counts.sum(0),
        "overlap": _at_least(np.bincount(reached, iou, minlength=len(ALPHAS) + 1)[None])[0],
        "association": (counts * (counts / np.maximum(1, length_t + length_p - counts))).sum(0),
        "association_recall": (counts * (counts / np.maximum(1, length_t))).sum(0),
        "association_precision": (counts * (counts / np.maximum(1, length_p))).sum(0),
    }


def _at_least(histogram: np.ndarray) -> np.ndarray:
    """(k, 20) values by the number of thresholds reached -> (k, 19) values of those that reach each threshold."""
    return np.cumsum(histogram[:, :0:-1], axis=1)[:, ::-1]


def _soft_overlap(sequence: Sequence) -> np.ndarray:
    """(m,) IoU of each pair over the sum of IoUs of its two boxes (counting its own once)."""
    t, p, iou = sequence.t, sequence.p, sequence.iou
    rivals = np.bincount(p, iou, sequence.num_predicted)[p] + np.bincount(t, iou, sequence.num_truth)[t] - iou
    crowded = (np.bincount(t, minlength=1)[t] > 2) | (np.bincount(p, minlength=1)[p] > 2)
    for frame in sequence.large_frames(sequence.frame[crowded]):  # many terms: in NumPy's order, TrackEval's own
        at, row, column, shape = sequence.frame_pairs(frame)
        matrix = np.zeros(shape)
        matrix[row, column] = iou[at]
        rivals[at] = (matrix.sum(0)[None] + matrix.sum(1)[:, None] - matrix)[row, column]
    return np.divide(iou, rivals, out=np.zeros_like(iou), where=rivals > EPS)
