"""CLEAR matches and identity switches of one sequence (Bernardin and Stiefelhagen, 2008), as TrackEval counts them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from flexhook.evaluation.overlaps import EPS, THRESHOLD
from flexhook.evaluation.sequence import Sequence


def clear(sequence: Sequence) -> tuple[int, int]:
    """Number of matched pairs and of identity switches of a sequence.

    Boxes are matched frame by frame where their IoU reaches 0.5: first as many pairs as possible that were matched in
    the frame before, then the greatest IoU. The frame before is the last one with true and with predicted boxes.
    """
    near = np.flatnonzero(sequence.iou >= THRESHOLD - EPS)
    t, p = sequence.truth_code[sequence.t[near]], sequence.track_code[sequence.p[near]]
    matched = np.ones(len(near), bool)
    for now, before in _contested(sequence, near):
        held = matched[before]
        partner = dict(zip(t[before][held].tolist(), p[before][held].tolist(), strict=True))
        goes_on = [partner.get(a) == b for a, b in zip(t[now].tolist(), p[now].tolist(), strict=True)]
        matched[now] = _match(sequence, near[now], goes_on)
    t, p = t[matched], p[matched]
    order = np.argsort(t, kind="stable")  # by true identity, in the order of time
    t, p = t[order], p[order]
    return len(t), int(((t[1:] == t[:-1]) & (p[1:] != p[:-1])).sum())


def _contested(sequence: Sequence, near: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """The near pairs of each frame in which a box has several, and those of the frame before it, in the order of time."""
    t, p, frame = sequence.t[near], sequence.p[near], sequence.frame[near]
    contested = np.unique(frame[(np.bincount(t, minlength=1)[t] > 1) | (np.bincount(p, minlength=1)[p] > 1)])
    lively = np.intersect1d(sequence.truth_frame, sequence.track_frame)
    place = np.searchsorted(lively, contested)
    before = np.where(place > 0, lively[place - 1], contested[:1] - 1) if len(contested) else contested
    edges = [np.searchsorted(frame, values, side) for values in (contested, before) for side in ("left", "right")]
    for start, stop, start_before, stop_before in np.stack(edges, axis=1).tolist():
        yield slice(start, stop), slice(start_before, stop_before)


def _match(sequence: Sequence, pairs: np.ndarray, goes_on: list[bool]) -> np.ndarray:
    """Which near pairs of one frame are matched, given which of them were matched in the frame before."""
    t, p = sequence.t[pairs].tolist(), sequence.p[pairs].tolist()
    t_held = {box for box, held in zip(t, goes_on, strict=True) if held}
    p_held = {box for box, held in zip(p, goes_on, strict=True) if held}
    free = [k for k in range(len(t)) if t[k] not in t_held and p[k] not in p_held]
    if len({t[k] for k in free}) == len({p[k] for k in free}) == len(free):  # nothing is left to choose
        chosen = np.array(goes_on)
        chosen[free] = True
        return chosen
    _, first_t, first_p, shape = sequence.frame_matrix(sequence.frame[pairs[0]])
    row, column = sequence.t[pairs] - first_t, sequence.p[pairs] - first_p
    matrix = np.zeros(shape)
    matrix[row, column] = 1000 * np.array(goes_on) + sequence.iou[pairs]
    rows, columns = linear_sum_assignment(-matrix)
    chosen_column = np.full(shape[0], -1)
    chosen_column[rows] = columns
    return chosen_column[row] == column
