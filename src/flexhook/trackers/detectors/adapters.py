"""Detections from any function or any library's results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.errors import InputError
from flexhook.structures import Video
from flexhook.structures.digests import Digest
from flexhook.trackers.detections import from_result


class FunctionDetector:
    """A function of one frame as a detector.

    Args:
        function: (H, W, 3) uint8 RGB -> anything that :func:`flexhook.trackers.detections.from_result` takes, such as
            supervision ``Detections`` or an ultralytics result.
        classes: Names of the classes.
        name: What makes its detections, weights and thresholds included: cached detections are found by it.
        sequential: Whether a frame's detections depend on the frames before it.
    """

    def __init__(
        self, function: Callable[[np.ndarray], Any], classes: Sequence[str], name: str, sequential: bool = False
    ) -> None:
        self.function, self.classes, self.name, self.sequential = function, tuple(classes), name, sequential

    def reset(self) -> None:
        """Nothing to do."""

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame."""
        return [from_result(self.function(frame)) for frame in frames]

    def key(self) -> str:
        """The name."""
        return f"FunctionDetector {self.name}"


class GivenDetections:
    """Results that another library has made of the frames of one video.

    Args:
        results: One per frame, each something that :func:`flexhook.trackers.detections.from_result` takes.
        classes: Names of the classes.
    """

    def __init__(self, results: Iterable[Any], classes: Sequence[str] = ("object",)) -> None:
        self.results, self.classes = [from_result(result) for result in results], tuple(classes)

    def of_video(self, video: Video) -> list[Detections]:
        """The detections.

        Raises:
            InputError: The video has another number of frames.
        """
        if len(self.results) != video.num_frames:
            raise InputError(f"there are detections of {len(self.results)} frames", expected=f"one per frame of"
                             f" {video.name}, which has {video.num_frames}", hint="Give an empty result where nothing is")
        return self.results

    def key(self) -> str:
        """A digest of the detections."""
        found = Digest(*self.classes)
        for one in self.results:
            columns = (one.xyxy, one.confidence, one.class_id)
            found.add(*(np.ascontiguousarray(column) for column in columns))
        return f"GivenDetections {found.hex(32)}"
