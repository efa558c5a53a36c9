"""The raw Refer-KITTI layout (also V2): images, per-frame label files and a folder of expressions per video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.datasets.expression_files import Annotation, expression_paths, read_expression_file
from flexhook.datasets.folders import FolderDataset, ignore, one_of
from flexhook.datasets.frame_labels import read_frame_labels
from flexhook.datasets.naming import FramePattern
from flexhook.datasets.problems import Report, strict
from flexhook.structures import TrackSet


class ReferKitti(FolderDataset):
    """Reader of a dataset in the raw Refer-KITTI layout; every part of the layout is configuration.

    Args:
        root: Folder of the dataset.
        splits: Names of the videos of each split.
        sizes: (height, width) of the original frame by video name; ``default`` is that of all others.
        images: Pattern of the image files under ``root``; None for a dataset without images.
        labels: Pattern of the label files.
        expressions: Folder of a video's expression files, with ``{video}``.
        image_first_frame: Number of the first frame in the images' names.
        label_first_frame: Number of the first frame in the label files' names.
        expression_first_frame: Number of the first frame inside the expression files.
        label_origin: What x and y of a label are, ``"top_left"`` or ``"centre"``.
        classes: Name of the labels' class 0, 1, ....
        on_missing_referent: See :class:`flexhook.datasets.folders.FolderDataset`.
        on_missing_video: See there.

    Raises:
        InputError: ``root`` does not exist.
        ConfigError: An argument is unknown or malformed.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Mapping[str, Sequence[str]],
        sizes: Mapping[str, Sequence[int]],
        images: str | None = "KITTI/training/image_02/{video}/{frame:06d}.{ext}",
        labels: str = "KITTI/labels_with_ids/image_02/{video}/{frame:06d}.txt",
        expressions: str = "expression/{video}",
        image_first_frame: int = 0,
        label_first_frame: int = 0,
        expression_first_frame: int = 0,
        label_origin: str = "top_left",
        classes: Sequence[str] = ("pedestrian", "car"),
        on_missing_referent: str = "error",
        on_missing_video: str = "warn",
    ) -> None:
        super().__init__(root, splits, sizes, images, image_first_frame, on_missing_referent, on_missing_video)
        self.labels = FramePattern(labels, label_first_frame)
        self.expressions = str(expressions)
        self.expression_first_frame = int(expression_first_frame)
        self.label_origin = one_of("label_origin", label_origin, ("top_left", "centre"))
        self.classes = tuple(str(c) for c in classes)

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The label files of a video, as trajectories."""
        files = self.labels.files(self.root, name, report)
        return read_frame_labels(files, self.size(name), classes=self.classes, origin=self.label_origin, report=report)

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expression files of a video."""
        first = self.expression_first_frame
        paths = expression_paths(self.expression_folder(name), report)
        read = (read_expression_file(path, name, first_frame=first, report=report) for path in paths)
        return [annotation for annotation in read if annotation is not None]

    def expression_folder(self, name: str) -> Path:
        """The folder of a video's expression files."""
        return self.root / self.expressions.format(video=name)

    def files(self, name: str) -> list[Path]:
        """Label and expression files of a video, and the folder of its images."""
        labels = map(Path, self.labels.files(self.root, name, ignore).values())
        expressions = sorted(self.expression_folder(name).glob("*.json"))
        images = [] if self.images is None else [self.images.folder(self.root, name)]
        return [*images, *labels, *expressions]

    def exists(self, name: str) -> bool:
        """Whether the video has a folder of images, labels or expressions."""
        folders = (self.labels.folder(self.root, name), self.expression_folder(name))
        return super().exists(name) or any(folder.is_dir() for folder in folders)
