"""The iKUN / FlexHook reorganisation: boxes and referents of all videos in one ``labels.json``.

``{video: {identity: {frame: {"bbox": [x, y, w, h], "expression_raw": [sentences], ...}}}}`` with boxes as fractions of
the frame; beside it the field's folder of expressions and, for Refer-KITTI, ``newsent.json`` with more sentences to
train on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.datasets.expression_files import Annotation, read_expression_folder, read_extra_sentences, without_referents
from flexhook.datasets.expressions import slug
from flexhook.datasets.folders import FolderDataset
from flexhook.datasets.frame_labels import LARGEST_FRACTION
from flexhook.datasets.naming import VideoPath
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.referents import Referents
from flexhook.datasets.strict_json import line_of_key, read_json
from flexhook.errors import InputError
from flexhook.structures import Expression, TrackSet

_SHAPE = '{video: {identity: {frame: {"bbox": [x, y, w, h], "expression_raw": [sentences]}}}}, boxes in fractions'


class Ikun(FolderDataset):
    """Reader of the iKUN / FlexHook reorganisation.

    A video's expressions are those of its expression folder, of ``labels.json`` and of the extra sentences; the
    referents of a sentence are those of ``labels.json``, or the expression file's where ``labels.json`` does not know
    the sentence. In the test split only sentences with an expression file count: the published test sets are lists of these
    files.

    Args:
        root: Folder of the dataset.
        splits: Names of the videos of each split.
        sizes: (height, width) of the original frames by video name, or where to find it
            (:class:`flexhook.datasets.sizes.FrameSizes`).
        images: Pattern of the image files under ``root``; None for a dataset without images.
        labels: Path of ``labels.json``.
        expressions: Folder of a video's expression files, with ``{video}``; None for no such folder.
        extra_sentences: Path of ``newsent.json``, whose sentences are added to the videos that are not in the test
            split; a file that does not exist adds nothing.
        image_first_frame: Number of the first frame in the images' names.
        label_first_frame: Number of the first frame in ``labels.json``.
        expression_first_frame: Number of the first frame inside the expression files.
        classes: Names of the categories that ``labels.json`` may give (``"category"``).
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
        labels: str = "labels.json",
        expressions: str | None = "expression/{video}",
        extra_sentences: str | None = "newsent.json",
        image_first_frame: int = 0,
        label_first_frame: int = 0,
        expression_first_frame: int = 0,
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
        self.labels = self.root / labels
        self.expressions = None if expressions is None else VideoPath(expressions)
        self.extra_sentences = None if extra_sentences is None else self.root / extra_sentences
        self.label_first_frame, self.expression_first_frame = int(label_first_frame), int(expression_first_frame)
        self.classes = tuple(str(c) for c in classes)
        self._parsed: tuple[dict[str, _Labels], dict[str, list[str]]] | None = None

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The boxes of a video, as trajectories."""
        labels = self._load(report)[0].get(name)
        if labels is None:
            problem = f"there is no video {name}"
            error = InputError(problem, file=self.labels, expected=_SHAPE, hint="Correct data.reader.splits")
            report("missing-video", error)
            return TrackSet.empty(self.classes)
        height, width = self.size(name)
        box = np.array(labels.box, np.float64).reshape(-1, 4) * [width, height, width, height]
        box[:, 2:] += box[:, :2]
        category = [self.classes.index(c) if c in self.classes else -1 for c in labels.category]
        return TrackSet.build(labels.frame, labels.identity, box, category, categories=self.classes)

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expressions of a video with their referents, sorted by slug."""
        labels, extra = self._load(report)
        by_slug: dict[str, Annotation] = {}
        if self.expressions is not None:
            folder = self.expressions.resolve(self.root, name)
            read = read_expression_folder(folder, name, first_frame=self.expression_first_frame, report=report)
            by_slug = {annotation.expression.slug: annotation for annotation in read}
        test = name in self.splits.get("test", ())
        for sentence, found in labels[name].referents().items() if name in labels else ():
            known = by_slug.get(slug(sentence))
            if known is None and test and self.expressions is not None:
                problem = f"the sentence {sentence!r} of video {name} has no expression file and is no test sequence"
                report("no-expression-file", InputError(problem, file=self.labels, expected=f"{slug(sentence)}.json"))
                continue
            if known is None:
                expression = Expression(sentence, slug(sentence))
                by_slug[expression.slug] = Annotation(expression, found, str(self.labels), self.label_first_frame, name)
                continue
            if _pairs(found) != _pairs(known.referents):
                problem = f"the referents of {sentence!r} are not those that {self.labels.name} gives in video {name}"
                hint = "Check data.reader.expression_first_frame and data.reader.label_first_frame"
                error = InputError(problem, file=known.file, expected="the same frames and identities", hint=hint)
                report("referents-differ", error)
            by_slug[slug(sentence)] = replace(known, referents=found)
        for sentence in () if test else extra.get(name, ()):
            by_slug.setdefault(slug(sentence), without_referents(sentence, self.extra_sentences))
        return [by_slug[name] for name in sorted(by_slug)]

    def sources(self, name: str) -> list[Path]:
        """``labels.json``, the extra sentences and the expression files of a video."""
        folder = None if self.expressions is None else self.expressions.resolve(self.root, name)
        extra = [] if self.extra_sentences is None else [self.extra_sentences]
        return [self.labels, *extra, *(sorted(folder.glob("*.json")) if folder else ())]

    def exists(self, name: str) -> bool:
        """Whether images, expressions or labels of the video are on disk."""
        folders = [pattern.resolve(self.root, name) for pattern in (self.expressions,) if pattern is not None]
        if self.images is not None:
            folders.append(self.images.folder(self.root, name))
        return any(folder.is_dir() for folder in folders) or name in self._load(strict)[0]

    def _load(self, report: Report) -> tuple[dict[str, _Labels], dict[str, list[str]]]:
        """Labels and extra sentences of all videos; the file is parsed once and what is wrong is reported once."""
        if self._parsed is None:
            parsed = _read_labels(self.labels, self.label_first_frame, self.classes, report)
            self._parsed = parsed, read_extra_sentences(self.extra_sentences, report)
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
        for row, sentences in enumerate(self.sentences):
            for sentence in dict.fromkeys(sentences):
                rows.setdefault(sentence, []).append(row)
        frame, identity = np.array(self.frame, np.int64), np.array(self.identity, np.int64)
        return {sentence: Referents(frame[at], identity[at]) for sentence, at in rows.items()}


def _pairs(referents: Referents) -> set[tuple[int, int]]:
    return set(zip(referents.frame.tolist(), referents.identity.tolist(), strict=True))


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
