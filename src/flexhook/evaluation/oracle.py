"""The limits a referring model works between: what its tracks could reach at best, and what answering "all" reaches."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from flexhook.evaluation.assignment import assign
from flexhook.evaluation.overlaps import EPS, THRESHOLD, Overlaps
from flexhook.evaluation.sequence import Sequence
from flexhook.structures import TrackSet


def oracle_labels(overlaps: Overlaps, labels: csr_array) -> np.ndarray:
    """The labels that tracked boxes deserve: each box takes those of the true box that it overlaps.

    In every frame boxes are matched one to one so that the total IoU of pairs of at least 0.5 is greatest
    (Hungarian matching); a box without a match deserves no label.

    Args:
        overlaps: The overlaps of the video's true and tracked boxes.
        labels: (truth x expressions) the expressions' true labels.

    Returns:
        (tracks x expressions) bool.
    """
    whole = Sequence(overlaps, np.arange(len(overlaps.truth)), np.arange(len(overlaps.tracks)))
    matched = assign(whole, np.where(whole.iou >= THRESHOLD - EPS, whole.iou, 0))
    out = np.zeros((len(overlaps.tracks), labels.shape[1]), bool)
    out[whole.p[matched]] = labels[whole.t[matched]].toarray()
    return out


def judged_rows(tracks: TrackSet, judge_last: bool) -> np.ndarray:
    """(n,) bool: the observations that count; without ``judge_last`` a track's last one does not.

    The published scoring never judges a track's last observation, so that it is missing from its predictions
    (``protocol=published``).
    """
    judged = np.ones(len(tracks), bool)
    if not judge_last and len(tracks):
        _, last = np.unique(tracks.identity[::-1], return_index=True)
        judged[len(tracks) - 1 - last] = False
    return judged
