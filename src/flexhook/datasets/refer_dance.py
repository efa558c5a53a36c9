"""Refer-Dance: the field's expression folders over DanceTrack's frames and ground truth, numbered from 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.datasets.expression_files import Annotation, read_expression_folder
from flexhook.datasets.folders import FolderDataset
from flexhook.datasets.mot import plain_classes, read_mot_truth
from flexhook.datasets.naming import VideoPath
from flexhook.datasets.problems import Report, strict
from flexhook.structures import TrackSet


class ReferDance(FolderDataset):
    """Reader of expression folders over a MOTChallenge-style dataset; the defaults are DanceTrack's layout.

    Args:
        root: Folder of the dataset.
        splits: Names of the videos of each split.
        sizes: (height, width) of the original frames by video name, or where to find it
            (:class:`flexhook.datasets.sizes.FrameSizes`).
        images: Pattern of the image files under ``root``, where ``*`` is any one folder; None for no images.
        labels: Path of a video's ``gt.txt``.
        expressions: Folder of a video's expression files.
        image_first_frame: Number of the first frame in the images' names.
        label_first_frame: Number of the first frame in ``gt.txt``.
        expression_first_frame: Number of the first frame inside the expression files.
        classes: Names of the classes of ``gt.txt`` that count (:func:`flexhook.datasets.mot.read_mot_truth`).
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
        sizes: Mapping[str, Sequence[int]] | str = "*/{video}/seqinfo.ini",
        images: str | None = "*/{video}/img1/{frame:08d}.{ext}",
        labels: str = "*/{video}/gt/gt.txt",
        expressions: str = "expression/{video}",
        image_first_frame: int = 1,
        label_first_frame: int = 1,
        expression_first_frame: int = 1,
        classes: Mapping[int, str] | None = None,
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
        self.labels, self.expressions = VideoPath(labels), VideoPath(expressions)
        self.label_first_frame, self.expression_first_frame = int(label_first_frame), int(expression_first_frame)
        self.classes = plain_classes(classes)

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The ``gt.txt`` of a video, as trajectories."""
        path = self.labels.resolve(self.root, name)
        return read_mot_truth(path, first_frame=self.label_first_frame, classes=self.classes, report=report)

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expression files of a video."""
        folder = self.expressions.resolve(self.root, name)
        return read_expression_folder(folder, name, first_frame=self.expression_first_frame, report=report)

    def sources(self, name: str) -> list[Path]:
        """The ``gt.txt`` and the expression files of a video."""
        expressions = sorted(self.expressions.resolve(self.root, name).glob("*.json"))
        return [self.labels.resolve(self.root, name), *expressions]
