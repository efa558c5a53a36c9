"""Trackers made from the truth, for ablations of tracker quality on any dataset."""

from __future__ import annotations

from flexhook.structures import TrackSet, Video
from flexhook.synthetic.config import VERSION
from flexhook.synthetic.tracker_errors import TrackerErrors, simulate_tracker
from flexhook.trackers.track_cache import cached_tracks, tracks_digest


class TrueTracks:
    """The truth itself as the tracker: what remains are the referring model's own mistakes."""

    needs_truth = True

    def track(self, video: Video) -> TrackSet:
        """The video's true trajectories."""
        return video.truth

    def key(self, video: Video) -> str:
        """The class and a digest of the truth."""
        return f"TrueTracks {tracks_digest(video.truth)}"


class SimulatedTracks:
    """A simulated tracker's output for a video, the same for the same seed; kept on disk.

    Args:
        errors: Rates of its errors. A larger scale makes a worse tracker.
        seed: Seed of its errors.

    Attributes:
        cache_dir: Folder of the caches, or ``off``; None for :func:`~flexhook.structures.disk_cache.cache_folder`'s.
    """

    cache_dir: str | None = None
    needs_truth = True

    def __init__(self, errors: TrackerErrors, seed: int = 0) -> None:
        self.errors, self.seed = errors, seed

    def track(self, video: Video) -> TrackSet:
        """The video's true trajectories, with errors."""
        return cached_tracks(self.key(video), lambda: simulate_tracker(video, self.errors, self.seed), self.cache_dir)

    def key(self, video: Video) -> str:
        """The class, its settings, and the name, size, length and truth of the video."""
        of_video = f"{video.name} {video.size} {video.num_frames} {tracks_digest(video.truth)}"
        return f"SimulatedTracks {VERSION} {self.errors} {self.seed} {of_video}"
