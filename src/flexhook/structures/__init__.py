"""The one in-memory form of every dataset: videos, track sets, expressions, sparse labels, boxes."""

from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Expression, Frames, Video, make_labels

__all__ = ["Expression", "Frames", "TrackSet", "Video", "make_labels"]
