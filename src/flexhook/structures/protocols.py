"""Protocols of the parts that make a video's data; each has a plain implementation to copy, named below."""

from __future__ import annotations

from typing import Protocol

from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Video


class Tracker(Protocol):
    """Makes the trajectories of a video. :class:`flexhook.trackers.simulated.TrueTracks` is a plain one."""

    def track(self, video: Video) -> TrackSet:
        """The tracks of a video, boxes in pixels of its original frame.

        Raises:
            flexhook.errors.InputError: Something that the tracks are made from is missing or malformed.
        """
        ...

    def key(self, video: Video) -> str:
        """All that makes the tracks of a video, as a text: class, settings, sizes and times of files.

        Tracks with equal keys are equal; those that are kept on disk are found by it.
        """
        ...
