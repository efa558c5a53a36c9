"""One overlay video for several sentences: boxes, trails and labels in a colour per identity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image

from flexhook.errors import InputError
from flexhook.media.images import resize
from flexhook.media.video_files import VideoWriter
from flexhook.structures import ExpressionResult, Video
from flexhook.visualization import pen
from flexhook.visualization.frame_drawing import Style
from flexhook.visualization.outcomes import ScoredExpression
from flexhook.visualization.overlay import picture_size
from flexhook.visualization.strips import caption_strip

TRAIL = 30  # frames


def write_sentences_overlay(
    path: str | Path, video: Video, results: Sequence[ExpressionResult], *, frame_rate: float = 10.0
) -> Path:
    """Write the overlay video of several sentences; it appears under its name when it is whole.

    The sentences stand above the picture with their numbers. A box's label is its identity and, for each sentence that refers
    to it, the sentence's number and the probability.

    Args:
        path: The mp4 file.
        video: The video.
        results: A result per sentence, with the same identities.
        frame_rate: Frames per second.

    Raises:
        InputError: The video has no frames, or one does not decode.
    """
    if not video.num_frames or not results:
        raise InputError(f"video {video.name} has no frames or no sentences", expected="at least one of each")
    drawing = _Drawing(video, results)
    with VideoWriter(path, frame_rate=frame_rate) as out:
        for frame in range(video.num_frames):
            out.write(drawing.frame(frame))
    return Path(path)


class _Drawing:
    """Draws frame after frame; the trails remember the frames before."""

    def __init__(self, video: Video, results: Sequence[ExpressionResult]) -> None:
        self.video, self.results = video, results
        first = results[0]
        self.size = picture_size(ScoredExpression(video, first.expression, first.tracks, first.accepted, first.score, None))
        style = Style.of(self.size[1])
        palette = sv.ColorPalette([sv.Color(*colour) for colour in pen.IDENTITIES])
        lookup = sv.ColorLookup.TRACK
        self.boxes = sv.BoxAnnotator(palette, thickness=style.line, color_lookup=lookup)
        self.trails = sv.TraceAnnotator(palette, trace_length=TRAIL, thickness=style.line, color_lookup=lookup)
        self.labels = sv.LabelAnnotator(palette, text_color=sv.Color.BLACK, text_scale=style.text / 30, text_padding=3,
                                        color_lookup=lookup, smart_position=True)
        title = " · ".join(f"{k}: {result.expression.sentence}" for k, result in enumerate(results, 1))
        self.caption = caption_strip(self.size[1], title, [f"video {video.name}"], style.title)

    def frame(self, frame: int) -> np.ndarray:
        """One frame, (height, width, 3) uint8 RGB."""
        picture = Image.fromarray(resize(np.ascontiguousarray(self.video.frames.read(frame)), self.size))
        detections, texts = self.detections(frame)
        if len(detections):
            picture = self.trails.annotate(picture, detections)
            picture = self.boxes.annotate(picture, detections)
            picture = self.labels.annotate(picture, detections, texts)
        whole = Image.new("RGB", (self.size[1], self.caption.height + self.size[0]))
        whole.paste(self.caption, (0, 0))
        whole.paste(picture, (0, self.caption.height))
        return np.asarray(whole)

    def detections(self, frame: int) -> tuple[sv.Detections, list[str]]:
        """The boxes that a sentence refers to, in pixels of the picture, and their labels."""
        found: dict[int, tuple[np.ndarray, list[str]]] = {}
        for number, result in enumerate(self.results, 1):
            start, stop = np.searchsorted(result.tracks.frame, [frame, frame + 1])
            for row in range(start, stop):
                if result.accepted[row]:
                    _, said = found.setdefault(int(result.tracks.identity[row]), (result.tracks.box[row], []))
                    said.append(f"{number}: {result.score[row]:.2f}")
        if not found:
            return sv.Detections.empty(), []
        height, width = self.size
        boxes = self.video.normalised(np.array([box for box, _ in found.values()])) * [width, height, width, height]
        return sv.Detections(boxes, tracker_id=np.array(list(found))), [
            f"#{identity} {', '.join(said)}" for identity, (_, said) in found.items()
        ]
