"""A live stream: frames and tracked detections in, the detections that each sentence refers to out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flexhook.api.inputs import check_frame, frame_tracks
from flexhook.errors import InputError
from flexhook.inference.decisions import Decision, LiveDecision
from flexhook.structures.method import Stream

if TYPE_CHECKING:
    import supervision as sv


class LiveStream:
    """Answers sentences frame by frame; made by :meth:`flexhook.Model.stream`.

    Sentences come and go at any frame. Memory does not grow with the number of frames.

    Attributes:
        frame_size: (height, width) of the frames in pixels.
        frames: Frames taken so far.

    Example:
        >>> stream = model.stream(["white cars"], frame_size=(720, 1280))  # doctest: +SKIP
        >>> while True:  # doctest: +SKIP
        ...     ok, bgr = camera.read()
        ...     frame = bgr[..., ::-1]
        ...     detections = tracker.update(detector(frame))
        ...     answer = stream.update(frame, detections)
        ...     picture = annotator.annotate(bgr, answer["white cars"])
    """

    def __init__(
        self, stream: Stream, sentences: Sequence[str], frame_size: tuple[int, int], decision: LiveDecision,
        rejected: bool = False,
    ) -> None:  # fmt: skip
        self._stream, self._sentences, self._decision, self._rejected = stream, list(sentences), decision, rejected
        self.frame_size, self.frames = frame_size, 0

    def __repr__(self) -> str:
        return f"LiveStream({self._sentences}, frame_size={self.frame_size}, {self.frames} frames)"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences that are answered now."""
        return tuple(self._sentences)

    def add(self, sentence: str) -> None:
        """Answer for one more sentence from the next frame on, as if it had been there from the first frame on.

        Raises:
            ConfigError: It is empty, or answered already.
        """
        self._stream.add(sentence)
        self._sentences.append(sentence.strip())

    def remove(self, sentence: str) -> None:
        """Do not answer for a sentence any more.

        Raises:
            ConfigError: It is not answered.
        """
        self._stream.remove(sentence)
        self._sentences.remove(sentence.strip())
        self._decision.forget(sentence.strip())

    def update(
        self, frame: np.ndarray, detections: sv.Detections | np.ndarray | None = None, identities: Any = None
    ) -> dict[str, sv.Detections]:
        """The answers for the next frame.

        Args:
            frame: (height, width, 3) uint8 RGB. OpenCV reads BGR: give ``frame[..., ::-1]``.
            detections: ``supervision.Detections`` with ``tracker_id``, or (n, 4) boxes (x1, y1, x2, y2) in pixels. Those with
                identity -1, which some trackers give to what they are not sure of yet, are left out. Methods that find their
                objects themselves need none.
            identities: (n,) whole numbers, where ``detections`` are an array. One object keeps its identity.

        Returns:
            Sentence -> the detections that it refers to, in the order given, with what they came with and
            ``data["probability"]``, (m,) floats in [0, 1]; in a stream with ``rejected`` all of them, with
            ``data["accepted"]``, (m,) bool.

        Raises:
            InputError: The frame has another size, or detections have no identities or are malformed. The stream is as before.
        """
        check_frame(frame, f"frame {self.frames}")
        if frame.shape[:2] != self.frame_size:
            raise InputError(f"frame {self.frames} is {frame.shape[0]}x{frame.shape[1]} (height x width)",
                             expected=f"{self.frame_size[0]}x{self.frame_size[1]}, the stream's frame_size",
                             hint="Begin a new stream for frames of another size")
        tracks, rows = None, np.zeros(0, np.int64)
        if detections is not None:
            tracks, rows = frame_tracks(detections, self.frames, identities)
        results = self._stream.update(frame, tracks)
        self.frames += 1
        return {
            sentence: self._answer(result, self._decision.accepted(result, self.frames - 1), detections, rows)
            for sentence, result in results.items()
        }

    def _answer(self, result: Any, accepted: np.ndarray, detections: Any, rows: np.ndarray) -> sv.Detections:
        """A sentence's result as detections, in the order in which they were given."""
        import supervision as sv

        order = np.argsort(rows) if len(rows) == len(result.tracks) else np.arange(len(result.tracks))
        order = order if self._rejected else order[accepted[order]]
        if hasattr(detections, "xyxy"):
            answer = detections[rows[order]]
        else:
            tracks = result.tracks
            answer = sv.Detections(tracks.box[order].astype(np.float32), tracker_id=tracks.identity[order],
                                   class_id=tracks.category[order].astype(int))
        answer.data["probability"] = result.score[order]
        if self._rejected:
            answer.data["accepted"] = accepted[order]
        return answer


def live_stream(
    method: Any, sentences: Sequence[str], frame_size: tuple[int, int], decision: Decision, rejected: bool,
    options: dict[str, int],
) -> LiveStream:  # fmt: skip
    """A method's stream with decisions and supervision's currency around it."""
    stream = method.stream(sentences, frame_size, **options)
    forget_after = options.get("forget_after", getattr(stream, "forget_after", 150))
    return LiveStream(stream, sentences, frame_size, LiveDecision(decision, forget_after), rejected)
