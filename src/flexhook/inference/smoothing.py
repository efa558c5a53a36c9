"""Smoothing of scores along tracks: what is seen of an object just before and after speaks for it, too."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def smooth_track(logits: np.ndarray, reach: int) -> np.ndarray:
    """Moving mean over a track's observations.

    Args:
        logits: (n, E, 2) of one track's observations in the order of time.
        reach: Observations on either side that count; near the track's ends, those that there are.

    Returns:
        (n, E, 2) float32.
    """
    row = np.arange(len(logits))
    first, stop = np.maximum(row - reach, 0), np.minimum(row + reach + 1, len(logits))
    total = np.concatenate([np.zeros((1, *logits.shape[1:])), np.cumsum(logits, axis=0, dtype=np.float64)])
    return ((total[stop] - total[first]) / (stop - first)[:, None, None]).astype(np.float32)


def smooth_tracks(source: np.ndarray, target: np.ndarray, tracks: Iterable[np.ndarray], reach: int) -> None:
    """Smooth every track of a video; arrays on disk (``numpy.memmap``) are read and written a track at a time.

    Args:
        source: (n, E, 2) logits.
        target: (n, E, 2) where the smoothed ones go.
        tracks: Rows of each track in the order of time.
        reach: As of :func:`smooth_track`.
    """
    for rows in tracks:
        target[rows] = smooth_track(source[rows], reach)
