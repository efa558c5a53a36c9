"""Draws the boxes of one expression on one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from flexhook.media.images import resize
from flexhook.visualization import pen
from flexhook.visualization.outcomes import FrameOutcome, ScoredExpression


@dataclass(frozen=True)
class Style:
    """Sizes in pixels that go with a picture's width.

    Attributes:
        text: Height of the text on boxes and in the legend.
        title: Height of the sentence.
        line: Width of a box's outline.
        mark: Size of a referent's triangle.
    """

    text: int
    title: int
    line: int
    mark: int

    @classmethod
    def of(cls, width: int) -> Style:
        """The sizes for a picture that is ``width`` pixels wide."""
        return cls(
            max(12, round(width / 80)),
            max(15, round(width / 48)),
            max(2, round(width / 400)),
            max(9, round(width / 80)),
        )


def draw_frame(
    scored: ScoredExpression,
    frame: int,
    size: tuple[int, int],
    *,
    points: Sequence[np.ndarray] = (),
    identities: bool = True,
) -> np.ndarray:
    """One frame of the video with the boxes of the expression.

    With ground truth: correct boxes are blue and solid with a check mark, false alarms orange with a cross through
    them, missed referents yellow and dashed, and a triangle stands under every referent. Without: a colour per
    identity. Boxes that were not accepted are thin and grey. The number at a box is the probability of yes; at a missed
    referent it is that of the tracker box that was there.

    Args:
        scored: The expression with its scores.
        frame: Index of the frame, 0-based.
        size: (height, width) of the picture in pixels.
        points: Reference points in [-1, 1], an (M, 2) array of (x, y) per scale, finest first.
        identities: Write the tracker's identity beside the probability.

    Returns:
        ``size`` + (3,) uint8 RGB.

    Raises:
        flexhook.errors.InputError: The frame is missing or does not decode.
    """
    picture = Image.fromarray(resize(np.ascontiguousarray(scored.video.frames.read(frame)), size))
    _FrameDrawing(picture, scored, scored.at(frame), identities).everything(points)
    return np.asarray(picture)


class _FrameDrawing:
    """Draws one outcome on one picture; remembers where text stands, so that labels keep clear of each other."""

    def __init__(self, picture: Image.Image, scored: ScoredExpression, outcome: FrameOutcome, identities: bool) -> None:
        self.picture, self.scored, self.outcome, self.identities = picture, scored, outcome, identities
        self.draw = ImageDraw.Draw(picture, "RGBA")
        self.style = Style.of(picture.width)
        self.face = pen.font(self.style.text, bold=True)
        self.taken: list[pen.Rectangle] = []
        accepted = [self.to_picture(scored.tracks.box[row]) for row in (*outcome.correct, *outcome.false_alarm)]
        self.boxes = accepted + [self.to_picture(scored.video.truth.box[row]) for row in outcome.missed]

    def everything(self, points: Sequence[np.ndarray]) -> None:
        scored, outcome, style = self.scored, self.outcome, self.style
        for row in outcome.other:
            self.draw.rectangle(
                self.to_picture(scored.tracks.box[row]), outline=(*pen.OTHER, 190), width=max(1, style.line // 2)
            )
        self.points(points)
        truth = scored.video.truth.box
        for row in outcome.missed:
            pen.stroke_box(self.draw, self.to_picture(truth[row]), pen.MISSED, style.line, dash=4 * style.line)
        for row in outcome.correct:
            pen.stroke_box(self.draw, self.to_picture(scored.tracks.box[row]), self.colour(row), style.line)
        for row in outcome.false_alarm:
            box = self.to_picture(scored.tracks.box[row])
            x1, y1, x2, y2 = box
            self.draw.line((x1, y1, x2, y2), fill=(*pen.FALSE_ALARM, 220), width=max(1, style.line // 2))
            self.draw.line((x1, y2, x2, y1), fill=(*pen.FALSE_ALARM, 220), width=max(1, style.line // 2))
            pen.stroke_box(self.draw, box, pen.FALSE_ALARM, style.line)
        for row in (*outcome.found, *outcome.missed):
            self.triangle(self.to_picture(truth[row]))
        for row, rejected in zip(outcome.missed, outcome.rejected, strict=True):
            why = f"{scored.probability[rejected]:.2f}" if rejected >= 0 else "no track"
            self.tag(self.to_picture(truth[row]), f"missed, {why}", pen.MISSED)
        mark = "✓ " if scored.referent is not None else ""
        for rows, sign in ((outcome.correct, mark), (outcome.false_alarm, "✗ ")):
            for row in rows:
                name = f" #{scored.tracks.identity[row]}" if self.identities else ""
                colour = self.colour(row) if rows is outcome.correct else pen.FALSE_ALARM
                self.tag(self.to_picture(scored.tracks.box[row]), f"{sign}{scored.probability[row]:.2f}{name}", colour)

    def to_picture(self, box: np.ndarray) -> pen.Rectangle:
        """A box in pixels of the original frame in pixels of the picture, cut at its border."""
        x1, y1, x2, y2 = self.scored.video.normalised(box)
        width, height = self.picture.size
        edge = self.style.line // 2 + 1
        x1, x2 = (min(max(x * width, edge), width - 1 - edge) for x in (x1, x2))
        y1, y2 = (min(max(y * height, edge), height - 1 - edge) for y in (y1, y2))
        return x1, y1, x2, y2

    def colour(self, row: int) -> pen.Colour:
        """Colour of an accepted box: the correct ones' or, without ground truth, its identity's."""
        if self.scored.referent is not None:
            return pen.CORRECT
        place = np.searchsorted(self.scored.accepted_identities, self.scored.tracks.identity[row])
        return pen.IDENTITIES[int(place) % len(pen.IDENTITIES)]

    def points(self, scales: Sequence[np.ndarray]) -> None:
        """Diamonds at the reference points; the coarser the scale, the larger."""
        for scale, xy in enumerate(scales):
            stamp = pen.marker("diamond", round(self.style.mark * 0.7) + scale, pen.POINT)
            for x, y in (np.asarray(xy) + 1) / 2 * (self.picture.width - 1, self.picture.height - 1):
                self.picture.paste(stamp, (round(x - stamp.width / 2), round(y - stamp.height / 2)), stamp)

    def triangle(self, box: pen.Rectangle) -> None:
        """The mark of a referent, under the middle of its box or, at the frame's border, inside it."""
        stamp = pen.marker("triangle", self.style.mark, pen.PAPER)
        x = round((box[0] + box[2]) / 2 - stamp.width / 2)
        y = min(round(box[3]) + self.style.line, self.picture.height - stamp.height)
        self.picture.paste(stamp, (x, y), stamp)
        self.taken.append((x, y, x + stamp.width, y + stamp.height))

    def tag(self, box: pen.Rectangle, text: str, colour: pen.Colour) -> None:
        """A label at a box, where it covers the least of other labels and of the boxes that matter."""
        pad = max(2, self.style.text // 6)
        width, height = pen.text_width(text, self.face) + 2 * pad, self.style.text + 2 * pad
        gap = self.style.line // 2 + 1
        left, top, right, bottom = round(box[0]) - gap, round(box[1]) - gap, round(box[2]) + gap, round(box[3]) + gap
        places = [  # above, below, beside, further above, inside
            (left, top - height),
            (right - width, top - height),
            (left, bottom),
            (right - width, bottom),
            (right, top),
            (left - width, top),
            (left, top - 2 * height),
            (left, top - 3 * height),
            (left, top),
        ]
        x, y = min(places, key=lambda place: self.cost((*place, place[0] + width, place[1] + height), box))
        x = min(max(x, 0), max(0, self.picture.width - width))
        y = min(max(y, 0), max(0, self.picture.height - height))
        self.taken.append((x, y, x + width, y + height))
        if y + height < top:
            self.draw.line(
                (left + 1, y + height, left + 1, top), fill=(*colour, 235), width=max(1, self.style.line // 2)
            )
        self.draw.rectangle((x, y, x + width - 1, y + height - 1), fill=(*colour, 235))
        self.draw.text((x + pad, y + height / 2), text, font=self.face, fill=pen.readable_on(colour), anchor="lm")

    def cost(self, place: pen.Rectangle, own: pen.Rectangle) -> float:
        """How bad a place for the label of the box ``own`` is: what it covers of other labels, boxes and outside."""
        frame = (0.0, 0.0, float(self.picture.width), float(self.picture.height))
        outside = _overlap(place, place) - _overlap(place, frame)
        others = [b for b in self.boxes if b != own]
        return (
            100 * outside + sum(_overlap(place, b) for b in self.taken) + 0.3 * sum(_overlap(place, b) for b in others)
        )


def _overlap(a: pen.Rectangle, b: pen.Rectangle) -> float:
    """Area that two rectangles share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
