"""What every dataset reader offers, and loading the videos of a split with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError
from flexhook.structures import Video


class Reader(Protocol):
    """Translates one dataset's files into :class:`flexhook.structures.Video`."""

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """Names of the videos of each split, as configured."""
        ...

    def video_names(self, split: str | None = None) -> list[str]:
        """Videos of a split that are on disk, in the order of the configuration; without a split, of all of them."""
        ...

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video.

        Args:
            name: The video.
            report: Receives what is wrong; the default raises it.

        Raises:
            flexhook.errors.InputError: Something of it is missing or malformed.
        """
        ...

    def files(self, name: str) -> list[Path]:
        """Everything on disk that :meth:`read` depends on: files, and folders whose listing counts."""
        ...

    def settings(self, name: str) -> str:
        """Everything but files that :meth:`read` depends on, as a text; equal texts and files give equal videos."""
        ...


def load(reader: Reader, split: str, *, cache: bool = True) -> list[Video]:
    """Read every video of ``split``.

    Args:
        reader: The dataset's reader.
        split: Name of the split.
        cache: Keep what was read on disk (:mod:`flexhook.datasets.cache`) and take it from there while no file changes.

    Raises:
        flexhook.errors.InputError: The split is unknown, or a video is missing or malformed.
    """
    from flexhook.datasets.cache import CachedReader

    source = CachedReader(reader) if cache else reader
    return [source.read(name) for name in source.video_names(split)]


def plain_splits(splits: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Splits from a configuration, checked.

    Raises:
        ConfigError: A split is no list of names, a name was written as a number (YAML reads 0005 as 5), or occurs
            twice.
    """
    out: dict[str, tuple[str, ...]] = {}
    for split, names in (splits or {}).items():
        if isinstance(names, str) or not hasattr(names, "__iter__"):
            raise ConfigError(
                f"the split '{split}' is {names!r}", expected="a list of video names", hint="Correct data.reader.splits"
            )
        for name in names:
            if not isinstance(name, str) or not name:
                raise ConfigError(
                    f"the split '{split}' names video {name!r}",
                    expected="names as texts",
                    hint="Put the name in quotes: without them YAML takes 0005 for a number",
                )
        if len(set(names)) < len(names):
            raise ConfigError(f"the split '{split}' names a video twice", hint="Correct data.reader.splits")
        out[str(split)] = tuple(names)
    return out
