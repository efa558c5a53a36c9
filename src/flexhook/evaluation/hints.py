"""Why a score may be low: predictions that fit the truth at another frame or in another unit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flexhook.datasets.box_units import unit_by_truth
from flexhook.datasets.sequence_list import few
from flexhook.datasets.shift import track_fit
from flexhook.evaluation.overlaps import Boxes
from flexhook.structures import TrackSet

#: Boxes that are looked at in a video; more tell of smaller shifts and take longer.
ENOUGH = 3000


class Hints:
    """Looks at the boxes of each video, and tells what is odd about them, once for all videos of a kind.

    Args:
        first_frame: The option that numbers the first frame of the predictions.
        number: Its value; None where a remedy cannot be computed from it.
    """

    def __init__(self, first_frame: str, number: int | None = None) -> None:
        self.first_frame, self.number = first_frame, number
        self._found: dict[str, list[str]] = {}

    def look(self, video: str, truth: Boxes, tracks: Boxes, size: tuple[int, int] | None = None) -> None:
        """Look at one video.

        Args:
            video: Its name.
            truth: True boxes.
            tracks: Predicted boxes.
            size: (height, width) of its frames, where it is known.
        """
        if not len(truth.frame) or not len(tracks.frame):
            return
        true, found = _some(truth, tracks)
        if size is None:
            size = (int(true.box[:, 3].max()) + 1, int(true.box[:, 2].max()) + 1)
        unit = unit_by_truth(found, true, size)
        if unit is not None:
            self._take(str(unit), video)
            return
        shift = track_fit(true, found).best
        if shift:
            right = "" if self.number is None else f"={self.number - shift}"
            self._take(f"predictions and true boxes fit best when the predictions are moved by {shift:+d} frames. Are both "
                       f"numbered alike? {self.first_frame}{right} tells where the predictions begin.", video)

    def say(self, say: Callable[[str], object]) -> None:
        """Tell everything that was found."""
        for text, videos in self._found.items():
            say(f"hint: {'video' if len(videos) == 1 else 'videos'} {few(videos)}: {text}")

    def _take(self, text: str, video: str) -> None:
        self._found.setdefault(text, []).append(video)


def _some(truth: Boxes, tracks: Boxes) -> tuple[TrackSet, TrackSet]:
    """Boxes of the first frames that have both; equal (frame, identity) pairs of different files are one."""
    frames = np.intersect1d(truth.frame, tracks.frame)
    counts = np.cumsum(np.isin(tracks.frame, frames))
    last = tracks.frame[np.searchsorted(counts, min(ENOUGH, counts[-1]))] if counts[-1] else -1
    parts = []
    for boxes, numbered in ((truth, True), (tracks, False)):
        rows = np.flatnonzero(boxes.frame <= last + 2)
        if numbered:
            _, first = np.unique(np.stack([boxes.frame[rows], boxes.identity[rows]]), axis=1, return_index=True)
            rows = rows[np.sort(first)]
        identity = boxes.identity[rows] if numbered else np.arange(len(rows))
        parts.append(TrackSet.build(boxes.frame[rows], identity, boxes.box[rows]))
    return parts[0], parts[1]
