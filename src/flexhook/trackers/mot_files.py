"""Tracker output of a dataset, as MOT files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flexhook.datasets.cache import state_of
from flexhook.datasets.check import CheckedTracker
from flexhook.datasets.mot import CLASSES, UNIDENTIFIED, read_class_names, read_mot, write_mot
from flexhook.datasets.mot_lines import line_of_frame
from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError, InputError
from flexhook.structures import TrackSet, Video

#: Path of a file below the root by layout; the file of the layout "single" is the root itself.
LAYOUTS = {"per_class": "{video}/{class}/predict.txt", "per_video": "{video}.txt", "single": ""}


class TrackerFiles:
    """Tracker output as MOT files: one per video, one per video and class, or a single one.

    Where a file has ``classes.txt`` beside it, as `flexhook track` leaves it, the eighth column is the class: line k of that
    file names class k. The layout ``per_class`` tells classes by folders and does not look at it.

    Args:
        root: Folder of the tracker's output, or the file of the layout ``"single"``.
        layout: ``"per_class"``: ``<root>/<video>/<class>/predict.txt``; ``"per_video"``: ``<root>/<video>.txt``;
            ``"single"``: ``<root>``, whatever the video.
        classes: Classes of the ``per_class`` layout, in the order in which their identities are numbered: those of a
            later class are shifted past the earlier ones'. They become the categories.
        first_frame: Number that the files give to the first frame.
        min_confidence: Observations below it are left out; a larger value keeps fewer. None keeps all.
        size: (height, width) of the frames that the files' pixels refer to, where that is not the original frame; boxes
            are then scaled to the original one.
        pattern: Path of a file under ``root`` instead of the layout's, with ``{video}`` and, per class, ``{class}``.
        beyond_end: What to do with rows of frames that the video does not have: ``"error"`` or ``"drop"`` (for a
            shortened copy of the videos).
        empty_boxes: What to do with boxes that are 0 wide or 0 high: ``"error"`` or ``"drop"``.
        unidentified: What to do with rows whose identity is -1: ``"error"``, ``"drop"``, or ``"detections"``: each row of a
            file without other identities is a trajectory of its own.

    Raises:
        ConfigError: No root, or an unknown layout or choice.
    """

    needs_truth = False

    def __init__(
        self,
        root: str | Path | None,
        layout: str = "per_class",
        classes: Sequence[str] = ("car", "pedestrian"),
        first_frame: int = 1,
        min_confidence: float | None = None,
        size: Sequence[int] | None = None,
        pattern: str | None = None,
        beyond_end: str = "error",
        empty_boxes: str = "error",
        unidentified: str = "error",
    ) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(
                f"the tracker layout is {layout!r}",
                expected=f"one of {', '.join(LAYOUTS)}",
                hint="Set tracker.layout",
            )
        for name, value in (("beyond_end", beyond_end), ("empty_boxes", empty_boxes), ("unidentified", unidentified)):
            choices = UNIDENTIFIED if name == "unidentified" else ("error", "drop")
            if value not in choices:
                raise ConfigError(f"tracker.{name} is {value!r}", expected=" or ".join(choices))
        if root is None or not str(root).strip():
            raise ConfigError("the tracker's files are not named", expected="tracker.root", hint="Set tracker.root=PATH")
        self.root, self.layout, self.first_frame = Path(root), layout, int(first_frame)
        self.classes = tuple(str(c) for c in classes) if layout == "per_class" else ()
        self.min_confidence = None if min_confidence is None else float(min_confidence)
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.pattern = pattern or LAYOUTS[layout]
        self.beyond_end, self.empty_boxes, self.unidentified = beyond_end, empty_boxes, unidentified
        if (layout != "single") != ("{video}" in self.pattern) or (layout == "per_class") != ("{class}" in self.pattern):
            raise ConfigError(
                f"the tracker file pattern is {self.pattern!r}",
                expected="{video} in it but for a single file, and {class} in the per_class layout",
            )

    def files(self, name: str) -> list[Path]:
        """The files of the video ``name``, one per class or just one."""
        named = self.pattern.replace("{video}", name)
        return [self.root / named.replace("{class}", c) for c in self.classes] if self.classes else [self.root / named]

    def key(self, video: Video) -> str:
        """Class, settings, and names, sizes and times of the files."""
        settings = {k: v for k, v in vars(self).items() if k not in ("root", "pattern")}
        files = self.files(video.name)
        names = [path.parent / CLASSES for path in files if not self.classes and (path.parent / CLASSES).is_file()]
        return f"TrackerFiles {json.dumps(settings)} {video.size} {video.num_frames} {state_of([*files, *names])}"

    def checked(self) -> CheckedTracker:
        """The tracker as the data check examines it."""
        return CheckedTracker(self.track, lambda name: str(self.files(name)[0]), self.first_frame)

    def track(self, video: Video, report: Report = strict) -> TrackSet:
        """The tracker's observations of one video, boxes in pixels of the original frame.

        Args:
            video: The video.
            report: Receives what is wrong; the default raises it.

        Raises:
            InputError: A file is missing or malformed (see :func:`read_mot`), or names a frame that the video does not
                have.
        """
        parts, largest = [], None
        for category, path in enumerate(self.files(video.name)):
            if not path.is_file():
                problem = f"there is no tracker output for video {video.name}"
                expected = f"a MOT file in the {self.layout} layout"
                hint = "Check tracker.root and tracker.layout; a tracker that found nothing leaves an empty file"
                report("missing-file", InputError(problem, file=path, expected=expected, hint=hint))
                continue
            tracks = self._read_file(path, video, report)
            if len(tracks):
                # Trackers number from 1; one that numbers from 0 must still not meet the largest identity so far.
                shift = 0 if largest is None else largest + (1 if tracks.identity.min() == 0 else 0)
                identity = tracks.identity + shift
                largest = int(identity.max())
                parts.append((tracks, identity, np.full(len(tracks), category) if self.classes else tracks.category))
        categories = self.classes or (parts[0][0].categories if parts else ())
        if not parts:
            return TrackSet.empty(categories)
        return TrackSet.build(
            np.concatenate([t.frame for t, _, _ in parts]),
            np.concatenate([i for _, i, _ in parts]),
            np.concatenate([t.box for t, _, _ in parts]),
            np.concatenate([c for _, _, c in parts]),
            np.concatenate([t.confidence for t, _, _ in parts]),
            categories,
        )

    def write(self, name: str, tracks: TrackSet) -> None:
        """Write the observations of the video ``name``; a class's file holds the rows of its category."""
        for category, path in enumerate(self.files(name)):
            rows = tracks.select(tracks.category == category) if self.classes else tracks
            write_mot(path, rows, first_frame=self.first_frame)

    def _read_file(self, path: Path, video: Video, report: Report) -> TrackSet:
        tracks = read_mot(
            path,
            first_frame=self.first_frame,
            min_confidence=self.min_confidence,
            drop_empty=self.empty_boxes == "drop",
            unidentified=self.unidentified,
            categories=() if self.classes else read_class_names(path.parent),
            report=report,
        )
        beyond = tracks.frame >= video.num_frames
        if beyond.any():
            if self.beyond_end == "error":
                frame = int(tracks.frame[beyond][0]) + self.first_frame
                last = video.num_frames - 1 + self.first_frame
                problem = (
                    f"{beyond.sum()} rows are of frames that video {video.name} does not have:"
                    f" the first is of frame {frame}, the last frame would be {last}"
                )
                hint = (
                    "Is tracker.first_frame right (`flexhook data check` measures it)?"
                    " For shortened videos set tracker.beyond_end=drop"
                )
                error = InputError(problem, file=path, line=line_of_frame(path, frame), hint=hint)
                report("frame-outside-video", error)
            tracks = tracks.select(~beyond)
        if self.size is not None and self.size != tuple(video.size):
            scale = np.array([video.size[1] / self.size[1], video.size[0] / self.size[0]] * 2)
            tracks = TrackSet(
                tracks.frame, tracks.identity, tracks.box * scale, tracks.category, tracks.confidence, tracks.categories
            )
        return tracks
