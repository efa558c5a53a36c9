"""One overlay video for several sentences: boxes, trails and labels in a colour per identity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import supervision as sv
from PIL import Image

from flexhook.errors import InputError
from flexhook.media.images import resize
from flexhook.media.video_files import VideoWriter
from flexhook.structures import ExpressionResult, Video
from flexhook.visualization import pen
from flexhook.visualization.frame_drawing import Style
from flexhook.visualization.overlay import picture_size
from flexhook.visualization.strips import caption_strip

TRAIL = 30  # frames

#: Boxes (n, 4) in pixels of the original frame, identities (n,) and probabilities (n,) that a sentence refers to in a frame.
Referred: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def write_sentences_overlay(
    path: str | Path, video: Video, results: Sequence[ExpressionResult], *, frames: Iterable[int] | None = None,
    frame_rate: float = 10.0,
) -> Path:  # fmt: skip
    """Write the overlay video of several sentences; it appears under its name when it is whole.

    The sentences stand above the picture with their numbers. A box's label is its identity and, for each sentence that refers
    to it, the sentence's number and the probability.

    Args:
        path: The mp4 file.
        video: The video.
        results: A result per sentence, with the same identities.
        frames: The frames to show, for example behind a progress bar; all of them by default.
        frame_rate: Frames per second.

    Raises:
        InputError: The video has no frames, or one does not decode.
    """
    if not video.num_frames or not results:
        raise InputError(f"video {video.name} has no frames or no sentences", expected="at least one of each")
    drawing = SentencesDrawing(video.size, [r.expression.sentence for r in results], video.name)
    with VideoWriter(path, frame_rate=frame_rate) as out:
        for frame in range(video.num_frames) if frames is None else frames:
            out.write(drawing.draw(video.frames.read(frame), [referred_in(result, frame) for result in results]))
    return Path(path)


class SentencesDrawing:
    """Draws the boxes of several sentences frame after frame; the trails remember the frames before.

    Args:
        frame_size: (height, width) of the original frame that boxes refer to.
        sentences: The sentences, which stand above the picture with their numbers.
        name: Name of the video.
    """

    def __init__(self, frame_size: tuple[int, int], sentences: Sequence[str], name: str) -> None:
        self.frame_size, self.size = frame_size, picture_size(frame_size)
        style = Style.of(self.size[1])
        palette = sv.ColorPalette([sv.Color(*colour) for colour in pen.IDENTITIES])
        lookup = sv.ColorLookup.TRACK
        self.boxes = sv.BoxAnnotator(palette, thickness=style.line, color_lookup=lookup)
        self.trails = sv.TraceAnnotator(palette, trace_length=TRAIL, thickness=style.line, color_lookup=lookup)
        self.labels = sv.LabelAnnotator(palette, text_color=sv.Color.BLACK, text_scale=style.text / 30, text_padding=3,
                                        color_lookup=lookup, smart_position=True)
        title = " · ".join(f"{k}: {sentence}" for k, sentence in enumerate(sentences, 1))
        self.caption = caption_strip(self.size[1], title, [f"video {name}"], style.title)

    def draw(self, image: np.ndarray, referred: Sequence[Referred]) -> np.ndarray:
        """One frame.

        Args:
            image: (h, w, 3) uint8 RGB of the frame's aspect ratio.
            referred: What each sentence refers to in it, in the order of the sentences.

        Returns:
            (height, width, 3) uint8 RGB, the same size for all frames.
        """
        picture = Image.fromarray(resize(np.ascontiguousarray(image), self.size))
        detections, texts = self._detections(referred)
        if len(detections):
            picture = self.trails.annotate(picture, detections)
            picture = self.boxes.annotate(picture, detections)
            picture = self.labels.annotate(picture, detections, texts)
        whole = Image.new("RGB", (self.size[1], self.caption.height + self.size[0]))
        whole.paste(self.caption, (0, 0))
        whole.paste(picture, (0, self.caption.height))
        return np.asarray(whole)

    def _detections(self, referred: Sequence[Referred]) -> tuple[sv.Detections, list[str]]:
        """The boxes that a sentence refers to, in pixels of the picture, and their labels."""
        found: dict[int, tuple[np.ndarray, list[str]]] = {}
        for number, (boxes, identities, probabilities) in enumerate(referred, 1):
            for box, identity, probability in zip(boxes, identities, probabilities, strict=True):
                _, said = found.setdefault(int(identity), (box, []))
                said.append(f"{number}: {probability:.2f}")
        if not found:
            return sv.Detections.empty(), []
        scale = np.array([self.size[1] / self.frame_size[1], self.size[0] / self.frame_size[0]] * 2)
        boxes = np.array([box for box, _ in found.values()]) * scale
        return sv.Detections(boxes, tracker_id=np.array(list(found))), [
            f"#{identity} {', '.join(said)}" for identity, (_, said) in found.items()
        ]


def referred_in(result: ExpressionResult, frame: int) -> Referred:
    """What a result accepts in one frame."""
    start, stop = np.searchsorted(result.tracks.frame, [frame, frame + 1])
    rows = start + np.flatnonzero(result.accepted[start:stop])
    return result.tracks.box[rows], result.tracks.identity[rows], result.score[rows]
