"""Windows of a track: where they start, which observations they hold."""

from __future__ import annotations

import numpy as np


def window_starts(num_observations: int, num_frames: int, stride: int) -> np.ndarray:
    """First index of every training span of a track, and of every published validation window.

    Args:
        num_observations: n, observations of the track.
        num_frames: T; tracks under T observations have no spans.
        stride: Distance of starts. A larger one gives fewer windows.

    Returns:
        Every stride-th index from -(T-1) to n-T-1; an index below 0 stands for the first observation.
    """
    if num_observations < num_frames:
        return np.zeros(0, np.int64)
    return np.arange(-(num_frames - 1), num_observations - num_frames, stride, dtype=np.int64)


def validation_starts(num_observations: int, num_frames: int, stride: int) -> np.ndarray:
    """First index of every validation window of a track; the last window ends on the last observation.

    Args:
        num_observations: n, observations of the track.
        num_frames: T; tracks under T observations have no windows.
        stride: Distance of windows, counted back from the last one. 1 ends a window on every observation.

    Returns:
        Every stride-th index from n-T down to -(T-1), in rising order; an index below 0 stands for the first observation.
    """
    if num_observations < num_frames:
        return np.zeros(0, np.int64)
    return np.arange(num_observations - num_frames, -num_frames, -stride, dtype=np.int64)[::-1]


def span_of(start: int, length: int, num_observations: int) -> np.ndarray:
    """Observation indices of a span: ``length`` consecutive ones from ``start``, cut at the track's end, the first repeated."""
    stop = min(start + length, num_observations)
    return np.maximum(np.arange(start, stop), 0)


def scoring_windows(num_observations: int, num_frames: int) -> np.ndarray:
    """The window of every observation: T consecutive observations ending at it, the first repeated where there are too few.

    Returns:
        (n, T) observation indices.
    """
    last = np.arange(num_observations)[:, None]
    return np.maximum(last + np.arange(1 - num_frames, 1)[None], 0)
