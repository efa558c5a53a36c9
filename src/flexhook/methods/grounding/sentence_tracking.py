"""From a detector of sentences to results: detections are cached, each sentence's boxes are linked by themselves."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.errors import ConfigError, InputError
from flexhook.media.images import cache_key, check_shape
from flexhook.structures import Expression, ExpressionResult, TrackSet, Video
from flexhook.structures.disk_cache import DiskCache, cache_folder
from flexhook.structures.method import PredictionReport, ResultWriter
from flexhook.structures.protocols import Associator, SentenceDetector
from flexhook.trackers.detect import DetectingTracker
from flexhook.trackers.detection_cache import BLOCK, VERSION, load_detections, save_detections, scaled
from flexhook.trackers.detections import make_detections
from flexhook.trackers.detectors.adapters import GivenDetections

log = logging.getLogger(__name__)

STRONG = 0.75
"""The score that associators see where a detector gives its threshold, above those at which they begin tracks (at most 0.7)."""
CATEGORIES = ("object",)


@dataclass(frozen=True)
class Repair:
    """What is done to the tracks of a whole video after association, see :mod:`flexhook.trackers.repair`.

    Attributes:
        recover: Frames that are gone back at most, from the first observation of a track, to give it the boxes that the
            associator held back; 0 for none.
        fill_gaps: Gaps of at most so many frames are interpolated; 0 for none.
        min_length: Tracks of fewer observations are left out; 1 keeps all.
        frame_rate: Frames per second of videos that do not say, such as folders of images.
    """

    recover: int = 3
    fill_gaps: int = 5
    min_length: int = 3
    frame_rate: float = 10.0


class SentenceTracking:
    """Tracks of sentences, each with identities of its own.

    A frame is decoded once for all sentences, and its detections are kept on disk by frames, detector and sentence: what was
    interrupted goes on, and another associator costs seconds. Associators are set for the scores of detectors with classes of
    their own, and text-grounded ones score lower: an associator sees the detector's scores from its threshold to 1 as
    :data:`STRONG` to 1. What is not detected below the threshold is for the associator not there.

    Args:
        detector: Finds what sentences refer to.
        associator: Links the boxes of one sentence.
        repair: What is done to tracks afterwards.
        cache_dir: Folder of the caches; None for ``$FLEXHOOK_CACHE`` or ``~/.cache/flexhook``, ``"off"`` for none.
    """

    def __init__(
        self, detector: SentenceDetector, associator: Associator, repair: Repair, cache_dir: str | Path | None = None
    ) -> None:
        self.detector, self.associator, self.repair, self.cache_dir = detector, associator, repair, cache_dir

    def key(self) -> str:
        """Detector, associator and settings."""
        return f"{self.detector.key()} {self.associator.key()} {self.repair}"

    def predict(self, video: Video, expressions: Sequence[Expression], writer: ResultWriter) -> PredictionReport:
        """Answer the missing expressions of a block; see :meth:`flexhook.structures.method.Method.predict`."""
        missing = writer.missing()
        sentences = list(dict.fromkeys(expression.sentence for expression in missing))
        for sentence in sentences:
            self.detector.check(sentence)
        found, frames = self.detect(video, sentences)
        for expression in missing:
            tracks = self.associate(video, found[expression.sentence])
            writer.write(expression, tracks, tracks.confidence, np.ones(len(tracks), bool))
        return PredictionReport(frames, f"{len(missing)} expressions, {frames} frames")

    def detect(self, video: Video, sentences: Sequence[str]) -> tuple[dict[str, list[Detections]], int]:
        """Detections per sentence and frame, in pixels of the original frame, and the number of frames that were computed.

        Raises:
            InputError: A frame does not decode, or has another aspect ratio than its video.
        """
        folder = cache_folder(self.cache_dir)
        known = None if folder is None or not sentences else cache_key(video)
        cache = None if folder is None or known is None else DiskCache(folder / "detections")
        key = (str(VERSION), "sentence", self.detector.key(), known) if known is not None else ()
        done: dict[str, list[Detections]] = {sentence: [] for sentence in sentences}
        computed = 0
        for start in range(0, video.num_frames if sentences else 0, BLOCK):
            frames = range(start, min(start + BLOCK, video.num_frames))
            paths = {} if cache is None else {s: cache.path(f"{video.name}_{start}", *key, s, str(start)) for s in sentences}
            entries = {} if cache is None else {s: cache.find(path) for s, path in paths.items()}
            block = {s: load_detections(entry) for s, entry in entries.items() if entry is not None}
            left = [s for s in sentences if s not in block]
            for frame in frames if left else ():
                for sentence, one in zip(left, self._detect(video, frame, left), strict=True):
                    block.setdefault(sentence, []).append(one)
            computed += len(frames) if left else 0
            for sentence in left if cache is not None else ():
                _keep(cache, paths[sentence], block[sentence])
            for sentence in sentences:
                done[sentence] += block[sentence]
        return done, computed

    def _detect(self, video: Video, frame: int, sentences: Sequence[str]) -> list[Detections]:
        picture = video.frames.read(frame)
        check_shape(picture.shape, video.size, video.frames.name(frame))
        return [scaled(one, picture.shape[:2], video.size) for one in self.detector.detect(picture, sentences)]

    def associate(self, video: Video, detections: Sequence[Detections]) -> TrackSet:
        """The tracks of one sentence; ``confidence`` is on the detector's own scale.

        Args:
            video: The video, of which frames are read again where the associator looks at them.
            detections: Per frame, in pixels of the original frame.
        """
        repair = self.repair
        linker = DetectingTracker(GivenDetections([], CATEGORIES), self.associator, None, repair.recover, repair.fill_gaps,
                                  repair.min_length, False, frame_rate=repair.frame_rate)
        tracks = linker.associate(video, [with_scores(one, self._strengthen) for one in detections])
        return TrackSet.build(tracks.frame, tracks.identity, tracks.box, tracks.category, self._weaken(tracks.confidence),
                              CATEGORIES)

    def _strengthen(self, scores: np.ndarray) -> np.ndarray:
        """The detector's scores as associators see them."""
        low = self.detector.threshold
        return STRONG + (1 - STRONG) * (np.asarray(scores, np.float64) - low) / max(1 - low, 1e-6)

    def _weaken(self, scores: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`_strengthen`."""
        low = self.detector.threshold
        return np.clip(low + (np.asarray(scores, np.float64) - STRONG) * max(1 - low, 1e-6) / (1 - STRONG), 0, 1)

    def stream(self, sentences: Sequence[str], frame_size: tuple[int, int]) -> SentenceStream:
        """Begin to track sentences frame by frame; what looks ahead (:class:`Repair`) is off."""
        return SentenceStream(self, sentences, frame_size)

    def live(self) -> Callable[[Detections, np.ndarray], TrackSet]:
        """A function that links the boxes of one sentence frame by frame, each call (detections, picture) the next frame."""
        associator = copy.deepcopy(self.associator)
        associator.reset(None)

        def update(found: Detections, picture: np.ndarray) -> TrackSet:
            strong = with_scores(found, self._strengthen)
            linked = associator.update(strong, picture if associator.uses_frames else None)
            identity = np.zeros(0) if linked.tracker_id is None else linked.tracker_id
            return TrackSet.build(np.zeros(len(linked)), identity, linked.xyxy, np.zeros(len(linked)),
                                  self._weaken(np.asarray(linked.confidence)), CATEGORIES)

        return update


class SentenceStream:
    """Live use: see :class:`~flexhook.structures.method.Stream`.

    Args:
        tracking: Detector and associator.
        sentences: To begin with.
        frame_size: (height, width) of the frames.
    """

    def __init__(self, tracking: SentenceTracking, sentences: Sequence[str], frame_size: tuple[int, int]) -> None:
        self.tracking, self.frame_size, self.frame = tracking, frame_size, 0
        self._links: dict[str, Callable[[Detections, np.ndarray], TrackSet]] = {}
        for sentence in sentences:
            self.add(sentence)

    def update(self, frame: np.ndarray, tracks: TrackSet | None = None) -> Mapping[str, ExpressionResult]:
        """The answer for the next frame, by sentence; tracks are not looked at.

        Raises:
            InputError: The frame is not of the stream's size.
        """
        if tuple(frame.shape[:2]) != tuple(self.frame_size):
            raise InputError(f"the frame is {frame.shape[0]}x{frame.shape[1]} (height x width)",
                             expected=f"{self.frame_size[0]}x{self.frame_size[1]}, the stream's frame_size")
        sentences, answers = list(self._links), {}
        found = self.tracking.detector.detect(frame, sentences) if sentences else []
        for sentence, one in zip(sentences, found, strict=True):
            linked = self._links[sentence](one, frame)
            here = TrackSet.build(linked.frame + self.frame, linked.identity, linked.box, linked.category, linked.confidence,
                                  CATEGORIES)
            answers[sentence] = ExpressionResult(Expression(sentence, sentence), here, here.confidence,
                                                 np.ones(len(here), bool))
        self.frame += 1
        return answers

    def add(self, sentence: str) -> None:
        """Answer for one more sentence from the next frame on.

        Raises:
            ConfigError: It is empty, or answered already.
            InputError: The detector cannot look for it.
        """
        text = sentence.strip()
        if not text or text in self._links:
            raise ConfigError(f"the sentence “{text}” is {'answered already' if text else 'empty'}", expected="a new sentence")
        self.tracking.detector.check(text)
        self._links[text] = self.tracking.live()

    def remove(self, sentence: str) -> None:
        """Do not answer for a sentence any more.

        Raises:
            ConfigError: It is not answered.
        """
        if self._links.pop(sentence.strip(), None) is None:
            raise ConfigError(f"the sentence “{sentence.strip()}” is not answered", expected="one that was added")


def with_scores(found: Detections, change: Callable[[np.ndarray], np.ndarray]) -> Detections:
    """Detections with other scores."""
    return make_detections(found.xyxy, change(np.asarray(found.confidence)), found.class_id)


def _keep(cache: Any, path: Path, found: list[Detections]) -> None:
    """Keep a block's detections of one sentence, where there is room."""
    try:
        cache.make(path, lambda writer: save_detections(writer, found))
    except InputError as error:
        log.warning("%s The next run detects these frames again.", error)
