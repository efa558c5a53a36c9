"""Official KITTI tracking labels (``label_02``) as ground truth, with expressions where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from flexhook.datasets.expression_files import Annotation, read_expression_folder
from flexhook.datasets.folders import FolderDataset
from flexhook.datasets.naming import VideoPath
from flexhook.datasets.problems import Report, strict
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


class Kitti(FolderDataset):
    """Reader of KITTI's tracking benchmark.

    Args:
        root: Folder of the dataset.
        splits: Names of the videos of each split.
        sizes: (height, width) of the original frame by video name, where ``default`` is that of all others.
        images: Pattern of the image files under ``root``; None for a dataset without images.
        labels: Path of a video's label file, with ``{video}``.
        expressions: Folder of a video's expression files, with ``{video}``; None for no expressions.
        image_first_frame: Number of the first frame in the images' names.
        label_first_frame: Number of the first frame in the label files.
        expression_first_frame: Number of the first frame inside the expression files.
        classes: Class by KITTI's type; objects of other types are left out.
        lengths: Number of frames by video name, for a dataset without images; for this and the following arguments see
            :class:`flexhook.datasets.folders.FolderDataset`.
        on_missing_referent: What to do with referents that no label is.
        on_missing_video: What to do with configured videos that are not on disk.

    Raises:
        InputError: ``root`` does not exist.
        ConfigError: An argument is unknown or malformed.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Mapping[str, Sequence[str]],
        sizes: Mapping[str, Sequence[int]] | str,
        images: str | None = "training/image_02/{video}/{frame:06d}.{ext}",
        labels: str = "training/label_02/{video}.txt",
        expressions: str | None = None,
        image_first_frame: int = 0,
        label_first_frame: int = 0,
        expression_first_frame: int = 0,
        classes: Mapping[str, str] = CLASSES,
        lengths: Mapping[str, int] | None = None,
        on_missing_referent: str = "error",
        on_missing_video: str = "warn",
    ) -> None:
        super().__init__(
            root,
            splits,
            sizes,
            images,
            image_first_frame=image_first_frame,
            lengths=lengths,
            on_missing_referent=on_missing_referent,
            on_missing_video=on_missing_video,
        )
        self.labels = VideoPath(labels)
        self.expressions = None if expressions is None else VideoPath(expressions)
        self.label_first_frame, self.expression_first_frame = int(label_first_frame), int(expression_first_frame)
        self.classes = {str(kind): str(name) for kind, name in classes.items()}

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The label file of a video, as trajectories."""
        path = self.labels.resolve(self.root, name)
        return read_kitti_labels(path, classes=self.classes, first_frame=self.label_first_frame, report=report)

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expression files of a video; none where the configuration names no folder."""
        if self.expressions is None:
            return []
        folder = self.expressions.resolve(self.root, name)
        return read_expression_folder(folder, name, first_frame=self.expression_first_frame, report=report)

    def sources(self, name: str) -> list[Path]:
        """Label and expression files of a video."""
        labels = self.labels.resolve(self.root, name)
        if self.expressions is None:
            return [labels]
        return [labels, *sorted(self.expressions.resolve(self.root, name).glob("*.json"))]


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
