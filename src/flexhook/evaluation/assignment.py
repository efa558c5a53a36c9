"""The best one-to-one assignment of true to predicted boxes in every frame, mostly without solving anything.

Boxes of a frame seldom compete: a pair whose weight exceeds what all rivals of its two boxes weigh together is part
    of every best assignment (leaving it out would lose more than it could free). Only frames in which boxes do
    compete are handed to the Hungarian algorithm, as the same dense matrix that TrackEval hands to it, so that ties
    fall the same way.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from flexhook.evaluation.sequence import Sequence

MARGIN = 1e-6
"""Relative margin by which a pair must outweigh its rivals: far above rounding, far below real differences."""


def assign(sequence: Sequence, weight: np.ndarray) -> np.ndarray:
    """Which pairs of a sequence the assignment of greatest weight takes, frame by frame.

    Args:
        sequence: The pairs of overlapping boxes.
        weight: (m,) weight of each pair, at least 0; boxes that do not overlap have weight 0 and are not paired.

    Returns:
        (m,) bool, at most one pair per box. A pair of weight 0 is not taken.
    """
    taken = np.zeros(len(weight), bool)
    left = np.flatnonzero(weight > 0)
    while len(left):
        t, p, w = sequence.t[left], sequence.p[left], weight[left]
        rivals = np.bincount(t, w)[t] + np.bincount(p, w)[p] - 2 * w
        sure = w > rivals * (1 + MARGIN)
        if not sure.any():
            for frame in np.unique(sequence.frame[left]):
                at, row, column, shape = sequence.frame_pairs(frame)
                matrix = np.zeros(shape)
                matrix[row, column] = weight[at]
                rows, columns = linear_sum_assignment(-matrix)
                chosen = np.full(shape[0], -1)
                chosen[rows] = columns
                taken[at] = (chosen[row] == column) & (weight[at] > 0)
            return taken
        taken[left[sure]] = True
        t_taken, p_taken = np.zeros(sequence.num_truth, bool), np.zeros(sequence.num_predicted, bool)
        t_taken[t[sure]], p_taken[p[sure]] = True, True
        left = left[~(t_taken[t] | p_taken[p])]
    return taken
