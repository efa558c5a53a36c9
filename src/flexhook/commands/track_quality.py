"""How good detections and tracks are, where there is truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flexhook.commands.data_stats import tracker_quality
from flexhook.evaluation.average_precision import FrameDetections, average_precision
from flexhook.structures import TrackSet, Video

if TYPE_CHECKING:
    from supervision import Detections


def quality(
    videos: Sequence[Video], tracks: Mapping[str, TrackSet], detections: Mapping[str, Sequence[Detections]],
    classes: Sequence[str],
) -> dict[str, float]:
    """AP50 and AP75 of the detections, HOTA and others of the tracks, 0 to 100, pooled over videos.

    Average precision is over the classes that detector and truth both name, else over all objects as one class; the tracks'
    measures do not look at classes.

    Args:
        videos: The videos, with their truth.
        tracks: Tracks by video.
        detections: Per video and frame, in pixels of the original frame.
        classes: Names of the detector's classes.
    """
    shared = [name for name in classes if any(name in video.truth.categories for video in videos)]
    frames = [f for video in videos for f in _frames(video, detections[video.name], classes, shared)]
    found = {f"AP{100 * t:.0f}": 100 * value for t, value in average_precision(frames).items()}
    measured = tracker_quality(list(videos), _Made(tracks))  # type: ignore[arg-type]
    return found | {name.removeprefix("tracker "): value for name, value in measured.items()}


class _Made:
    """Tracks that are there, as a tracker."""

    def __init__(self, tracks: Mapping[str, TrackSet]) -> None:
        self.tracks = tracks

    def track(self, video: Video) -> TrackSet:
        return self.tracks[video.name]


def _frames(
    video: Video, detections: Sequence[Detections], classes: Sequence[str], shared: Sequence[str]
) -> Iterator[FrameDetections]:
    truth = video.truth
    cuts = np.searchsorted(truth.frame, np.arange(video.num_frames + 1))
    mine, true = _numbers(classes, shared), _numbers(truth.categories, shared)
    height, width = video.size
    limits = np.array([width, height, width, height], np.float64)
    for frame, one in enumerate(detections):
        rows = slice(cuts[frame], cuts[frame + 1])
        labels: Any = mine[one.class_id] if shared else np.zeros(len(one), np.int64)
        true_labels = true[truth.category[rows]] if shared else np.zeros(cuts[frame + 1] - cuts[frame], np.int64)
        keep, known = labels >= 0, true_labels >= 0
        scores: Any = one.confidence
        yield FrameDetections(one.xyxy[keep].clip(0, limits), scores[keep], labels[keep],
                              truth.box[rows][known].clip(0, limits), true_labels[known])


def _numbers(names: Sequence[str], shared: Sequence[str]) -> np.ndarray:
    """Number among the shared classes by category, -1 for others and, at the end, for none."""
    return np.array([*(shared.index(name) if name in shared else -1 for name in names), -1], np.int64)
