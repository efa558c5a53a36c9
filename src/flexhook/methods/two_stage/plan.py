"""Which frames the windows of a video's tracks need, and until when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexhook.sampling.windows import scoring_windows
from flexhook.structures import TrackSet


@dataclass
class ScoringPlan:
    """The windows still to be judged, frame by frame.

    Attributes:
        rows: (n, T) the observations of each observation's window, as rows of the track set.
        frames: (n, T) their frames.
        ends: The frames at which windows end, increasing.
        ending: Per entry of ``ends`` the rows to be judged there.
        uses: Frame -> the increasing ``ends`` whose windows need it.
        needed_rows: Frame -> the rows there that some window needs.
        last_end: (n,) the last of ``ends`` whose windows need the observation; -1 where none does.
    """

    rows: np.ndarray
    frames: np.ndarray
    ends: list[int]
    ending: list[np.ndarray]
    uses: dict[int, list[int]]
    needed_rows: dict[int, np.ndarray]
    last_end: np.ndarray

    @classmethod
    def of(cls, tracks: TrackSet, num_frames: int, judged: np.ndarray) -> ScoringPlan:
        """Plan the windows of some observations.

        Args:
            tracks: All observations of the video.
            num_frames: T.
            judged: (n,) bool, the observations whose windows are to be scored.
        """
        rows = np.zeros((len(tracks), num_frames), np.int64)
        for track in tracks.tracks().values():
            rows[track] = track[scoring_windows(len(track), num_frames)]
        frames = tracks.frame[rows]
        wanted = np.flatnonzero(judged)
        ends, first = np.unique(tracks.frame[wanted], return_index=True)  # rows are sorted by frame
        ending = np.split(wanted, first[1:]) if len(wanted) else []
        uses: dict[int, list[int]] = {}
        for end, at_end in zip(ends.tolist(), ending, strict=True):
            for frame in np.unique(frames[at_end]).tolist():
                uses.setdefault(frame, []).append(end)
        needed = np.unique(rows[wanted])
        starts, first = np.unique(tracks.frame[needed], return_index=True)
        by_frame = np.split(needed, first[1:]) if len(needed) else []
        last_end = np.full(len(tracks), -1, np.int64)
        np.maximum.at(last_end, rows[wanted], tracks.frame[wanted][:, None])
        return cls(rows, frames, ends.tolist(), ending, uses, dict(zip(starts.tolist(), by_frame, strict=True)), last_end)
