"""The parts of which a dataset is composed: its images, the source of its true boxes, that of its expressions.

A new layout is a class of one of the protocols below, named by ``_target_`` in a ``conf/data/NAME.yaml``. A part holds its
configuration only, as the fields of a dataclass: their texts are part of the key of the cache, and so is the part's source
code. Videos of a part without ``__repr__`` (no dataclass) or without a source file are not kept in the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flexhook.datasets.expression_files import Annotation
from flexhook.datasets.naming import Images
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.sizes import FrameSizes
from flexhook.errors import ConfigError
from flexhook.structures import TrackSet


@dataclass(frozen=True)
class VideoPlace:
    """One video of a dataset, as its parts see it.

    Attributes:
        root: Folder of the dataset.
        name: The video.
        key: What stands for ``{video}`` in paths.
        test: Whether it is in the test split.
        images: The dataset's images, if it has some.
        sizes: Sizes of the dataset's videos.
    """

    root: Path
    name: str
    key: str
    test: bool
    images: Images | None
    sizes: FrameSizes

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the original frame.

        Raises:
            ConfigError: The configuration does not tell.
            flexhook.errors.InputError: The file that should tell is missing or broken.
        """
        return self.sizes.size(self.root, self.name, self.images, self.key)


class Truth(Protocol):
    """Where the true trajectories come from."""

    def read(self, video: VideoPlace, report: Report = strict) -> TrackSet:
        """The true trajectories of a video; boxes in pixels of the original frame.

        Raises:
            flexhook.errors.InputError: A file is missing or malformed.
        """
        ...

    def files(self, video: VideoPlace) -> list[Path]:
        """The files they come from; they need not exist."""
        ...

    def exists(self, video: VideoPlace) -> bool:
        """Whether there are labels of the video."""
        return any(path.exists() for path in self.files(video))

    def place_of(self, video: VideoPlace, frame: int) -> tuple[Path, int | None]:
        """The file that labels a 0-based frame, and its line where that is known, for messages."""
        return next(iter(self.files(video)), video.root), None

    def annotations(self, video: VideoPlace, report: Report = strict) -> list[Annotation]:
        """Expressions that the labels themselves name, of layouts whose labels do."""
        return []


@dataclass(frozen=True)
class VideoList:
    """The videos of a dataset as its files tell them.

    Attributes:
        splits: Names of the videos of each split.
        keys: What stands for ``{video}`` in paths, by the video's name.
    """

    splits: Mapping[str, Sequence[str]]
    keys: Mapping[str, str]


class Expressions(Protocol):
    """Where the expressions come from."""

    def read(self, video: VideoPlace, report: Report = strict) -> list[Annotation]:
        """The expressions of a video with their referents; their slugs differ.

        Raises:
            flexhook.errors.InputError: A file is missing or malformed.
        """
        ...

    def files(self, video: VideoPlace) -> list[Path]:
        """The files they come from; they need not exist."""
        ...

    def exists(self, video: VideoPlace) -> bool:
        """Whether there are expressions of the video."""
        return any(path.exists() for path in self.files(video))

    def videos(self, root: Path) -> VideoList | None:
        """The videos, where the files tell them and not the configuration; called once, before any reading."""
        return None

    def check(self, root: Path, report: Report) -> None:
        """Report what is wrong with the files and shows in no video."""
        return


def one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    """The value, if it is one of the choices.

    Args:
        name: Its key below ``data.reader``.
        value: The value.
        choices: The choices.

    Raises:
        ConfigError: It is not.
    """
    if value not in choices:
        raise ConfigError(f"data.reader.{name} is {value!r}", expected=f"one of {', '.join(choices)}")
    return value
