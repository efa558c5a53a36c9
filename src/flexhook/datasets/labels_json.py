"""The iKUN / FlexHook reorganisation: boxes and referents of all videos in one ``labels.json``.

``{video: {identity: {frame: {"bbox": [x, y, w, h], "expression_raw": [sentences], ...}}}}`` with boxes as fractions of
the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.datasets.expression_files import Annotation
from flexhook.datasets.expression_merge import words
from flexhook.datasets.frame_labels import LARGEST_FRACTION
from flexhook.datasets.parts import Truth, VideoPlace
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.referents import Referents
from flexhook.datasets.strict_json import line_of_key, read_json
from flexhook.errors import InputError
from flexhook.structures import Expression, TrackSet
from flexhook.structures.slugs import slug

_SHAPE = '{video: {identity: {frame: {"bbox": [x, y, w, h], "expression_raw": [sentences]}}}}, boxes in fractions'


@dataclass
class LabelsJson(Truth):
    """True boxes and the sentences that each of them is named by, of all videos in one file.

    Attributes:
        path: The file.
        first_frame: Number of the first frame in it.
        classes: Names of the categories that it may give (``"category"``).
    """

    path: str = "labels.json"
    first_frame: int = 0
    classes: Sequence[str] = ("pedestrian", "car")

    def __post_init__(self) -> None:
        self.first_frame, self.classes = int(self.first_frame), tuple(map(str, self.classes))
        self._parsed: dict[str, _Labels] | None = None

    def read(self, video: VideoPlace, report: Report = strict) -> TrackSet:
        """The boxes of a video, as trajectories."""
        labels = self._load(video, report).get(video.name)
        if labels is None:
            problem = f"there is no video {video.name}"
            file, hint = video.root / self.path, "Correct data.reader.splits"
            error = InputError(problem, file=file, expected=_SHAPE, hint=hint)
            report("missing-video", error)
            return TrackSet.empty(self.classes)
        height, width = video.size
        box = np.array(labels.box, np.float64).reshape(-1, 4) * [width, height, width, height]
        box[:, 2:] += box[:, :2]
        category = [self.classes.index(c) if c in self.classes else -1 for c in labels.category]
        return TrackSet.build(labels.frame, labels.identity, box, category, categories=self.classes)

    def annotations(self, video: VideoPlace, report: Report = strict) -> list[Annotation]:
        """The sentences of a video with their referents; those that differ in white space alone are one."""
        labels = self._load(video, report).get(video.name)
        found = {} if labels is None else labels.referents()
        file = str(video.root / self.path)
        return [Annotation(Expression(s, slug(s)), r, file, self.first_frame, video.name) for s, r in found.items()]

    def files(self, video: VideoPlace) -> list[Path]:
        """The file."""
        return [video.root / self.path]

    def exists(self, video: VideoPlace) -> bool:
        """Whether the file names the video."""
        return video.name in self._load(video, strict)

    def _load(self, video: VideoPlace, report: Report) -> dict[str, _Labels]:
        """Labels of all videos; the file is parsed once and what is wrong is reported once."""
        if self._parsed is None:
            self._parsed = _read_labels(video.root / self.path, self.first_frame, self.classes, report)
        return self._parsed


@dataclass(eq=False)
class _Labels:
    """Observations of one video, as columns, and the sentences of each."""

    frame: list[int] = field(default_factory=list)
    identity: list[int] = field(default_factory=list)
    box: list[list[float]] = field(default_factory=list)
    category: list[str] = field(default_factory=list)
    sentences: list[list[str]] = field(default_factory=list)

    def referents(self) -> dict[str, Referents]:
        """(frame, identity) pairs by sentence."""
        rows: dict[str, list[int]] = {}
        spelling: dict[str, str] = {}
        for row, sentences in enumerate(self.sentences):
            for sentence in dict.fromkeys(spelling.setdefault(words(s), s) for s in sentences):
                rows.setdefault(sentence, []).append(row)
        frame, identity = np.array(self.frame, np.int64), np.array(self.identity, np.int64)
        return {sentence: Referents(frame[at], identity[at]) for sentence, at in rows.items()}


def _read_labels(path: Path, first_frame: int, classes: Sequence[str], report: Report) -> dict[str, _Labels]:
    shared: dict[str, str] = {}

    def share_sentences(entry: dict[str, Any]) -> dict[str, Any]:
        """Equal sentences become one object: there are millions of them."""
        sentences = entry.get("expression_raw")
        if isinstance(sentences, list):
            entry["expression_raw"] = [shared.setdefault(s, s) if isinstance(s, str) else s for s in sentences]
        return entry

    parsed = read_json(path, report, share_sentences)
    if parsed is None:
        return {}
    content, text = parsed

    def fail(kind: str, problem: str, *keys: str) -> None:
        line = line_of_key(text, *keys)
        report(kind, InputError(problem, file=path, line=line, expected=_SHAPE, hint="Mend or restore the file"))

    if not _is_nested(content, 1):
        fail("bad-json", "the file is not of the expected form")
        return {}
    out: dict[str, _Labels] = {}
    for video, tracks in content.items():
        labels, seen = _Labels(), set()
        out[video] = labels
        if not _is_nested(tracks, 2):
            fail("bad-json", f"video {video} is not of the expected form", video)
            continue
        for identity, entries in tracks.items():
            if not _is_number(identity):
                fail("bad-identity", f"the identity {identity[:40]!r} is not a whole number", video, identity)
                continue
            for frame, entry in entries.items():
                kind, problem = _judge(frame, entry, first_frame)
                if kind:
                    fail(kind, f"{problem} (video {video}, identity {identity})", video, identity, frame)
                    continue
                category = entry.get("category", "")
                category = category[0] if isinstance(category, list) and category else category
                if category and category not in classes:
                    problem = f"the category {category!r} is not one of {', '.join(classes)}"
                    fail("unknown-class", problem, video, identity, frame)
                if (int(frame), int(identity)) in seen:
                    problem = f"identity {identity} occurs twice in frame {frame} of video {video}"
                    fail("duplicate-row", problem, video, identity, frame)
                    continue
                seen.add((int(frame), int(identity)))
                labels.frame.append(int(frame) - first_frame)
                labels.identity.append(int(identity))
                labels.box.append(entry["bbox"])
                labels.category.append(category if isinstance(category, str) else "")
                labels.sentences.append(entry.get("expression_raw", []))
    return out


def _judge(frame: str, entry: Any, first_frame: int) -> tuple[str, str]:
    """What is wrong with an observation, as (kind, problem); two empty texts if nothing is."""
    if not _is_number(frame) or int(frame) < first_frame:
        return "bad-frame", f"the frame {frame[:40]!r} is not a whole number from {first_frame} on"
    if not isinstance(entry, dict):
        return "bad-json", f"frame {frame} is not an object"
    box, sentences = entry.get("bbox"), entry.get("expression_raw", [])
    if not isinstance(box, list) or len(box) != 4 or not all(type(v) in (int, float) for v in box):
        return "bad-box", f"the box of frame {frame} is {str(box)[:60]}"
    if not all(abs(v) <= LARGEST_FRACTION for v in box) or box[2] <= 0 or box[3] <= 0:
        return "bad-box", f"the box of frame {frame} is {str(box)[:60]}, not of positive size in fractions of the frame"
    if not isinstance(sentences, list) or not all(isinstance(s, str) and s.strip() for s in sentences):
        return "bad-expression", f"the sentences of frame {frame} are {str(sentences)[:60]}"
    return "", ""


def _is_nested(value: Any, depth: int) -> bool:
    if not isinstance(value, dict):
        return False
    return depth == 1 or all(_is_nested(v, depth - 1) for v in value.values())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
