"""The overlay video of one expression: every frame between the sentence and the legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from flexhook.errors import InputError
from flexhook.media.video_files import VideoWriter
from flexhook.visualization.frame_drawing import Style, draw_frame
from flexhook.visualization.outcomes import ScoredExpression
from flexhook.visualization.strips import caption_strip, legend_strip

SMALLEST_WIDTH, LARGEST_WIDTH = 960, 1920
TALLEST = 1440


def picture_size(frame_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width), both even, at which the frames of a video are drawn: large enough that its text can be read.

    Small frames grow to a width of 960 pixels, as far as their height stays under 1440; large ones shrink to fit
    into 1920 x 1440.

    Args:
        frame_size: (height, width) of the original frame.
    """
    height, width = frame_size
    scale = min(max(1.0, SMALLEST_WIDTH / width), LARGEST_WIDTH / width, TALLEST / height)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def captioned_frame(
    scored: ScoredExpression, frame: int, *, points: Sequence[np.ndarray] = (), notes: Sequence[str] = ()
) -> np.ndarray:
    """A frame as in the overlay video: the drawn picture between the sentence and the legend with the frame's numbers.

    Args:
        scored: The expression with its scores.
        frame: Index of the frame, 0-based.
        points: Reference points in [-1, 1], an (M, 2) array of (x, y) per scale.
        notes: Further short texts beside the video's name and the frame's index.

    Returns:
        (height, width, 3) uint8 RGB, both even and the same for all frames of the video.
    """
    size = picture_size(scored.video.size)
    style = Style.of(size[1])
    picture = Image.fromarray(draw_frame(scored, frame, size, points=points))
    last = scored.video.num_frames - 1
    where = [*notes, f"video {scored.video.name}", f"frame {frame} / {last}"]
    caption = caption_strip(size[1], scored.expression.sentence, where, style.title)
    legend = legend_strip(
        size[1], style.text, truth=scored.referent is not None, points=bool(len(points)), outcome=scored.at(frame)
    )
    whole = Image.new("RGB", (size[1], caption.height + size[0] + legend.height))
    for part, y in ((caption, 0), (picture, caption.height), (legend, caption.height + size[0])):
        whole.paste(part, (0, y))
    return np.asarray(whole)


def write_overlay(
    path: str | Path,
    scored: ScoredExpression,
    *,
    frames: Iterable[int] | None = None,
    points: Sequence[np.ndarray] = (),
    notes: Sequence[str] = (),
    frame_rate: float = 10.0,
) -> Path:
    """Write the overlay video of an expression; it appears under its name when it is whole.

    Args:
        path: The mp4 file.
        scored: The expression with its scores.
        frames: The frames to show, for example behind a progress bar; all of them by default.
        points: Reference points in [-1, 1], an (M, 2) array of (x, y) per scale.
        notes: Short texts beside the video's name.
        frame_rate: Frames per second.

    Raises:
        InputError: The video has no frames, or one does not decode.
    """
    if not scored.video.num_frames:
        raise InputError(f"video {scored.video.name} has no frames", expected="at least one frame")
    with VideoWriter(path, frame_rate=frame_rate) as out:
        for frame in range(scored.video.num_frames) if frames is None else frames:
            out.write(captioned_frame(scored, frame, points=points, notes=notes))
    return Path(path)
