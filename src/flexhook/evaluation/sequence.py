"""One sequence of a video: the overlapping pairs among the true and predicted boxes of one expression."""

from __future__ import annotations

import numpy as np

from flexhook.evaluation.overlaps import Overlaps


class Sequence:
    """The part of a video's overlaps that concerns one expression.

    Args:
        overlaps: The overlaps of the video.
        truth_rows: (a,) the rows of the true boxes that the expression refers to.
        track_rows: (b,) the rows of the boxes accepted for it. Where two solutions tie, the order of rows within a
            frame
            decides, as it does in TrackEval.

    Attributes:
        t, p: (m,) the pairs, as positions in ``truth_rows`` and ``track_rows`` sorted by frame.
        frame, iou: (m,) frame and overlap of each pair; pairs are sorted by frame, then t, then p.
        code: (m,) pair of identities, see :class:`flexhook.evaluation.overlaps.Overlaps`.
        truth_code, track_code: (a,), (b,) identity codes of the rows.
        truth_frame, track_frame: (a,), (b,) frames of the rows, ascending.
    """

    def __init__(self, overlaps: Overlaps, truth_rows: np.ndarray, track_rows: np.ndarray) -> None:
        self.overlaps = overlaps
        self.num_truth, self.num_predicted = len(truth_rows), len(track_rows)
        truth_rows, self.truth_frame = _by_frame(truth_rows, overlaps.truth.frame)
        track_rows, self.track_frame = _by_frame(track_rows, overlaps.tracks.frame)
        self.truth_code, self.track_code = overlaps.truth_code[truth_rows], overlaps.track_code[track_rows]
        place_t, place_p = np.full(len(overlaps.truth), -1), np.full(len(overlaps.tracks), -1)
        place_t[truth_rows], place_p[track_rows] = np.arange(len(truth_rows)), np.arange(len(track_rows))
        mine = np.flatnonzero((place_t[overlaps.t] >= 0) & (place_p[overlaps.p] >= 0))
        self.t, self.p = place_t[overlaps.t[mine]], place_p[overlaps.p[mine]]
        if _descends(truth_rows) or _descends(track_rows):
            order = np.lexsort((self.p, self.t))
            mine, self.t, self.p = mine[order], self.t[order], self.p[order]
        self.frame, self.iou, self.code = overlaps.frame[mine], overlaps.iou[mine], overlaps.code[mine]

    def large_frames(self, frames: np.ndarray) -> np.ndarray:
        """Those of some frames in which true or predicted boxes are eight or more, each once.

        NumPy adds up to seven numbers one after the other and more of them in pairs, with another rounding.
        """
        frames = np.unique(frames)
        counts = [
            np.searchsorted(mine, frames, side="right") - np.searchsorted(mine, frames)
            for mine in (self.truth_frame, self.track_frame)
        ]
        return frames[np.maximum(*counts) >= 8]

    def frame_pairs(self, frame: int) -> tuple[slice, np.ndarray, np.ndarray, tuple[int, int]]:
        """The pairs of one frame and their places in its (true x predicted) matrix.

        Returns:
            The slice of the frame's pairs; row and column of each; shape of the matrix, pairless boxes included.
        """
        at, first_t, first_p, shape = self.frame_matrix(frame)
        return at, self.t[at] - first_t, self.p[at] - first_p, shape

    def frame_matrix(self, frame: int) -> tuple[slice, int, int, tuple[int, int]]:
        """The slice of a frame's pairs, its first true and predicted box, and the shape of its matrix."""
        edges = np.array([frame, frame + 1])
        at = slice(*self.frame.searchsorted(edges))
        first_t, end_t = self.truth_frame.searchsorted(edges).tolist()
        first_p, end_p = self.track_frame.searchsorted(edges).tolist()
        return at, first_t, first_p, (end_t - first_t, end_p - first_p)


def _by_frame(rows: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows sorted by frame, in their own order within a frame, and their frames."""
    frames = frame[rows]
    if _descends(frames):
        order = np.argsort(frames, kind="stable")
        return rows[order], frames[order]
    return rows, frames


def _descends(values: np.ndarray) -> bool:
    return bool((np.diff(values) < 0).any())
