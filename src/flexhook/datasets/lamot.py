"""LaMOT: annotation files ``<sequence>_<k>.json`` over the sources MOT17, SportsMOT, VisDrone and TAO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flexhook.datasets.expression_files import Annotation, read_object
from flexhook.datasets.naming import hidden, is_hidden
from flexhook.datasets.parts import Expressions, VideoList, VideoPlace
from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Expression
from flexhook.structures.slugs import unique_slugs

_NAME = re.compile(r"(?P<sequence>.+)_(?P<k>[0-9]+)\.json")
_SHAPE = '{"targets": {"<frame>": [ids]}, "language": "..."}'


@dataclass
class LamotAnnotations(Expressions):
    """The annotation files of one source of LaMOT. The videos are those that have some.

    A sequence whose annotations lie in a folder of their own below the split's (TAO's ``AVA/...``) has images and truth
    in such a folder too: ``{video}`` in their paths stands for folder and name.

    Attributes:
        folders: Folder of the annotation files of each split, e.g. ``{"train": "annotations_v1/train/MOT17"}``; a split
            whose folder does not exist has no videos.
        first_frame: Number of the first frame in the files.
        validation_share: Share of the training videos that become the split ``val`` instead, evenly spaced among their
            sorted names: from 0 (none) to below 1. At least one where it is above 0 and there are two or more.
        split_words: Split run-together category names into words and write "baby" as "baby (may be women)", as the
            published protocol does for TAO.

    Raises:
        ConfigError: The share is none, or wordninja is wanted and not installed.
    """

    folders: Mapping[str, str]
    first_frame: int = 1
    validation_share: float = 0.0
    split_words: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share < 1:
            raise ConfigError(f"the validation share is {self.validation_share}", expected="a number from 0 to below 1")
        self.folders = {str(split): str(folder) for split, folder in self.folders.items()}
        self.first_frame, self.split_words = int(self.first_frame), bool(self.split_words)
        self._files: dict[str, list[tuple[int, Path]]] = {}
        self._stray: list[Path] = []
        self._hidden: list[Path] = []
        self._empty: list[str] = []
        if self.split_words:
            split_words("check that wordninja is there")

    def videos(self, root: Path) -> VideoList:
        """The sequences that have annotation files.

        Raises:
            InputError: Two sequences have one name.
        """
        self._files, self._stray, self._hidden = {}, [], []
        found = {split: self._find(root / folder) for split, folder in self.folders.items()}
        self._empty = [split for split, keys in found.items() if not keys]
        splits = _hold_out({split: sorted(keys) for split, keys in found.items()}, self.validation_share)
        return VideoList(splits, {name: key for keys in found.values() for name, key in keys.items()})

    def read(self, video: VideoPlace, report: Report = strict) -> list[Annotation]:
        """The annotation files of a video, in the order of their numbers."""
        read = (read_annotation(path, self.first_frame, report) for path in self.files(video))
        found = [annotation for annotation in read if annotation is not None]
        sentences = [annotation.expression.sentence for annotation in found]
        if self.split_words:
            sentences = [split_words(sentence) for sentence in sentences]
        return [
            replace(annotation, expression=Expression(sentence, slug))
            for annotation, sentence, slug in zip(found, sentences, unique_slugs(sentences), strict=True)
        ]

    def files(self, video: VideoPlace) -> list[Path]:
        """The annotation files of a video."""
        return [path for _, path in sorted(self._files.get(video.name, []))]

    def check(self, root: Path, report: Report) -> None:
        """Report files that are no annotations, and splits without any: reading passes over them."""
        named = "files named <sequence>_<number>.json"
        for path in self._stray:
            report("stray-file", InputError("the file is no annotation and is not read", file=path, expected=named))
        for path in self._hidden:
            report("hidden-file", hidden(path))
        for split in self._empty:
            problem = f"there is no annotation of the split {split}"
            hint = "Set data.root to the folder that holds annotations_v1, or correct the reader's annotation folders"
            error = InputError(problem, file=root / self.folders[split], expected=named, hint=hint)
            report("no-annotations", error)

    def _find(self, folder: Path) -> dict[str, str]:
        """Sequences that have annotation files below a folder: name -> folder and name."""
        found: dict[str, str] = {}
        for path in sorted(folder.rglob("*")):
            match = _NAME.fullmatch(path.name)
            if any(map(is_hidden, path.relative_to(folder).parts)):
                self._hidden += [] if path.is_dir() else [path]
                continue
            if match is None:
                self._stray += [] if path.is_dir() else [path]
                continue
            name, key = match["sequence"], (path.parent.relative_to(folder) / match["sequence"]).as_posix()
            if found.setdefault(name, key) != key:
                problem = f"two sequences are named {name}, {found[name]} and {key}"
                raise InputError(problem, file=folder, expected="names that differ", hint="Rename one, or leave it out")
            self._files.setdefault(name, []).append((int(match["k"]), path))
        return found


def split_words(sentence: str) -> str:
    """A run-together category name of TAO in words.

    Raises:
        ConfigError: wordninja is not installed.
    """
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
