"""The strips above and below a picture: the sentence with its frame, and the legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from flexhook.visualization import pen
from flexhook.visualization.outcomes import FrameOutcome


@dataclass(frozen=True)
class Theme:
    """Colours of a strip.

    Attributes:
        ground: Behind everything.
        text: Of what is read first.
        dim: Of what is read second.
    """

    ground: pen.Colour
    text: pen.Colour
    dim: pen.Colour


DARK = Theme(pen.INK, pen.PAPER, pen.DIM)
LIGHT = Theme(pen.PAPER, pen.INK, (95, 100, 110))


def caption_strip(width: int, sentence: str, notes: list[str], text: int, theme: Theme = DARK) -> Image.Image:
    """The sentence at the left, over up to three lines, and notes at the right or, where that is too narrow, below.

    Args:
        width: Of the strip in pixels.
        sentence: The expression's sentence.
        notes: Short texts, for example the video, the frame and the HOTA.
        text: Height of the sentence's letters in pixels; notes are smaller.
        theme: Colours.

    Returns:
        An RGB picture; its height is even and depends on the sentence and on the width of the notes.
    """
    face, small = pen.font(text, bold=True), pen.font(max(12, round(text * 0.75)))
    pad = max(8, text // 2)
    note = "   ".join(n for n in notes if n)
    note_width = pen.text_width(note, small)
    beside = note_width + 4 * pad < width / 2
    room = width - 2 * pad - (note_width + 2 * pad if beside else 0)
    lines = pen.wrap(f"“{sentence}”", face, room)
    below = [] if beside else pen.wrap(note, small, width - 2 * pad, max_lines=2)
    step, small_step = round(text * 1.3), round(small.size * 1.4)
    height = pad + step * len(lines) + small_step * len(below) + pad // 2
    strip = Image.new("RGB", (width, height + height % 2), theme.ground)
    draw = ImageDraw.Draw(strip)
    for k, line in enumerate(lines):
        draw.text((pad, pad // 2 + step * (k + 0.55)), line, font=face, fill=theme.text, anchor="lm")
    if beside:
        draw.text((width - pad, pad // 2 + step * 0.55), note, font=small, fill=theme.dim, anchor="rm")
    for k, line in enumerate(below):
        draw.text(
            (pad, pad // 2 + step * len(lines) + small_step * (k + 0.5)), line, font=small, fill=theme.dim, anchor="lm"
        )
    return strip


def legend_strip(
    width: int,
    text: int,
    theme: Theme = DARK,
    *,
    truth: bool = True,
    points: bool = False,
    outcome: FrameOutcome | None = None,
) -> Image.Image:
    """What the strokes and marks mean, each with its number in this frame where an outcome is given.

    Args:
        width: Of the strip in pixels; entries that do not fit go to a further line.
        text: Height of the letters in pixels.
        theme: Colours.
        truth: There is ground truth: correct, false alarm, missed and referents are told apart.
        points: Reference points are drawn.
        outcome: The frame whose numbers are written.

    Returns:
        An RGB picture of even height, the same for every outcome.
    """
    counts: Mapping[str, int] = {}
    if outcome is not None:
        counts = {
            "correct": len(outcome.correct),
            "false alarm": len(outcome.false_alarm),
            "missed": len(outcome.missed),
            "true referent": len(outcome.found) + len(outcome.missed),
            "other track": len(outcome.other),
            "accepted, a colour per identity": len(outcome.correct),
        }
    names = ["correct", "false alarm", "missed", "true referent"] if truth else ["accepted, a colour per identity"]
    names += ["other track"] + ["reference point"] * points
    face = pen.font(text)
    pad, sample = max(8, text // 2), round(text * 2.2)
    slots = [sample + pad // 2 + pen.text_width(f"{name} {'000' * (name in counts)}", face) + 2 * pad for name in names]
    lines: list[list[int]] = [[]]
    for k, slot in enumerate(slots):
        if lines[-1] and sum(slots[j] for j in lines[-1]) + slot > width - pad:
            lines.append([])
        lines[-1].append(k)
    step = math.ceil(text * 2.0 / 2) * 2
    strip = Image.new("RGB", (width, step * len(lines) + pad // 2 * 2), theme.ground)
    draw = ImageDraw.Draw(strip, "RGBA")
    for row, line in enumerate(lines):
        x, middle = pad, pad // 2 + step * (row + 0.5)
        for k in line:
            name = names[k]
            _SAMPLES[name](strip, draw, (x, middle - text * 0.62, x + sample, middle + text * 0.62))
            label = f"{name} {counts[name]}" if name in counts else name
            draw.text((x + sample + pad // 2, middle), label, font=face, fill=theme.text, anchor="lm")
            x += slots[k]
    return strip


def _stroke(colour: pen.Colour, dash: int = 0, cross: bool = False) -> Callable:
    def sample(strip: Image.Image, draw: ImageDraw.ImageDraw, box: pen.Rectangle) -> None:
        x1, y1, x2, y2 = box[0] + 3, box[1] + 2, box[2] - 3, box[3] - 2
        if cross:
            draw.line((x1, y1, x2, y2), fill=(*colour, 230), width=1)
            draw.line((x1, y2, x2, y1), fill=(*colour, 230), width=1)
        pen.stroke_box(draw, (x1, y1, x2, y2), colour, 3, dash)

    return sample


def _mark(shape: str, colour: pen.Colour) -> Callable:
    def sample(strip: Image.Image, draw: ImageDraw.ImageDraw, box: pen.Rectangle) -> None:
        size = round(box[3] - box[1])
        stamp = pen.marker(shape, size, colour)
        strip.paste(stamp, (round((box[0] + box[2] - size) / 2), round(box[1])), stamp)

    return sample


def _grey(strip: Image.Image, draw: ImageDraw.ImageDraw, box: pen.Rectangle) -> None:
    draw.rectangle((box[0] + 3, box[1] + 2, box[2] - 3, box[3] - 2), outline=(*pen.OTHER_DARK, 255), width=1)


def _identities(strip: Image.Image, draw: ImageDraw.ImageDraw, box: pen.Rectangle) -> None:
    third = (box[2] - box[0]) / 3
    for k, colour in enumerate(pen.IDENTITIES[:3]):
        x = box[0] + k * third
        pen.stroke_box(draw, (x + 3, box[1] + 2, x + third - 2, box[3] - 2), colour, 3)


_SAMPLES: Mapping[str, Callable] = {
    "correct": _stroke(pen.CORRECT),
    "false alarm": _stroke(pen.FALSE_ALARM, cross=True),
    "missed": _stroke(pen.MISSED, dash=6),
    "true referent": _mark("triangle", pen.PAPER),
    "other track": _grey,
    "accepted, a colour per identity": _identities,
    "reference point": _mark("diamond", pen.POINT),
}
