"""Official KITTI tracking labels (``label_02``) as ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from flexhook.datasets.naming import VideoPath
from flexhook.datasets.parts import Truth, VideoPlace
from flexhook.datasets.problems import Report, ignore, strict
from flexhook.datasets.text_files import number, number_lines
from flexhook.errors import InputError
from flexhook.structures import TrackSet

#: Every type that KITTI's labels know; an unknown one is a mistake.
TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
#: The types that Refer-KITTI refers to, by its two classes.
CLASSES = {
    "Pedestrian": "pedestrian",
    "Person": "pedestrian",
    "Person_sitting": "pedestrian",
    "Cyclist": "pedestrian",
    "Car": "car",
    "Van": "car",
    "Truck": "car",
    "Tram": "car",
}
_ROW = "KITTI tracking rows `frame id type truncated occluded alpha x1 y1 x2 y2 ...` of 17 or 18 columns"


@dataclass
class KittiLabels(Truth):
    """A ``label_02`` file per video.

    Attributes:
        path: The file, with ``{video}``.
        first_frame: Number of the first frame in the files.
        classes: Class by KITTI's type; objects of other types are left out.

    Raises:
        ConfigError: The path has an unknown field.
    """

    path: str = "training/label_02/{video}.txt"
    first_frame: int = 0
    classes: Mapping[str, str] = field(default_factory=lambda: CLASSES)

    def __post_init__(self) -> None:
        self._path, self.first_frame = VideoPath(self.path), int(self.first_frame)
        self.classes = {str(kind): str(name) for kind, name in self.classes.items()}

    def read(self, video: VideoPlace, report: Report = strict) -> TrackSet:
        """The label file of a video, as trajectories."""
        path = self._path.resolve(video.root, video.key)
        return read_kitti_labels(path, classes=self.classes, first_frame=self.first_frame, report=report)

    def files(self, video: VideoPlace) -> list[Path]:
        """The label file of a video."""
        return [self._path.resolve(video.root, video.key)]

    def place_of(self, video: VideoPlace, frame: int) -> tuple[Path, int | None]:
        """The label file of a video, and the line of the first row of a 0-based frame."""
        path, wanted = self._path.resolve(video.root, video.key), str(frame + self.first_frame)
        lines = number_lines(path, report=ignore, words=True)
        return path, next((line for line, fields in lines if fields[0] == wanted), None)


def read_kitti_labels(
    path: str | Path, *, classes: Mapping[str, str] = CLASSES, first_frame: int = 0, report: Report = strict
) -> TrackSet:
    """The trajectories in one ``label_02`` file.

    Args:
        path: The file.
        classes: Class by KITTI's type; rows of other types (DontCare among them) are left out.
        first_frame: Number that the file gives to the first frame.
        report: Receives what is wrong.

    Raises:
        InputError: A row has not 17 or 18 columns, an unknown type, a frame or identity that is no whole number, a box
            that is not finite or not of positive size, or repeats an identity in a frame; with file and line.
    """
    names = tuple(dict.fromkeys(classes.values()))
    frames, identities, boxes, categories = [], [], [], []
    seen: set[tuple[int, int]] = set()
    for line, fields in number_lines(path, report=report, words=True):
        kind, problem = _judge(fields, first_frame)
        if not kind and fields[2] not in classes:
            continue
        if not kind:
            frame, identity = int(number(fields[0])) - first_frame, int(number(fields[1]))
            if (frame, identity) in seen:
                kind, problem = "duplicate-row", f"identity {identity} occurs twice in frame {fields[0]}"
            seen.add((frame, identity))
        if kind:
            report(kind, InputError(problem, file=path, line=line, expected=_ROW, hint="Mend or restore the file"))
            continue
        frames.append(frame)
        identities.append(identity)
        boxes.append([number(field) for field in fields[6:10]])
        categories.append(names.index(classes[fields[2]]))
    return TrackSet.build(frames, identities, boxes, categories, categories=names)


def _judge(fields: list[str], first_frame: int) -> tuple[str, str]:
    """What is wrong with a row, as (kind, problem); two empty texts if nothing is."""
    if len(fields) not in (17, 18):
        return "wrong-columns", f"the row has {len(fields)} columns"
    if fields[2] not in TYPES:
        return "bad-class", f"the type is {fields[2][:40]!r}"
    try:
        frame, identity, *rest = [number(field) for field in fields[:2] + fields[3:]]
    except ValueError:
        return "not-a-number", f"the row {' '.join(fields)[:60]!r} holds something that is not a number"
    x1, y1, x2, y2 = rest[3:7]
    if not isfinite(frame + identity + x1 + y1 + x2 + y2):
        return "bad-box", "the row holds NaN or infinity"
    if frame % 1 or frame < first_frame or frame >= 2**53:
        return "bad-frame", f"the frame is {fields[0]}"
    if fields[2] == "DontCare":
        return "", ""
    if identity % 1 or not 0 <= identity < 2**53:
        return "bad-identity", f"the identity is {fields[1]}"
    if x2 <= x1 or y2 <= y1:
        return "bad-box", f"the box is {x2 - x1:g} wide and {y2 - y1:g} high"
    return "", ""
