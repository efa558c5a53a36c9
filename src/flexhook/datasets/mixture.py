"""Several datasets as one, each with its own stride of training and validation windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from flexhook.datasets.dataset import Dataset
from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError
from flexhook.structures import Expression, Video


class Mixture:
    """The videos of several datasets, each marked with the name of its source (:attr:`Video.source`).

    Args:
        sources: A dataset by source name; an entry that is None is left out.

    Raises:
        ConfigError: There is no source, or two of them have a video of one name.
    """

    def __init__(self, sources: Mapping[str, Dataset | None]) -> None:
        self.sources = {str(name): reader for name, reader in sources.items() if reader is not None}
        if not self.sources:
            raise ConfigError("the mixture has no source", hint="Set data.reader.sources")
        for source, reader in self.sources.items():
            reader.key = f"data.reader.sources.{source}"
        self._source_of: dict[str, str] = {}
        splits: dict[str, list[str]] = {}
        for source, reader in self.sources.items():
            for split, names in reader.splits.items():
                splits.setdefault(split, []).extend(names)
            for name in dict.fromkeys(name for names in reader.splits.values() for name in names):
                if name in self._source_of:
                    problem = f"the sources {self._source_of[name]} and {source} both have a video {name}"
                    raise ConfigError(problem, expected="names that differ", hint="Correct the sources' splits")
                self._source_of[name] = source
        self.splits = {split: tuple(names) for split, names in splits.items()}

    def video_names(self, split: str | None = None) -> list[str]:
        """Videos of a split that are on disk, source by source; without a split, of all splits.

        Raises:
            ConfigError: The split is not configured.
            flexhook.errors.InputError: A source has videos in the split, and none of them is on disk.
        """
        if split is not None and split not in self.splits:
            raise ConfigError(f"the split '{split}' is not configured", expected=f"one of {', '.join(self.splits)}")
        out = []
        for reader in self.sources.values():
            if any(names for s, names in reader.splits.items() if split in (None, s)):
                out += reader.video_names(split)
        return out

    def source(self, name: str) -> str:
        """Name of the source that has a video.

        Raises:
            ConfigError: None has.
        """
        if name not in self._source_of:
            raise ConfigError(f"no source has a video {name}", hint="Set data.reader.sources")
        return self._source_of[name]

    def datasets(self) -> dict[str, Dataset]:
        """The sources by their configuration key."""
        return {dataset.key: dataset for dataset in self.sources.values()}

    def dataset(self, name: str) -> Dataset:
        """The source that has a video.

        Raises:
            ConfigError: None has.
        """
        return self.sources[self.source(name)]

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video.

        Raises:
            flexhook.errors.InputError: Something of it is missing or malformed.
        """
        return replace(self.dataset(name).read(name, report), source=self.source(name))

    def read_expressions(self, name: str) -> tuple[Expression, ...]:
        """The expressions of a video, without its labels."""
        return self.dataset(name).read_expressions(name)

    def settings(self, name: str) -> str:
        """Everything but files that :meth:`read` depends on, as a text."""
        return f"{self.source(name)}: {self.dataset(name).settings(name)}"

    def files(self, name: str) -> list[Path]:
        """Everything on disk that :meth:`read` depends on."""
        return self.dataset(name).files(name)
