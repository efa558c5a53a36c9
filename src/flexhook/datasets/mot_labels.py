"""MOTChallenge files as ground truth, a file per video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flexhook.datasets.mot import plain_classes, read_mot_truth
from flexhook.datasets.mot_lines import line_of_frame
from flexhook.datasets.naming import VideoPath
from flexhook.datasets.parts import Truth, VideoPlace, one_of
from flexhook.datasets.problems import Report, strict
from flexhook.structures import TrackSet


@dataclass
class MotLabels(Truth):
    """A ``gt.txt`` per video.

    Attributes:
        path: The file, with ``{video}``; ``*`` stands for any one folder.
        first_frame: Number of the first frame in the files.
        numbering: Whether the files count frames (``"frame"``) or name them as the images do (``"image"``).
        classes: Names of the classes that count (:func:`flexhook.datasets.mot.read_mot_truth`).
        empty_boxes: What to do with boxes that are 0 wide or 0 high: ``"error"`` or ``"drop"``.

    Raises:
        ConfigError: An argument is unknown or malformed.
    """

    path: str = "*/{video}/gt/gt.txt"
    first_frame: int = 1
    numbering: str = "frame"
    classes: Mapping[int, str] | None = None
    empty_boxes: str = "error"

    def __post_init__(self) -> None:
        self._path, self.first_frame = VideoPath(self.path), int(self.first_frame)
        self.numbering = one_of("truth.numbering", self.numbering, ("frame", "image"))
        self.classes = plain_classes(self.classes)
        self.empty_boxes = one_of("truth.empty_boxes", self.empty_boxes, ("error", "drop"))

    def read(self, video: VideoPlace, report: Report = strict) -> TrackSet:
        """The ``gt.txt`` of a video, as trajectories."""
        frame_of = None
        if self.numbering == "image" and video.images is not None:
            numbers = video.images.numbers(video.root, video.key, report)
            frame_of = {number: rank for rank, number in enumerate(numbers)}
        return read_mot_truth(
            self._path.resolve(video.root, video.key),
            first_frame=self.first_frame,
            classes=self.classes,
            frame_of=frame_of,
            drop_empty=self.empty_boxes == "drop",
            report=report,
        )

    def files(self, video: VideoPlace) -> list[Path]:
        """The ``gt.txt`` of a video."""
        return [self._path.resolve(video.root, video.key)]

    def place_of(self, video: VideoPlace, frame: int) -> tuple[Path, int | None]:
        """The ``gt.txt`` of a video, and the line of the first row of a 0-based frame."""
        path = self._path.resolve(video.root, video.key)
        return path, line_of_frame(path, frame + self.first_frame) if self.numbering == "frame" else None
