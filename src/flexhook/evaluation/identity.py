"""Identity matches of one sequence (Ristani et al., 2016), as TrackEval counts them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from flexhook.evaluation.overlaps import THRESHOLD
from flexhook.evaluation.sequence import Sequence


def identity(sequence: Sequence) -> int:
    """Number of boxes matched (IoU of at least 0.5) when whole trajectories are paired in the best way.

    TrackEval minimises false positives plus false negatives over all trajectories, matched or not; that total is
    the number of boxes less twice the matches, so that the best pairing of the trajectories that meet at all gives
    the same number.
    """
    overlaps = sequence.overlaps
    meetings = np.bincount(sequence.code[sequence.iou >= THRESHOLD], minlength=len(overlaps.code_truth))
    used = np.flatnonzero(meetings)
    rows, row = np.unique(overlaps.code_truth[used], return_inverse=True)
    columns, column = np.unique(overlaps.code_track[used], return_inverse=True)
    matrix = np.zeros((len(rows), len(columns)))
    matrix[row, column] = meetings[used]
    return int(matrix[linear_sum_assignment(matrix, maximize=True)].sum())
