"""Detections from MOTChallenge files, as ``det/det.txt`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.datasets.cache import state_of
from flexhook.datasets.mot import plain_classes
from flexhook.datasets.mot_rows import Remedies, read_rows, row_error
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Video
from flexhook.structures.boxes import xywh_to_xyxy
from flexhook.trackers.detections import make_detections


class MotDetections:
    """Detections as rows ``frame,id,x,y,w,h,confidence[,class,...]``; identities are not looked at.

    Args:
        root: A file for a single video, or a folder.
        pattern: Path of a video's file below the folder, with ``{video}``.
        first_frame: Number that the files give to the first frame.
        classes: Names by class number (eighth column); rows of other numbers are left out. None for one class, ``object``.
        min_confidence: Rows below it are left out. A larger value keeps fewer.

    Raises:
        ConfigError: No root, or malformed classes.
    """

    def __init__(
        self,
        root: str | Path | None,
        pattern: str = "{video}.txt",
        first_frame: int = 1,
        classes: Mapping[int, str] | None = None,
        min_confidence: float | None = None,
    ) -> None:
        if root is None or not str(root).strip():
            raise ConfigError("the files of detections are not named", expected="detector.root=PATH")
        self.root, self.pattern, self.first_frame = Path(root).expanduser(), pattern, int(first_frame)
        self.numbers = plain_classes(classes)
        self.classes = ("object",) if self.numbers is None else tuple(dict.fromkeys(self.numbers.values()))
        self.min_confidence = min_confidence

    def of_video(self, video: Video) -> list[Detections]:
        """Detections per frame.

        Raises:
            InputError: The file is missing or malformed, or has frames that the video does not have.
        """
        path = self._file(video.name)
        if not path.is_file():
            raise InputError(f"there are no detections of video {video.name}", file=path,
                             expected="a MOT file", hint="Correct detector.root and detector.pattern")
        remedies = Remedies("detector.first_frame", None, None)
        rows = read_rows(path, self.first_frame, drop_empty=True, remedies=remedies)
        frame = rows.table[:, 0].astype(np.int64) - self.first_frame
        beyond = np.flatnonzero(frame >= video.num_frames)
        if len(beyond):
            problem = f"the frame {frame[beyond[0]] + self.first_frame} is past the end of video {video.name}"
            raise row_error("frame-outside-video", problem, path, int(rows.line[beyond[0]]), self.first_frame, remedies)
        number = self._class_numbers(rows.table[:, 7])
        keep = number >= 0
        if self.min_confidence is not None:
            keep &= rows.table[:, 6] >= self.min_confidence
        order = np.flatnonzero(keep)[np.argsort(frame[keep], kind="stable")]
        cuts = np.searchsorted(frame[order], np.arange(1, video.num_frames))
        boxes = xywh_to_xyxy(rows.table[:, 2:6])
        return [make_detections(boxes[k], rows.table[k, 6], number[k]) for k in np.split(order, cuts)]

    def key(self) -> str:
        """The settings, and names, sizes and times of the files."""
        files = [self.root] if self.root.is_file() else sorted(self.root.rglob("*.txt"))
        settings = (self.pattern, self.first_frame, self.numbers, self.min_confidence)
        return f"MotDetections {settings} {state_of(files)}"

    def _file(self, name: str) -> Path:
        return self.root if self.root.is_file() else self.root / self.pattern.replace("{video}", name)

    def _class_numbers(self, column: np.ndarray) -> np.ndarray:
        if self.numbers is None:
            return np.zeros(len(column), np.int64)
        table: dict[Any, int] = {number: self.classes.index(name) for number, name in self.numbers.items()}
        return np.array([table.get(number, -1) for number in column.tolist()], np.int64)
