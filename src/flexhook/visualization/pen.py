"""Colours, fonts and strokes that the overlays and contact sheets share."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]

# The palette of Okabe and Ito (2008), told apart with every kind of colour blindness.
CORRECT: Colour = (86, 180, 233)
MISSED: Colour = (240, 228, 66)
FALSE_ALARM: Colour = (213, 94, 0)
POINT: Colour = (204, 121, 167)
OTHER: Colour = (190, 190, 190)
OTHER_DARK: Colour = (140, 140, 140)
IDENTITIES: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (255, 255, 255),
)
INK: Colour = (16, 18, 22)
PAPER: Colour = (255, 255, 255)
DIM: Colour = (170, 176, 186)


def readable_on(colour: Colour) -> Colour:
    """Ink or paper, whichever stands out more against ``colour``."""
    return INK if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110 else PAPER


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which Matplotlib brings along, at a height of ``size`` pixels."""
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' * bold}.ttf"), size)


def text_width(text: str, face: ImageFont.FreeTypeFont) -> int:
    """Width of a line of text in pixels."""
    return round(face.getlength(text))


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int, max_lines: int = 3) -> list[str]:
    """Break a text into lines of at most ``width`` pixels, between words where that is possible.

    Text that does not fit into ``max_lines`` ends with an ellipsis.
    """
    lines, line = [], ""
    for word in text.split():
        while text_width(word, face) > width and len(word) > 1:  # a word longer than a line is cut
            fits = max(1, sum(text_width(word[: k + 1], face) <= width for k in range(len(word))))
            lines += [line, word[:fits]] if line else [word[:fits]]
            line, word = "", word[fits:]
        if line and text_width(f"{line} {word}", face) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    lines += [line] if line else []
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and text_width(f"{last}…", face) > width:
            last = last[:-1]
        lines = [*lines[: max_lines - 1], f"{last.rstrip()}…"]
    return lines or [""]


def stroke_box(draw: ImageDraw.ImageDraw, box: Rectangle, colour: Colour, width: int, dash: int = 0) -> None:
    """Outline a box on a dark halo of a pixel.

    Args:
        draw: Where to draw, in mode RGBA.
        box: (x1, y1, x2, y2) in pixels of the picture; the middle of the stroke.
        colour: Of the stroke.
        width: Of the stroke in pixels.
        dash: Length of a dash and of the gap after it in pixels; 0 for a solid line.
    """
    x1, y1, x2, y2 = (round(v) for v in box)
    half = width // 2
    sides = [  # along x or y, from, to, at
        (True, x1, x2, y1),
        (False, y1, y2, x2),
        (True, x1, x2, y2),
        (False, y1, y2, x1),
    ]
    for halo in (True, False):
        grow, ink = (1, (*INK, 150)) if halo else (0, (*colour, 255))
        for along_x, start, stop, at in sides:
            for a, b in _dashes(start, stop, dash):
                span = (a - half - grow, at - half - grow, b - half + width - 1 + grow, at - half + width - 1 + grow)
                draw.rectangle(span if along_x else (span[1], span[0], span[3], span[2]), fill=ink)


def _dashes(start: int, stop: int, dash: int) -> list[tuple[int, int]]:
    """Pieces of a side, an odd number of equal dashes and gaps, so that both corners are drawn."""
    if not dash or stop - start < 3 * dash:
        return (
            [(start, stop)] if not dash else [(start, start + (stop - start) // 3), (stop - (stop - start) // 3, stop)]
        )
    pieces = (stop - start) // dash
    pieces -= 1 - pieces % 2
    at = [start + round(k * (stop - start) / pieces) for k in range(pieces + 1)]
    return list(zip(at[::2], at[1::2], strict=True))


CORNERS = {
    "triangle": ((0.0, -1.0), (0.95, 0.8), (-0.95, 0.8)),
    "diamond": ((0.0, -1.0), (0.8, 0.0), (0.0, 1.0), (-0.8, 0.0)),
}


@lru_cache(maxsize=256)
def marker(shape: str, size: int, colour: Colour) -> Image.Image:
    """A small RGBA picture of a mark with a dark outline.

    Args:
        shape: ``"triangle"`` (pointing up) or ``"diamond"``.
        size: Width and height in pixels.
        colour: Of the mark.
    """
    fine = 8  # drawn large and made small, for smooth edges
    picture = Image.new("RGBA", (size * fine, size * fine))
    draw = ImageDraw.Draw(picture)
    centre = size * fine / 2
    for radius, ink in ((centre, INK), (centre - 1.2 * fine, colour)):
        draw.polygon([(centre + radius * x, centre + radius * y) for x, y in CORNERS[shape]], fill=(*ink, 255))
    return picture.resize((size, size), Image.Resampling.LANCZOS)
