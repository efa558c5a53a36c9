"""Trackers made from the truth when they are asked, for ablations of tracker quality on any dataset."""

from __future__ import annotations

from flexhook.structures import TrackSet, Video
from flexhook.synthetic.tracker_errors import TrackerErrors, simulate_tracker


class TrueTracks:
    """The truth itself as the tracker: what remains are the referring model's own mistakes."""

    def read(self, video: Video) -> TrackSet:
        """The video's true trajectories."""
        return video.truth


class SimulatedTracks:
    """A simulated tracker's output for a video, the same for the same seed.

    Args:
        errors: Rates of its errors. A larger scale makes a worse tracker.
        seed: Seed of its errors.
    """

    def __init__(self, errors: TrackerErrors, seed: int = 0) -> None:
        self.errors, self.seed = errors, seed

    def read(self, video: Video) -> TrackSet:
        """The video's true trajectories, spoiled."""
        return simulate_tracker(video, self.errors, self.seed)
