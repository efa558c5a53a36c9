"""The raw Refer-KITTI layout (also V2): images, per-frame label files and a folder of expressions per video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.datasets.expression_files import Annotation, read_expression_folder, read_extra_sentences, without_referents
from flexhook.datasets.expressions import slug
from flexhook.datasets.folders import FolderDataset, one_of
from flexhook.datasets.frame_labels import read_frame_labels
from flexhook.datasets.naming import FramePattern, VideoPath
from flexhook.datasets.problems import Report, ignore, strict
from flexhook.structures import TrackSet


class ReferKitti(FolderDataset):
    """Reader of a dataset in the raw Refer-KITTI layout; every part of the layout is configuration.

    Args:
        root: Folder of the dataset.
        splits: Names of the videos of each split.
        sizes: (height, width) of the original frame by video name, where ``default`` is that of all others.
        images: Pattern of the image files under ``root``; None for a dataset without images.
        labels: Pattern of the label files.
        expressions: Folder of a video's expression files, with ``{video}``.
        extra_sentences: Path of ``newsent.json``, whose sentences are added to the videos that are not in the test
            split, without referents; a file that does not exist adds nothing. None for no such file.
        image_first_frame: Number of the first frame in the images' names.
        label_first_frame: Number of the first frame in the label files' names.
        expression_first_frame: Number of the first frame inside the expression files.
        label_origin: What x and y of a label are, ``"top_left"`` or ``"centre"``.
        classes: Name of the labels' class 0, 1, ....
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
        images: str | None = "KITTI/training/image_02/{video}/{frame:06d}.{ext}",
        labels: str = "KITTI/labels_with_ids/image_02/{video}/{frame:06d}.txt",
        expressions: str = "expression/{video}",
        extra_sentences: str | None = None,
        image_first_frame: int = 0,
        label_first_frame: int = 0,
        expression_first_frame: int = 0,
        label_origin: str = "top_left",
        classes: Sequence[str] = ("pedestrian", "car"),
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
        self.labels = FramePattern(labels, label_first_frame)
        self.expressions = VideoPath(expressions)
        self.extra_sentences = None if extra_sentences is None else self.root / extra_sentences
        self.expression_first_frame = int(expression_first_frame)
        self.label_origin = one_of("label_origin", label_origin, ("top_left", "centre"))
        self.classes = tuple(str(c) for c in classes)

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The label files of a video, as trajectories."""
        files = self.labels.files(self.root, name, report)
        return read_frame_labels(files, self.size(name), classes=self.classes, origin=self.label_origin, report=report)

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expression files of a video, and its extra sentences, sorted by slug."""
        folder = self.expression_folder(name)
        read = read_expression_folder(folder, name, first_frame=self.expression_first_frame, report=report)
        if name in self.splits.get("test", ()):
            return read
        by_slug = {annotation.expression.slug: annotation for annotation in read}
        for sentence in read_extra_sentences(self.extra_sentences, report).get(name, ()):
            by_slug.setdefault(slug(sentence), without_referents(sentence, self.extra_sentences))
        return [by_slug[name] for name in sorted(by_slug)] if len(by_slug) > len(read) else read

    def expression_folder(self, name: str) -> Path:
        """The folder of a video's expression files."""
        return self.expressions.resolve(self.root, name)

    def sources(self, name: str) -> list[Path]:
        """Label and expression files of a video."""
        labels = self.labels.files(self.root, name, ignore).values()
        expressions = sorted(self.expression_folder(name).glob("*.json"))
        extra = [] if self.extra_sentences is None else [self.extra_sentences]
        return [*map(Path, labels), *expressions, *extra]
