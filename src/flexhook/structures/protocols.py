"""Protocols of the parts that make a video's data; each has a plain implementation to copy, named below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Video

if TYPE_CHECKING:
    from supervision import Detections


class Tracker(Protocol):
    """Makes the trajectories of a video. :class:`flexhook.trackers.simulated.TrueTracks` is a plain one.

    Attributes:
        needs_truth: Whether it looks at the video's true tracks, which videos outside of a dataset do not have.
    """

    needs_truth: bool

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


class Detector(Protocol):
    """Finds objects in single frames. :class:`flexhook.trackers.detectors.adapters.FunctionDetector` is a plain one.

    Attributes:
        classes: Names of the classes; detections count them from 0.
        sequential: Whether a frame's detections depend on the frames before it. Then frames come in order from the first
            one of a video, after :meth:`reset`.
    """

    classes: tuple[str, ...]
    sequential: bool

    def reset(self) -> None:
        """Begin a new video."""
        ...

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame.

        Args:
            frames: (H, W, 3) uint8 RGB each.

        Returns:
            Per frame supervision ``Detections`` with ``xyxy`` (n, 4) float32 in pixels of that frame, ``confidence`` (n,)
            float32 in [0, 1] and ``class_id`` (n,) int64, also where n is 0.
        """
        ...

    def key(self) -> str:
        """Weights, thresholds and all else that makes the detections of a frame, as a text; detections are cached by it."""
        ...


class SentenceDetector(Protocol):
    """Finds what sentences refer to in single frames, a sentence by itself.

    :class:`flexhook.methods.grounding.transformers_model.GroundedDetector` is one of pretrained models.

    Attributes:
        threshold: No detection has a lower score, 0 to 1.
    """

    threshold: float

    def to(self, device: Any) -> None:
        """Compute on a ``torch.device`` from now on."""
        ...

    def check(self, sentence: str) -> None:
        """See that it can look for a sentence.

        Raises:
            flexhook.errors.InputError: It cannot, such as where it knows none of the words.
        """
        ...

    def detect(self, frame: np.ndarray, sentences: Sequence[str]) -> list[Detections]:
        """Detections per sentence, which do not depend on the other sentences.

        Args:
            frame: (H, W, 3) uint8 RGB.
            sentences: Those that are looked for.

        Returns:
            As :meth:`Detector.detect` gives them, ``class_id`` 0, ``confidence`` how sure it is that the sentence refers to
            the box.
        """
        ...

    def key(self) -> str:
        """Weights, thresholds and all else but the sentence that makes detections, as a text; they are cached by it."""
        ...


@runtime_checkable
class VideoDetections(Protocol):
    """Detections that are there already, such as files. :class:`flexhook.trackers.detectors.adapters.GivenDetections` is one.

    Attributes:
        classes: Names of the classes; detections count them from 0.
    """

    classes: tuple[str, ...]

    def of_video(self, video: Video) -> list[Detections]:
        """Detections per frame as :meth:`Detector.detect` gives them, but in pixels of the video's original frame.

        Raises:
            flexhook.errors.InputError: They are missing, malformed or not this video's.
        """
        ...

    def key(self) -> str:
        """What makes them, as a text; files are described by their sizes and times."""
        ...


class Associator(Protocol):
    """Links detections of consecutive frames. :class:`flexhook.trackers.associators.package.PackageAssociator` is one.

    Attributes:
        uses_frames: Whether :meth:`update` looks at the picture, as camera motion compensation does.
    """

    uses_frames: bool

    def reset(self, frame_rate: float | None = None) -> None:
        """Begin a new video.

        Args:
            frame_rate: Frames per second, by which times are counted in frames; None where it is not known.
        """
        ...

    def update(self, detections: Detections, frame: np.ndarray | None = None) -> Detections:
        """Take the detections of the next frame.

        Args:
            detections: As :meth:`Detector.detect` gives them.
            frame: The picture, (H, W, 3) uint8 RGB, where :attr:`uses_frames` says so.

        Returns:
            Those of the detections that belong to a track, with ``tracker_id`` (n,) int64 from 1 on, unique in the frame.
        """
        ...

    def key(self) -> str:
        """Class and settings, as a text."""
        ...
