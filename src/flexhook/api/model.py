"""A trained model: whole videos and live streams."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flexhook.api.inputs import as_tracker, check_sentences, find_tracks, open_video
from flexhook.api.live import LiveStream, live_stream
from flexhook.api.results import Prediction, read_prediction
from flexhook.datasets.known_words import unknown_words
from flexhook.errors import ConfigError
from flexhook.inference.decisions import Decision
from flexhook.inference.prediction import predict_block
from flexhook.media.frame_wrappers import KeptFrames
from flexhook.structures import Frames, TrackSet, Video
from flexhook.structures.method import Method
from flexhook.structures.protocols import Tracker
from flexhook.structures.result_folder import merge_expressions
from flexhook.trackers.detect import DetectingTracker
from flexhook.trackers.from_config import first_stage

if TYPE_CHECKING:
    import supervision as sv
    import torch


class Model:
    """A trained model; made by :func:`flexhook.load` or :func:`flexhook.grounding`.

    Attributes:
        method: The method, in evaluation mode.
        path: The checkpoint's file; without one, the name of the pretrained model.
        device: Where it computes.
        words: The words that its training sentences had; empty where that is not known.
    """

    def __init__(self, method: Method, path: Path | str, device: torch.device, words: Sequence[str] = ()) -> None:
        self.method, self.path, self.device, self.words = method, path, device, frozenset(words)

    def __repr__(self) -> str:
        return f"Model({self.method.name}, {str(self.path)!r}, device={str(self.device)!r})"

    def predict(
        self,
        video: str | Path | Video | Frames | Sequence[np.ndarray] | np.ndarray,
        sentences: Sequence[str] | str,
        tracks: str | Path | TrackSet | Sequence[sv.Detections] | None = None,
        tracker: Tracker | None = None,
        *,
        threshold: float | None = None,
        vote: bool | int = False,
        top_k: int | None = None,
        frame_size: tuple[int, int] | None = None,
        frame_rate: float | None = None,
        first_frame: int = 1,
    ) -> Prediction:
        """The trajectories of a video that sentences refer to.

        A method that scores tracks takes them from ``tracks``, or from ``tracker``; with neither, D-FINE finds the objects
        (see :func:`flexhook.first_stage`) and ByteTrack links them.

        Args:
            video: A video file, a folder of images, or frames in memory: (height, width, 3) uint8 RGB arrays of one size, in a
                list or as (frames, height, width, 3).
            sentences: Such as ``["white cars", "cars turning left"]``.
            tracks: The objects' trajectories: a MOT file, a :class:`~flexhook.structures.tracks.TrackSet` (0-based frames), or
                one ``supervision.Detections`` with ``tracker_id`` per frame. Boxes are in pixels of the frame.
            tracker: Makes the trajectories instead: what :func:`flexhook.first_stage` gives, or any
                :class:`~flexhook.structures.protocols.Tracker`.
            threshold: Probability from which an observation is accepted, 0 to 1; None is the method's own answer. A larger
                value accepts fewer.
            vote: True gives every track one answer, that of more than half of its observations; a number n lets the n
                observations around each one vote. A larger number flickers less and follows changes later.
            top_k: At most so many tracks per sentence, those with the largest mean probability.
            frame_size: (height, width) in pixels of the frame that boxes refer to; by default that of the frames.
            frame_rate: Frames per second, for the seconds in tables and the overlay; by default the video file's.
            first_frame: Number that a MOT file gives to the first frame.

        Returns:
            Sentence -> result.

        Raises:
            InputError: Video or tracks are missing, malformed or do not belong together.
            ConfigError: A sentence is empty or there twice, there are tracks and a tracker, or an option is out of its range.

        Warns:
            UserWarning: A sentence has words that no training sentence had.

        Example:
            >>> result = model.predict("clip.mp4", ["white cars"], tracks="tracks.txt")  # doctest: +SKIP
            >>> result["white cars"].to_dataframe()  # doctest: +SKIP
        """
        decision = Decision(threshold, vote, top_k)
        if frame_rate is not None and not frame_rate > 0:
            raise ConfigError(f"frame_rate is {frame_rate!r}", expected="frames per second, more than 0")
        listed = check_sentences(sentences)
        for notice in unfamiliar(listed, self.words):
            warnings.warn(notice, stacklevel=2)
        opened = open_video(video, listed, frame_size)
        seen = opened
        if self.method.needs_tracks:
            if tracks is None and tracker is None:
                tracker = first_stage()
            seen = once_decoded(opened, self.method, tracker)
            self.method.tracker = as_tracker(find_tracks(seen, tracks, tracker, first_frame))
        with tempfile.TemporaryDirectory(prefix="flexhook-") as place:
            predict_block(self.method, seen, Path(place), key="")
            merge_expressions(place, {opened.name: opened.expressions})
            return read_prediction(Path(place), opened, decision, frame_rate)

    def stream(
        self,
        sentences: Sequence[str] | str = (),
        frame_size: tuple[int, int] = (720, 1280),
        *,
        threshold: float | None = None,
        vote: bool | int = False,
        top_k: int | None = None,
        rejected: bool = False,
        smoothing: int = 0,
        forget_after: int | None = None,
    ) -> LiveStream:
        """Begin to answer sentences frame by frame, with your own camera and tracker.

        A frame's probabilities are those that :meth:`predict` gives for the same tracks, loaded with ``smoothing=0``.

        Args:
            sentences: The first ones; others may be added and these removed at any frame.
            frame_size: (height, width) of the frames in pixels.
            threshold: As of :meth:`predict`.
            vote: True lets all of a track's observations so far vote, a number its last ones.
            top_k: At most so many tracks per sentence and frame, those with the largest mean probability so far.
            rejected: Answer with all detections, and ``data["accepted"]``.
            smoothing: Earlier observations of its track that each one's scores are averaged with. A larger number steadies
                decisions and delays them.
            forget_after: Frames after which a track that was not seen is forgotten (150); one that comes back later begins
                anew. A larger number costs memory.

        Returns:
            The stream.

        Raises:
            ConfigError: A sentence is empty or there twice, an option is out of its range, or the method does not work frame
                by frame.

        Example:
            >>> stream = model.stream(["white cars"], frame_size=(720, 1280))  # doctest: +SKIP
            >>> answer = stream.update(frame, detections)  # doctest: +SKIP
            >>> answer["white cars"].tracker_id  # doctest: +SKIP
        """
        decision = Decision(threshold, vote, top_k)
        listed = check_sentences(sentences) if len(sentences) else []
        size = tuple(frame_size)
        if len(size) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in size):
            raise ConfigError(f"frame_size is {frame_size!r}", expected="(height, width) in pixels")
        options = {"smoothing": smoothing} if smoothing else {}
        if forget_after is not None:
            options["forget_after"] = forget_after
        return live_stream(self.method, listed, (int(size[0]), int(size[1])), decision, rejected, options)


def unfamiliar(sentences: Sequence[str], words: Collection[str]) -> list[str]:
    """What to tell of sentences with words that no training sentence had, a text each; nothing where these are not known."""
    unknown = {sentence: unknown_words(sentence, words) for sentence in sentences} if words else {}
    return [f"“{sentence}” is unlike what the model was trained on: no training sentence has {_listed(new)}; do not rely on the"
            " answer" for sentence, new in unknown.items() if new]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


def once_decoded(video: Video, method: Method, tracker: Tracker | None) -> Video:
    """The video with frames that keep what the method's network sees while a detector reads them: each is decoded once."""
    if method.image_size is None or not isinstance(tracker, DetectingTracker):
        return video
    return replace(video, frames=KeptFrames(video.frames, video.size, method.image_size))
