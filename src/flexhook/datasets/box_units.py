"""Boxes in another unit than pixels of the frame: fractions, corners, another scale or picture size, told from the numbers.

Without truth only what cannot be is told: boxes whose centres are outside the frame, or, of a whole video, none that reaches
the right or the lower half. Neither occurs in KITTI's labels, detections and tracks (21 videos) nor in the synthetic worlds.
With truth, other units are tried where tracks and truth hardly overlap as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from flexhook.datasets.shift import HARDLY, OFFSETS, track_fit
from flexhook.structures import TrackSet

#: (height, width) of pictures that trackers' outputs refer to: common videos, KITTI, inputs of detectors and models.
KNOWN_SIZES = {
    (375, 1242): "KITTI's", (1080, 1920): "full HD", (720, 1280): "HD", (2160, 3840): "4K", (480, 640): "VGA",
    (540, 960): "half of full HD", (608, 1088): "JDE's input", (800, 1440): "ByteTrack's input", (640, 640): "YOLO's input",
    (224, 672): "the model's input",
}  # fmt: skip
#: Other scales that are tried.
SCALES = (1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 0.4, 1 / 2, 0.6, 2 / 3, 0.75, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
#: Fewest boxes that tell of a scale or of corners.
FEWEST = 10
#: Boxes that tell it where there is truth.
ENOUGH = 500
#: Boxes that all end in this share of the frame's width and height are for a smaller picture.
CORNER = 0.52
#: Share of the boxes whose centres are outside the frame, above which they are for a larger picture.
OUTSIDE = 0.05
#: Share of the rows that may break a rule: trackers make a strange box now and then.
STRANGE = 0.01
#: How far a box may hang over the border, as a share of the frame.
BORDER = 0.05


@dataclass(frozen=True)
class UnitFinding:
    """Boxes that are likely in another unit.

    Attributes:
        unit: ``"normalised"``, ``"corners"`` or ``"scaled"``.
        factor: Of ``"scaled"``, (x, y): the boxes' pixels per pixel of the frame; 0.5 of boxes at half scale.
        problem: What is seen, and the likely unit, in words.
        hint: What the user can do.
    """

    unit: str
    factor: tuple[float, float] | None
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.problem}. {self.hint}."


@dataclass(frozen=True)
class _Picture:
    """A picture size that boxes may refer to."""

    height: float
    width: float
    name: str


def unit_findings(
    tracks: TrackSet, size: tuple[int, int], truth: TrackSet | None = None, option: str | None = "tracker.size"
) -> list[UnitFinding]:
    """Whether the boxes of a video's tracks are in pixels of its frames.

    Args:
        tracks: The boxes, as they were read.
        size: (height, width) of the frames.
        truth: The true boxes, where they are known.
        option: Option that takes the picture size that boxes refer to, for hints; None where there is none.

    Returns:
        What is likely wrong, at most one finding; nothing where the boxes are sound or too few.
    """
    if not len(tracks):
        return []
    found = _normalised(tracks, size, option) or _corners(tracks, size) or _scaled(tracks, size, option)
    if truth is not None:
        truth, rows = _first(truth, tracks)
        fit = track_fit(truth, rows)
        if not fit.says_nothing:
            found = None if fit.agreement >= HARDLY else _by_truth(rows, truth, size, option) or found
    return [found] if found else []


def unit_by_truth(
    tracks: TrackSet, truth: TrackSet, size: tuple[int, int], option: str | None = None
) -> UnitFinding | None:
    """The unit in which the boxes of tracks agree with the truth, where they hardly do as pixels of the frame and do in it.

    Args:
        tracks: The boxes.
        truth: The true boxes.
        size: (height, width) of the frames, or about the largest y and x of the true boxes.
        option: Option that takes the picture size that boxes refer to, for the hint; None where there is none.
    """
    truth, rows = _first(truth, tracks)
    fit = track_fit(truth, rows)
    if fit.says_nothing or fit.agreement >= HARDLY:
        return None
    return _normalised(rows, size, option) or _by_truth(rows, truth, size, option)


def warn_of_units(
    tracks: TrackSet,
    size: tuple[int, int],
    where: str = "the tracks",
    option: str | None = "tracker.size",
    say: Callable[[str], object] = print,
) -> None:
    """Print a warning where the boxes of some tracks are likely in another unit; arguments as of :func:`unit_findings`.

    Args:
        tracks: The boxes.
        size: (height, width) of the frames.
        where: What the boxes are from, for the warning.
        option: The option for the hint.
        say: Is told the warning.
    """
    for found in unit_findings(tracks, size, option=option):
        say(f"warning: {where}: {found}")


def _normalised(tracks: TrackSet, size: tuple[int, int], option: str | None) -> UnitFinding | None:
    """All within [0, 1] but for what hangs over the border."""
    if tracks.box.max() > 2 or min(size) < 8:
        return None
    problem = (f"no box reaches beyond {tracks.box.max():.3g} in frames of {_size(size)}: the boxes are likely normalised, "
               "as fractions of the frame")
    return UnitFinding("normalised", None, problem, _remedy(option, 1, 1))


def _corners(tracks: TrackSet, size: tuple[int, int]) -> UnitFinding | None:
    """Read as x, y, w, h, corners are boxes that are wider than their x and higher than their y and stick out of the frame."""
    corners = _from_corners(tracks)
    if len(tracks) < FEWEST or corners is None:
        return None
    border = 1 + BORDER
    out = (tracks.box[:, 2] > border * size[1]) | (tracks.box[:, 3] > border * size[0])
    inside = (corners.box[:, 2] <= border * size[1]) & (corners.box[:, 3] <= border * size[0])
    if out.mean() < 2 * OUTSIDE or (~inside).mean() > STRANGE:
        return None
    return _corners_finding(f"{out.sum()} of {len(tracks)} boxes stick out of the frame of {_size(size)}, and fit into it with "
                            "the third and fourth numbers as their lower right corner")


def _scaled(tracks: TrackSet, size: tuple[int, int], option: str | None) -> UnitFinding | None:
    """Centres outside the frame, or nothing in its right and lower halves."""
    if len(tracks) < FEWEST:
        return None
    height, width = size
    centre = (tracks.box[:, :2] + tracks.box[:, 2:]) / 2
    outside = ((centre[:, 0] > width) | (centre[:, 1] > height)).mean()
    reach = np.quantile(tracks.box[:, 2:], 1 - STRANGE, axis=0)
    small = tracks.box[:, 2].max() <= CORNER * width and tracks.box[:, 3].max() <= CORNER * height
    if outside <= OUTSIDE and not small:
        return None
    pictures = [p for p in _pictures(size) if (p.width > width or p.height > height) != small]
    holding = [p for p in pictures if p.width >= 0.98 * reach[0] and p.height >= 0.98 * reach[1]]
    if not holding:
        return None
    aspect = width / height  # mostly pictures are resized without being stretched
    picture = min(holding, key=lambda p: p.width * p.height * (1 if abs(p.width / p.height / aspect - 1) < 0.05 else 2))
    seen = (f"the boxes reach x = {reach[0]:.0f} and y = {reach[1]:.0f} in frames of {_size(size)}"
            + (", no box its right or lower half" if small else f", {outside:.0%} of them lie outside"))
    return _scaled_finding(seen, picture, size, option)


def _by_truth(tracks: TrackSet, truth: TrackSet, size: tuple[int, int], option: str | None) -> UnitFinding | None:
    """The unit in which the tracks agree best with the truth, where they do in one."""
    tried: list[tuple[float, UnitFinding]] = []
    seen = "tracks and true boxes hardly overlap, but they do"
    corners = _from_corners(tracks)
    if corners is not None:
        tried.append((track_fit(truth, corners).agreement, _corners_finding(f"{seen} as corners")))
    for picture in _pictures(size):
        scale = np.array([size[1] / picture.width, size[0] / picture.height] * 2)
        agreement = track_fit(truth, replace(tracks, box=tracks.box * scale)).agreement
        tried.append((agreement, _scaled_finding(f"{seen} at another scale", picture, size, option)))
    agreement, found = max(tried, key=lambda one: one[0])
    return found if agreement >= HARDLY + 0.1 else None


def _first(truth: TrackSet, tracks: TrackSet) -> tuple[TrackSet, TrackSet]:
    """The rows of the first frames that have both, as many as tell the unit."""
    tracks = tracks.select(np.isin(tracks.frame, truth.frame))
    if len(tracks) <= ENOUGH:
        return truth, tracks
    last = tracks.frame[ENOUGH]
    return truth.select(truth.frame <= last + max(OFFSETS)), tracks.select(tracks.frame <= last)


def _from_corners(tracks: TrackSet) -> TrackSet | None:
    """The tracks with what was read as width and height as the lower right corner; None where that makes no boxes."""
    corner, read = tracks.box[:, :2], tracks.box[:, 2:] - tracks.box[:, :2]
    sound = (read > corner).all(axis=1) & (corner > -1).all(axis=1)
    if (~sound).mean() > STRANGE or (corner <= 1).all(axis=1).mean() > STRANGE:
        return None
    return replace(tracks, box=np.concatenate([corner, read], axis=1))


def _pictures(size: tuple[int, int]) -> Iterator[_Picture]:
    """Picture sizes other than the frame's that boxes may refer to."""
    height, width = size
    for scale in SCALES:
        yield _Picture(height * scale, width * scale, _scale(scale))
    for (high, wide), name in KNOWN_SIZES.items():
        if max(abs(high / height - 1), abs(wide / width - 1)) > 0.1:
            yield _Picture(high, wide, f"a picture of {wide}x{high} ({name})")


def _corners_finding(seen: str) -> UnitFinding:
    problem = f"{seen}: the rows are likely frame,id,x1,y1,x2,y2, corners instead of x,y,w,h"
    return UnitFinding("corners", None, problem, "Write w = x2 - x1 and h = y2 - y1 into the file")


def _scaled_finding(seen: str, picture: _Picture, size: tuple[int, int], option: str | None) -> UnitFinding:
    factor = (picture.width / size[1], picture.height / size[0])
    alike = abs(factor[0] - factor[1]) < 0.01 * factor[0]
    times = f"{factor[0]:.3g}" if alike else f"{factor[0]:.3g} (x) and {factor[1]:.3g} (y)"
    problem = f"{seen}: the boxes are likely for {picture.name}, {times} times the frame's size"
    return UnitFinding("scaled", factor, problem, _remedy(option, picture.height, picture.width))


def _scale(scale: float) -> str:
    names = {0.5: "a picture of half the size", 2.0: "a picture of double the size"}
    return names.get(scale, "a smaller picture" if scale < 1 else "a larger picture")


def _remedy(option: str | None, height: float, width: float) -> str:
    if option is None:
        return "Convert the boxes to pixels of the original frame"
    return f"Set {option}=[{round(height)},{round(width)}], the height and width that the boxes refer to, or convert the boxes"


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
