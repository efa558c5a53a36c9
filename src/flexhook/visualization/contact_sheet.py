"""Contact sheets: a row per expression, its frames side by side, what became of it in the caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from flexhook.errors import InputError
from flexhook.structures import Results, Video
from flexhook.structures.files import atomic_write
from flexhook.visualization import pen
from flexhook.visualization.frame_drawing import Style, draw_frame
from flexhook.visualization.outcomes import ScoredExpression
from flexhook.visualization.strips import LIGHT, caption_strip, legend_strip

METRICS = ("HOTA", "oracle_HOTA", "DetA", "AssA")


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One expression on a contact sheet.

    Attributes:
        scored: The expression with its scores.
        metrics: Its metrics, 0 to 100; HOTA, the oracle's HOTA, DetA and AssA are shown where they are given.
        points: Its reference points in [-1, 1], an (M, 2) array of (x, y) per scale.
    """

    scored: ScoredExpression
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: Sequence[np.ndarray] = ()


def spread_frames(scored: ScoredExpression, count: int) -> np.ndarray:
    """Up to ``count`` frames, increasing, spread evenly over those that hold a referent or an accepted box."""
    frames = scored.eventful_frames()
    count = min(count, len(frames))
    return frames[((np.arange(count) + 0.5) * len(frames) / max(count, 1)).astype(int)]


def write_contact_sheet(
    path: str | Path,
    rows: Sequence[SheetRow],
    *,
    title: str = "",
    frames: int = 3,
    columns: int = 3,
    cell_width: int = 480,
) -> Path:
    """Write a contact sheet as a png file; it appears under its name when it is whole.

    Args:
        path: The png file.
        rows: The expressions, from top to bottom.
        title: What the sheet shows.
        frames: Frames per expression.
        columns: Frames side by side; further ones go to further lines.
        cell_width: Width of a frame in pixels; a larger value makes a larger and clearer sheet.

    Raises:
        InputError: There are no rows, or a frame is missing or does not decode.
    """
    if not rows:
        raise InputError("there is no expression to show", file=path, expected="at least one scored expression")
    gap = max(6, cell_width // 60)
    width = columns * cell_width + (columns + 1) * gap
    text = Style.of(2 * cell_width).title
    parts = [_heading(title, width, text)] if title else []
    truth = any(row.scored.referent is not None for row in rows)
    parts.append(legend_strip(width, round(text * 0.75), LIGHT, truth=truth, points=any(len(r.points) for r in rows)))
    for row in rows:
        parts += [
            caption_strip(width, row.scored.expression.sentence, _notes(row), text, LIGHT),
            _cells(row, frames, columns, cell_width, gap),
        ]
    sheet = Image.new("RGB", (width, sum(p.height for p in parts) + gap), LIGHT.ground)
    y = 0
    for part in parts:
        sheet.paste(part, (0, y))
        y += part.height
    with atomic_write(path) as temporary:
        sheet.save(temporary, format="png", optimize=True)
    return Path(path)


def select_expressions(
    rows: Sequence[Mapping[str, Any]], videos: Mapping[str, Video], count: int, *, best: bool
) -> list[Mapping[str, Any]]:
    """The expressions with the highest or the lowest HOTA.

    Of equally good ones those with more true boxes come first. Expressions that refer to exactly the same boxes
    ("cars" and "vehicles") show the same picture: only one of them is taken while there are others.

    Args:
        rows: Per expression its ``video``, ``slug`` and ``HOTA``; rows with a HOTA of NaN are passed over.
        videos: The videos by name; rows of other videos are passed over.
        count: How many expressions.
        best: The highest instead of the lowest.
    """
    ranked = []
    for row in rows:
        video = videos.get(str(row["video"]))
        slugs = [] if video is None else [e.slug for e in video.expressions]
        if video is None or row["slug"] not in slugs or np.isnan(row["HOTA"]):
            continue
        referents = video.labels[:, [slugs.index(row["slug"])]].tocoo().row
        hota = float(row["HOTA"])
        ranked.append(
            ((-hota if best else hota, -len(referents), video.name, row["slug"]), frozenset(referents.tolist()), row)
        )
    ranked.sort(key=lambda entry: entry[0])
    first: list[Mapping[str, Any]] = []
    again: list[Mapping[str, Any]] = []
    seen = set()
    for (_, _, name, _), referents, row in ranked:
        (again if (name, referents) in seen else first).append(row)
        seen.add((name, referents))
    return (first + again)[:count]


def write_good_and_bad(
    folder: str | Path,
    read: Callable[[str], tuple[Video, Results]],
    rows: Sequence[Mapping[str, Any]],
    *,
    good: int = 4,
    bad: int = 4,
    frames: int = 3,
    points: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> dict[Path, list[Mapping[str, Any]]]:
    """Write ``good_expressions.png`` and ``bad_expressions.png``, the expressions with the highest and the lowest HOTA.

    Args:
        folder: Where to.
        read: Reads a video and its results by the video's name.
        rows: Per expression its ``video``, ``slug``, ``HOTA`` and further metrics, 0 to 100: a run's expressions.csv.
        good: Expressions on the sheet of good ones; 0 writes none.
        bad: Expressions on the sheet of bad ones; 0 writes none.
        frames: Frames per expression.
        points: Reference points by sentence, see :class:`SheetRow`.

    Returns:
        The files, each with the rows of the expressions on it.

    Raises:
        InputError: No row has a HOTA.
    """
    videos = {name: read(name)[0] for name in dict.fromkeys(str(row["video"]) for row in rows)}
    written: dict[Path, list[Mapping[str, Any]]] = {}
    for word, count, title in (("good", good, "Highest"), ("bad", bad, "Lowest")):
        if count:
            chosen = select_expressions(rows, videos, count, best=word == "good")
            sheet = [sheet_row(*read(str(row["video"])), row, points) for row in chosen]
            title = f"{title} HOTA of {len(rows)} expressions"
            path = Path(folder) / f"{word}_expressions.png"
            written[write_contact_sheet(path, sheet, title=title, frames=frames, columns=frames)] = chosen
    return written


def sheet_row(
    video: Video, results: Results, row: Mapping[str, Any], points: Mapping[str, Sequence[np.ndarray]] | None = None
) -> SheetRow:
    """The row of a sheet for an expression by its ``slug``, with those of the row's metrics that sheets show.

    Raises:
        InputError: The results have no such expression.
    """
    slugs = [e.slug for e in results.expressions]
    if row["slug"] not in slugs:
        raise InputError(
            f"the expression '{row['slug']}' of video {video.name} has metrics but no scores",
            expected="metrics and scores of the same expressions",
            hint="Evaluate again with `flexhook evaluate`",
        )
    scored = ScoredExpression.of(video, results[slugs.index(row["slug"])])
    metrics = {name: float(row[name]) for name in METRICS if name in row and np.isfinite(row[name])}
    return SheetRow(scored, metrics, (points or {}).get(scored.expression.sentence, ()))


def _heading(title: str, width: int, text: int) -> Image.Image:
    strip = Image.new("RGB", (width, round(text * 2.2)), LIGHT.ground)
    ImageDraw.Draw(strip).text(
        (max(8, text // 2), text * 1.2), title, font=pen.font(round(text * 1.15)), fill=LIGHT.dim, anchor="lm"
    )
    return strip


def _notes(row: SheetRow) -> list[str]:
    """Metrics and numbers of boxes over the whole video, for the caption."""
    value = {name: f"{number:.1f}" for name, number in row.metrics.items()}
    hota = f"HOTA {value['HOTA']}" if "HOTA" in value else ""
    hota += f" (oracle {value['oracle_HOTA']})" if hota and "oracle_HOTA" in value else ""
    metrics = "  ".join([hota, *(f"{name} {value[name]}" for name in ("DetA", "AssA") if name in value)])
    outcomes = [row.scored.at(int(frame)) for frame in row.scored.eventful_frames()]
    correct, false, missed = (sum(len(getattr(o, k)) for o in outcomes) for k in ("correct", "false_alarm", "missed"))
    known = row.scored.referent is not None
    boxes = f"{correct} correct, {false} false, {missed} missed" if known else f"{correct} accepted boxes"
    return [metrics, boxes, f"video {row.scored.video.name}"]


def _cells(row: SheetRow, frames: int, columns: int, cell_width: int, gap: int) -> Image.Image:
    """The frames of one expression, side by side, each with its index in a corner."""
    height, width = row.scored.video.size
    cell_height = max(1, round(cell_width * height / width))
    shown = spread_frames(row.scored, frames)
    lines = -(-len(shown) // columns)
    strip = Image.new("RGB", (columns * cell_width + (columns + 1) * gap, lines * (cell_height + gap)), LIGHT.ground)
    face = pen.font(max(11, cell_width // 40))
    for k, frame in enumerate(shown):
        size = (cell_height, cell_width)
        cell = Image.fromarray(draw_frame(row.scored, int(frame), size, points=row.points, identities=False))
        draw = ImageDraw.Draw(cell, "RGBA")
        label = f"frame {frame}"
        box = (0, cell_height - face.size - 6, pen.text_width(label, face) + 10, cell_height)
        draw.rectangle(box, fill=(*pen.INK, 190))
        draw.text((5, (box[1] + box[3]) / 2), label, font=face, fill=pen.PAPER, anchor="lm")
        strip.paste(cell, (gap + k % columns * (cell_width + gap), k // columns * (cell_height + gap)))
    return strip
