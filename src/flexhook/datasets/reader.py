"""What every dataset reader offers, and reading the videos of a split with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from flexhook.datasets.problems import Report, strict
from flexhook.structures import Expression, Video


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

    def read_expressions(self, name: str) -> tuple[Expression, ...]:
        """The expressions of one video, those of :meth:`read`, without its labels.

        Raises:
            flexhook.errors.InputError: They are missing or malformed.
        """
        ...

    def files(self, name: str) -> list[Path]:
        """Everything on disk that :meth:`read` depends on: files, and folders whose listing counts."""
        ...

    def settings(self, name: str) -> str:
        """Everything but files that :meth:`read` depends on, as a text; equal texts and files give equal videos.

        The code of exchangeable parts counts too (:func:`flexhook.datasets.part_code.code_of`).
        """
        ...


def load(reader: Reader, split: str) -> list[Video]:
    """Read every video of ``split``.

    Raises:
        flexhook.errors.InputError: The split is unknown, or a video is missing or malformed.
    """
    return [reader.read(name) for name in reader.video_names(split)]
