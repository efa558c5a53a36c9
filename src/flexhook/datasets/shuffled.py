"""Sentences that no longer belong to their objects, for the control that asks what a model learns without their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flexhook.datasets.problems import Report, strict
from flexhook.datasets.reader import Reader
from flexhook.structures import Expression, Video


class ShuffledSentences:
    """A reader whose videos of some splits have their sentences permuted: each refers to what another one did.

    How many objects are referred to, and when, stays as it was.

    Args:
        reader: The dataset's reader.
        splits: Splits whose videos are shuffled.
        seed: Seed of the permutations.
    """

    def __init__(self, reader: Reader, splits: Sequence[str] = ("train",), seed: int = 0) -> None:
        self.reader, self.shuffled, self.seed = reader, tuple(splits), seed

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """See :meth:`flexhook.datasets.reader.Reader.splits`."""
        return self.reader.splits

    def video_names(self, split: str | None = None) -> list[str]:
        """See :meth:`flexhook.datasets.reader.Reader.video_names`."""
        return self.reader.video_names(split)

    def files(self, name: str) -> list[Path]:
        """See :meth:`flexhook.datasets.reader.Reader.files`."""
        return self.reader.files(name)

    def read_expressions(self, name: str) -> tuple[Expression, ...]:
        """See :meth:`flexhook.datasets.reader.Reader.read_expressions`; the order of sentences stays."""
        return self.reader.read_expressions(name)

    def _names(self) -> set[str]:
        return {name for split in self.shuffled for name in self.reader.video_names(split)}

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video, shuffled where its split is."""
        video = self.reader.read(name, report)
        if name not in self._names():
            return video
        order = np.random.default_rng([self.seed, *name.encode()]).permutation(len(video.expressions))
        return replace(video, labels=video.labels[:, order].sorted_indices())

    def settings(self, name: str) -> str:
        """The reader's settings and the shuffling."""
        return self.reader.settings(name) + (f" shuffled {self.seed}" if name in self._names() else "")
