"""LaMOT: annotation files ``<sequence>_<k>.json`` over the sources MOT17, SportsMOT, VisDrone and TAO."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from flexhook.datasets.expression_files import Annotation, read_object
from flexhook.datasets.expressions import unique_slugs
from flexhook.datasets.folders import FolderDataset, one_of
from flexhook.datasets.mot import plain_classes, read_mot_truth
from flexhook.datasets.naming import VideoPath
from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Expression, TrackSet

_NAME = re.compile(r"(?P<sequence>.+)_(?P<k>[0-9]+)\.json")
_SHAPE = '{"targets": {"<frame>": [ids]}, "language": "..."}'


class Lamot(FolderDataset):
    """Reader of one source of LaMOT. Its videos are those that have annotation files.

    A sequence whose annotations lie in a folder of their own below the split's (TAO's ``AVA/...``) has images and truth
    in such a folder too: ``{video}`` in their paths stands for folder and name.

    Args:
        root: Folder that holds annotations and source datasets.
        annotations: Folder of the annotation files of each split, e.g. ``{"train": "annotations_v1/train/MOT17"}``; a
            split whose folder does not exist has no videos.
        sizes: (height, width) of the original frames by video name, or where to find it
            (:class:`flexhook.datasets.sizes.FrameSizes`).
        images: Pattern of the image files under ``root``, where ``*`` is any one folder; None for no images.
        labels: Path of a video's ground truth in MOTChallenge rows.
        validation_share: Share of the training videos that become the split ``val`` instead, evenly spaced among their
            sorted names: from 0 (none) to below 1. At least one where it is above 0 and there are two or more.
        split_words: Split run-together category names into words and write "baby" as "baby (may be women)", as the
            published protocol does for TAO.
        image_first_frame: Number of the first frame in the images' names.
        image_numbering: Whether the ``"number"`` in an image's name or only its ``"rank"`` among them is its frame (TAO
            names images by their id).
        label_first_frame: Number of the first frame in the ground truth.
        label_numbering: Whether the ground truth counts frames (``"frame"``) or names them as the images do
            (``"image"``).
        annotation_first_frame: Number of the first frame in the annotation files.
        classes: Names of the classes of the ground truth that count
            (:func:`flexhook.datasets.mot.read_mot_truth`).
        lengths: Number of frames by video name, for a dataset without images; for this and the following arguments see
            :class:`flexhook.datasets.folders.FolderDataset`.
        on_missing_referent: What to do with referents that no label is.

    Attributes:
        stray: Files below the annotation folders that are no annotations.

    Raises:
        InputError: ``root`` does not exist, or two sequences have one name.
        ConfigError: An argument is unknown or malformed, or wordninja is wanted and not installed.
    """

    def __init__(
        self,
        root: str | Path,
        annotations: Mapping[str, str],
        sizes: Mapping[str, Sequence[int]] | str,
        images: str | None,
        labels: str,
        validation_share: float = 0.0,
        split_words: bool = False,
        image_first_frame: int = 1,
        image_numbering: str = "number",
        label_first_frame: int = 1,
        label_numbering: str = "frame",
        annotation_first_frame: int = 1,
        classes: Mapping[int, str] | None = None,
        lengths: Mapping[str, int] | None = None,
        on_missing_referent: str = "error",
    ) -> None:
        super().__init__(
            root,
            {},
            sizes,
            images,
            image_first_frame=image_first_frame,
            image_numbering=image_numbering,
            lengths=lengths,
            on_missing_referent=on_missing_referent,
        )
        if not 0 <= validation_share < 1:
            raise ConfigError(f"the validation share is {validation_share}", expected="a number from 0 to below 1")
        self.annotation_folders = {str(split): self.root / folder for split, folder in annotations.items()}
        self.labels = VideoPath(labels)
        self.split_words = bool(split_words)
        self.label_first_frame, self.annotation_first_frame = int(label_first_frame), int(annotation_first_frame)
        self.label_numbering = one_of("label_numbering", label_numbering, ("frame", "image"))
        self.classes = plain_classes(classes)
        self.stray: list[Path] = []
        found = {split: self._find(folder) for split, folder in self.annotation_folders.items()}
        self.splits = _hold_out({split: sorted(videos) for split, videos in found.items()}, validation_share)
        self._keys = {name: key for videos in found.values() for name, key in videos.items()}
        if self.split_words:
            self._split("check that wordninja is there")

    def key(self, name: str) -> str:
        """Folder and name of a sequence, as its annotations lie below the split's folder."""
        return self._keys.get(name, name)

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The ground truth of a video, as trajectories."""
        frame_of = None
        if self.label_numbering == "image" and self.images is not None:
            numbers = self.images.numbers(self.root, self.key(name), report)
            frame_of = {number: rank for rank, number in enumerate(numbers)}
        return read_mot_truth(
            self.labels.resolve(self.root, self.key(name)),
            first_frame=self.label_first_frame,
            classes=self.classes,
            frame_of=frame_of,
            report=report,
        )

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The annotation files of a video, in the order of their numbers."""
        read = (read_annotation(path, self.annotation_first_frame, report) for path in self._annotation_files(name))
        found = [annotation for annotation in read if annotation is not None]
        sentences = [annotation.expression.sentence for annotation in found]
        if self.split_words:
            sentences = [self._split(sentence) for sentence in sentences]
        return [
            replace(annotation, expression=Expression(sentence, slug))
            for annotation, sentence, slug in zip(found, sentences, unique_slugs(sentences), strict=True)
        ]

    def sources(self, name: str) -> list[Path]:
        """Ground truth and annotation files of a video."""
        return [self.labels.resolve(self.root, self.key(name)), *self._annotation_files(name)]

    def _find(self, folder: Path) -> dict[str, str]:
        """Sequences that have annotation files below a folder: name -> folder and name."""
        found: dict[str, str] = {}
        for path in sorted(folder.rglob("*")):
            match = _NAME.fullmatch(path.name)
            if match is None:
                if not path.is_dir() and not path.name.startswith("."):
                    self.stray.append(path)
                continue
            name, key = match["sequence"], (path.parent.relative_to(folder) / match["sequence"]).as_posix()
            if found.setdefault(name, key) != key:
                problem = f"two sequences are named {name}, {found[name]} and {key}"
                raise InputError(problem, file=folder, expected="names that differ", hint="Rename one, or leave it out")
        return found

    def _annotation_files(self, name: str) -> list[Path]:
        return self._files_of.get(name, [])

    @cached_property
    def _files_of(self) -> dict[str, list[Path]]:
        found: dict[str, list[tuple[int, Path]]] = {}
        for folder in self.annotation_folders.values():
            for path in sorted(folder.rglob("*.json")):
                match = _NAME.fullmatch(path.name)
                if match is not None:
                    found.setdefault(match["sequence"], []).append((int(match["k"]), path))
        return {name: [path for _, path in sorted(files)] for name, files in found.items()}

    @staticmethod
    def _split(sentence: str) -> str:
        try:
            import wordninja
        except ImportError:
            hint = "pip install 'flexhook[lamot]', or set split_words=false (not the published protocol)"
            raise ConfigError("splitting TAO's sentences into words needs the package wordninja", hint=hint) from None
        words = " ".join(wordninja.split(sentence))
        return "baby (may be women)" if words == "baby" else words or sentence


def read_annotation(path: str | Path, first_frame: int = 1, report: Report = strict) -> Annotation | None:
    """One annotation file of LaMOT.

    Args:
        path: The file.
        first_frame: Number that the file gives to the first frame.
        report: Receives what is wrong.

    Returns:
        The sentence as it stands (no slug) and its referents; None where the report let a broken file pass.

    Raises:
        InputError: The file is not JSON or not of LaMOT's form; the message has the line of the offending entry.
    """
    parsed = read_object(path, "targets", first_frame, report)
    if parsed is None:
        return None
    content, found, fail = parsed
    sentence = content.get("language")
    if not isinstance(sentence, str) or not sentence.strip():
        problem = f"the language is {repr(sentence)[:60]}" if "language" in content else "there is no language"
        fail(problem, "language", expected=_SHAPE)
        return None
    if not content.keys() <= {"targets", "language"}:
        unknown = min(content.keys() - {"targets", "language"})
        fail(f"the field {unknown[:60]!r} is unknown and is not used", unknown, kind="unknown-field", expected=_SHAPE)
    return Annotation(Expression(sentence, ""), found, str(path), first_frame, "targets")


def _hold_out(splits: dict[str, list[str]], share: float) -> dict[str, tuple[str, ...]]:
    """Move a share of the training videos to the split ``val``."""
    out = {split: tuple(names) for split, names in splits.items()}
    train = out.get("train", ())
    if share > 0 and len(train) > 1:
        count = min(max(1, round(share * len(train))), len(train) - 1)
        chosen = {train[k] for k in np.linspace(0, len(train) - 1, count + 2).round().astype(int)[1:-1]}
        out["train"] = tuple(name for name in train if name not in chosen)
        out["val"] = out.get("val", ()) + tuple(name for name in train if name in chosen)
    return out
