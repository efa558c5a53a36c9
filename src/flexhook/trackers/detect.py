"""Tracks from raw video: a detector finds the objects of each frame, an associator links them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.errors import ConfigError
from flexhook.media.images import frames_fingerprint
from flexhook.structures import TrackSet, Video
from flexhook.structures.protocols import Associator, Detector, VideoDetections
from flexhook.structures.video import Frames
from flexhook.trackers.detection_cache import detect_video, scaled
from flexhook.trackers.detections import make_detections
from flexhook.trackers.repair import drop_short, fill_gaps, one_category, recover_boxes


class DetectingTracker:
    """Detector and associator as a tracker; detections are kept on disk, association is computed anew.

    Args:
        detector: Finds the objects of frames, or knows them already.
        associator: Links them.
        min_confidence: Detections of a lower score are not linked; None links all. A larger value makes fewer tracks; unlike
            the detector's own threshold it does not make cached detections useless.
        recover: Frames that are gone back at most, from the first observation of a track, to give it the boxes that the
            associator held back; 0 for none.
        fill_gaps: Gaps of at most so many frames are interpolated; 0 for none.
        min_length: Tracks of fewer observations are left out; 1 keeps all.
        vote_class: Give every track the one class that most of its observations have.
        every: Only every n-th frame is looked at, and boxes in between are interpolated. A larger value is as much faster, and
            loses fast objects.
        frame_rate: Frames per second of videos that do not say, such as folders of images.
        batch_size: Frames that the detector gets at a time. A larger value takes more memory.
        cache_dir: Folder of the caches; None for ``$FLEXHOOK_CACHE`` or ``~/.cache/flexhook``, ``"off"`` for none.

    Attributes:
        categories: Names of the classes, as :class:`~flexhook.structures.tracks.TrackSet` has them.

    Raises:
        ConfigError: A setting is out of its range, or something is no detector or associator.
    """

    needs_truth = False

    def __init__(
        self,
        detector: Detector | VideoDetections,
        associator: Associator,
        min_confidence: float | None = None,
        recover: int = 3,
        fill_gaps: int = 5,
        min_length: int = 3,
        vote_class: bool = True,
        every: int = 1,
        frame_rate: float = 10.0,
        batch_size: int = 8,
        cache_dir: str | Path | None = None,
    ) -> None:
        if not isinstance(min_confidence, int | float | None):
            raise ConfigError(f"tracker.min_confidence is {min_confidence!r}", expected="a number, or null")
        numbers = {"recover": recover, "fill_gaps": fill_gaps, "min_length": min_length}
        for name, value in numbers.items():
            if not isinstance(value, int | float) or value < 0:
                raise ConfigError(f"tracker.{name} is {value!r}", expected="a number, 0 or more")
        above: dict[str, float] = {"frame_rate": frame_rate, "batch_size": batch_size, "every": every}
        for name, number in above.items():
            if not isinstance(number, int | float) or number <= 0:
                raise ConfigError(f"tracker.{name} is {number!r}", expected="a number above 0")
        for name, part, method in (("detector", detector, "key"), ("associator", associator, "update")):
            if not hasattr(part, method):
                expected = f"_target_ with a class, such as those of conf/{name}"
                raise ConfigError(f"{name} does not make a {name}", expected=expected)
        self.detector, self.associator = detector, associator
        self.min_confidence, self.recover, self.fill_gaps = min_confidence, int(recover), int(fill_gaps)
        self.min_length, self.vote_class, self.every = int(min_length), bool(vote_class), int(every)
        self.frame_rate, self.batch_size, self.cache_dir = float(frame_rate), int(batch_size), cache_dir

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.detector.classes)

    def track(self, video: Video) -> TrackSet:
        """The tracks of a video, boxes in pixels of its original frame.

        Raises:
            flexhook.errors.InputError: A frame does not decode, or detections on disk are malformed.
        """
        return self.associate(video, self.detect(video))

    def key(self, video: Video) -> str:
        """Detector, associator, settings and the frames."""
        settings = (self.min_confidence, self.recover, self.fill_gaps, self.min_length, self.vote_class, self.every,
                    self.rate_of(video))
        return f"DetectingTracker {self.detector.key()} {self.associator.key()} {settings} {frames_fingerprint(video)}"

    def rate_of(self, video: Video) -> float:
        """Frames per second of a video: its own, else :attr:`frame_rate`."""
        return float(video.frames.frame_rate or self.frame_rate)

    def detect(self, video: Video, on_frames: Callable[[int], object] | None = None) -> list[Detections]:
        """The first half of :meth:`track`: detections per frame, in pixels of the original frame.

        Args:
            video: The video.
            on_frames: Called with the number of frames that were done, for a progress bar.
        """
        if isinstance(self.detector, VideoDetections):
            found = self.detector.of_video(video)
            if on_frames:
                on_frames(len(found))
            return found
        if self.every == 1:
            return detect_video(self.detector, video, self.batch_size, self.cache_dir, on_frames)
        seen = replace(video, frames=EveryNth(video.frames, self.every))
        found = detect_video(self.detector, seen, self.batch_size, self.cache_dir,
                             on_frames and (lambda count: on_frames(count * self.every)))
        return [found[k // self.every] if k % self.every == 0 else make_detections([]) for k in range(video.num_frames)]

    def associate(self, video: Video, detections: Sequence[Detections]) -> TrackSet:
        """The second half of :meth:`track`.

        Args:
            video: The video, of which frames are read only where the associator looks at them.
            detections: Per frame, in pixels of the original frame.
        """
        self.associator.reset(self.rate_of(video) / self.every)
        linked: list[TrackSet] = []
        left: list[TrackSet] = []
        for frame, one in enumerate(detections[:: self.every]):
            found = _strong(one, self.min_confidence)
            found.data["row"] = np.arange(len(found))
            picture = video.frames.read(frame * self.every) if self.associator.uses_frames else None
            tracked = self._update(found, picture, video.size)
            linked.append(self._rows(frame, tracked))
            if len(tracked) and "row" not in tracked.data:
                continue
            mine = tracked.data["row"] if len(tracked) else []
            left.append(self._rows(frame, found[~np.isin(np.arange(len(found)), mine)]))
        tracks = recover_boxes(_joined(linked, self.categories), _joined(left, self.categories, False), self.recover)
        tracks = one_category(tracks) if self.vote_class else tracks
        tracks = replace(tracks, frame=tracks.frame * self.every)
        return drop_short(fill_gaps(tracks, (self.fill_gaps + 1) * self.every - 1), self.min_length)

    def live(self, frame_rate: float | None = None) -> LiveTracker:
        """Begin to track frame by frame; what looks ahead (``recover``, ``fill_gaps``, ``min_length``) is off.

        Each has an associator of its own. The detector is shared: one that looks at frames in order, such as background
        subtraction, serves one video at a time.

        Args:
            frame_rate: Frames per second; None for :attr:`frame_rate`.

        Raises:
            ConfigError: The detections are files, or results of a whole video.
        """
        if isinstance(self.detector, VideoDetections):
            raise ConfigError("the detections are those of a whole video", expected="a detector that looks at frames",
                              hint="Set detector=transformers, detector=embedded or detector=background")
        self.detector.reset()
        associator = copy.deepcopy(self.associator)  # several cameras may be tracked at a time
        associator.reset(frame_rate or self.frame_rate)
        return LiveTracker(self.detector, associator, self.min_confidence)

    def _update(self, found: Detections, picture: np.ndarray | None, size: tuple[int, int]) -> Detections:
        """One step of the associator, which sees the boxes in pixels of the picture where it looks at that."""
        if picture is None:
            return self.associator.update(found)
        return scaled(self.associator.update(scaled(found, size, picture.shape[:2]), picture), picture.shape[:2], size)

    def _rows(self, frame: int, found: Detections) -> TrackSet:
        identity = np.arange(len(found)) if found.tracker_id is None else found.tracker_id
        return TrackSet.build(np.full(len(found), frame), identity, found.xyxy, found.class_id, found.confidence)


class EveryNth(Frames):
    """Every n-th of some frames.

    Args:
        frames: The frames.
        every: Their distance.
    """

    def __init__(self, frames: Frames, every: int) -> None:
        self.frames, self.every = frames, every
        self.path, self.sequential, self.paths = frames.path, frames.sequential, frames.paths[::every]
        self.frame_rate = None if frames.frame_rate is None else frames.frame_rate / every

    def __len__(self) -> int:
        return -(-len(self.frames) // self.every)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` of those that are taken."""
        return self.frames.read(index * self.every)

    def digest(self) -> str:
        """That of all frames."""
        return self.frames.digest()

    def name(self, index: int) -> str:
        """Its name."""
        return self.frames.name(index * self.every)


class LiveTracker:
    """Tracks frame by frame; :meth:`DetectingTracker.live` makes one.

    Args:
        detector: The detector, ready for the first frame.
        associator: The associator, likewise.
        min_confidence: Detections of a lower score are not linked; None links all.
    """

    def __init__(self, detector: Detector, associator: Associator, min_confidence: float | None = None) -> None:
        self.detector, self.associator, self.min_confidence = detector, associator, min_confidence

    def update(self, frame: np.ndarray) -> Detections:
        """Track the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB.

        Returns:
            Its tracked objects, with ``xyxy`` in its pixels, ``confidence``, ``class_id`` and ``tracker_id``.
        """
        found = _strong(self.detector.detect([frame])[0], self.min_confidence)
        return self.associator.update(found, frame if self.associator.uses_frames else None)


def _strong(found: Detections, min_confidence: float | None) -> Any:
    """The detections from a score on, or all, as an object of their own."""
    return found[np.asarray(found.confidence) >= (-np.inf if min_confidence is None else min_confidence)]


def _joined(parts: Sequence[TrackSet], categories: Sequence[str], identified: bool = True) -> TrackSet:
    """The rows of all frames; without identities each row gets one of its own."""
    if not parts:
        return TrackSet.empty(categories)
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in
               ("frame", "identity", "box", "category", "confidence")}  # fmt: skip
    if not identified:
        columns["identity"] = np.arange(len(columns["frame"]))
    return TrackSet.build(**columns, categories=categories)
