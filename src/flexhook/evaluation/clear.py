"""CLEAR matches and identity switches of one sequence (Bernardin and Stiefelhagen, 2008), as TrackEval counts them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from flexhook.evaluation.overlaps import EPS, THRESHOLD
from flexhook.evaluation.sequence import Sequence


def clear(sequence: Sequence) -> tuple[int, int]:
    """Number of matched pairs and of identity switches of a sequence.

    Boxes are matched frame by frame where their IoU reaches 0.5: first as many pairs as possible that were matched
    in the frame before, then the greatest IoU. The frame before is the last one with true and with predicted boxes.
    """
    near = sequence.iou >= THRESHOLD - EPS
    t, p, frame = sequence.t[near], sequence.p[near], sequence.frame[near]
    matched = np.ones(len(t), bool)
    competing = (np.bincount(t, minlength=1)[t] > 1) | (np.bincount(p, minlength=1)[p] > 1)
    if competing.any():
        lively = np.intersect1d(sequence.truth_frame, sequence.track_frame)
        for now in np.unique(frame[competing]):
            before = lively[max(0, np.searchsorted(lively, now) - 1)]
            last = slice(*np.searchsorted(frame, [before, before + 1])) if before < now else slice(0)
            held = matched[last]
            partner = dict(zip(sequence.truth_code[t[last][held]], sequence.track_code[p[last][held]], strict=True))
            at = slice(*np.searchsorted(frame, [now, now + 1]))
            matched[at] = _match(sequence, near, now, partner)
    t, p = sequence.truth_code[t[matched]], sequence.track_code[p[matched]]
    order = np.argsort(t, kind="stable")  # by true identity, in the order of time
    t, p = t[order], p[order]
    return len(t), int(((t[1:] == t[:-1]) & (p[1:] != p[:-1])).sum())


def _match(sequence: Sequence, near: np.ndarray, frame: int, partner: dict[int, int]) -> np.ndarray:
    """Which of the near pairs of a frame are matched, given who was matched to whom in the frame before."""
    at, row, column, shape = sequence.frame_pairs(frame)
    keep = near[at]
    t, p, row, column = sequence.t[at][keep], sequence.p[at][keep], row[keep], column[keep]
    goes_on = [partner.get(a) == b for a, b in zip(sequence.truth_code[t], sequence.track_code[p], strict=True)]
    matrix = np.zeros(shape)
    matrix[row, column] = 1000 * np.array(goes_on) + sequence.iou[at][keep]
    rows, columns = linear_sum_assignment(-matrix)
    chosen = np.full(shape[0], -1)
    chosen[rows] = columns
    return chosen[row] == column
