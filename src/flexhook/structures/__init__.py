"""The one in-memory form of every dataset: videos, track sets, expressions, sparse labels, boxes."""

from flexhook.structures.results import ExpressionResult, PairResults, Results, RowResults
from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Expression, Frames, Video, make_labels

__all__ = [
    "Expression", "ExpressionResult", "Frames", "PairResults", "Results", "RowResults", "TrackSet", "Video", "make_labels",
]
