"""A disk cache of arrays: entries are complete or absent, verified when they are opened, shared by processes and runs."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.structures.digests import Part, digest
from flexhook.structures.files import atomic_folder, create_array
from flexhook.structures.slugs import stays_inside

log = logging.getLogger(__name__)

_META, _CHECKSUMS = "meta.json", "checksums.json"
_BLOCK, _BLOCKS = 1 << 20, 64  # of a file over 64 MiB, so many evenly spaced blocks are verified: 30 ms at any size
_verified: dict[Path, list[tuple[int, int, int]]] = {}  # by this process


def cache_folder(configured: str | Path | None = None) -> Path | None:
    """The folder of all caches; None where caching is off.

    Args:
        configured: ``cache_dir`` of a configuration; by default ``$FLEXHOOK_CACHE``, else ``~/.cache/flexhook``. The value
            ``off`` turns caching off.
    """
    folder = str(configured or os.environ.get("FLEXHOOK_CACHE") or "~/.cache/flexhook")
    return None if folder == "off" else Path(folder).expanduser()


class Entry:
    """An entry of the cache. A pickled entry names its files and does not copy them.

    Args:
        folder: Its folder.

    Attributes:
        arrays: Its arrays by name, memory-mapped and read-only.
        meta: A JSON value.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        content = json.loads((folder / _META).read_text(encoding="utf-8"))
        self.meta: Any = content["meta"]
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in content["arrays"]}

    def __reduce__(self) -> tuple:
        return Entry, (self.folder,)


class EntryWriter:
    """Receives the content of a new entry.

    Args:
        folder: An empty folder.

    Attributes:
        meta: A JSON value that is kept beside the arrays.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: Any = None
        self._names: list[str] = []

    def create(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
        """A new array to be filled, mapped from a file whose disk space is taken."""
        self._names.append(name)
        return create_array(self.folder / f"{name}.npy", dtype, shape)

    def save(self, name: str, array: np.ndarray) -> None:
        """Add an array that is in memory."""
        self._names.append(name)
        np.save(self.folder / f"{name}.npy", array, allow_pickle=False)

    def finish(self) -> None:
        """Write ``meta`` and the checksums of all files."""
        content = {"arrays": self._names, "meta": self.meta}
        (self.folder / _META).write_text(json.dumps(content), encoding="utf-8")
        checksums = {name: _checksum(self.folder / name) for name in (_META, *(f"{name}.npy" for name in self._names))}
        (self.folder / _CHECKSUMS).write_text(json.dumps(checksums))


class DiskCache:
    """Entries in a folder; several processes and runs may read and fill it at once.

    Args:
        folder: Where the entries are.
        hint: What the user can do when an entry cannot be written.
    """

    def __init__(self, folder: str | Path, hint: str | None = None) -> None:
        self.folder = Path(folder)
        self.hint = hint or "Make room, or set cache_dir (FLEXHOOK_CACHE) to another folder or to off"

    def path(self, name: str, *key: Part) -> Path:
        """The folder of an entry.

        Args:
            name: A readable name, ``video`` in ``<folder>/video-<digest>``.
            key: All that the content depends on.
        """
        return self.folder / f"{name if stays_inside(name) else 'entry'}-{digest(*key)}"

    def find(self, path: Path, notice: bool = True) -> Entry | None:
        """The entry in a folder that :meth:`path` gave; None where it is absent or, with one notice, damaged.

        Args:
            path: What :meth:`path` gave.
            notice: Tell of a damaged entry.
        """
        if not path.is_dir():
            return None
        try:
            _verify(path)
            return Entry(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RecursionError) as error:
            log.log(logging.WARNING if notice else logging.DEBUG,
                    "%s: the cache entry is damaged (%s) and is made anew", path, error)
            return None

    def make(self, path: Path, write: Callable[[EntryWriter], object]) -> Entry:
        """Make an entry anew.

        Args:
            path: What :meth:`path` gave.
            write: Fills the entry.

        Raises:
            InputError: The entry cannot be written.
        """
        with atomic_folder(path, replace=path.is_dir(), sync=False, hint=self.hint) as work:
            writer = EntryWriter(work)
            write(writer)
            writer.finish()
        return Entry(path)

    def fetch(self, path: Path, write: Callable[[EntryWriter], object]) -> tuple[Entry, bool]:
        """An entry, and whether it had to be made; see :meth:`find` and :meth:`make`."""
        entry = self.find(path)
        return (self.make(path, write), True) if entry is None else (entry, False)


def _verify(folder: Path) -> None:
    """Compare the checksums of an entry's files; once per process as long as the files are the same.

    Raises:
        ValueError: One of them differs.
        OSError: A file is missing.
    """
    checksums = json.loads((folder / _CHECKSUMS).read_text())
    states = [(s.st_ino, s.st_size, s.st_mtime_ns) for s in (os.stat(folder / name) for name in (_CHECKSUMS, *checksums))]
    if _META not in checksums:
        raise ValueError(f"{_CHECKSUMS} is incomplete")
    if _verified.get(folder) == states:
        return
    for name, expected in checksums.items():
        if _checksum(folder / name) != expected:
            raise ValueError(f"the checksum of {name} differs")
    _verified[folder] = states


def _checksum(path: Path) -> int:
    """CRC-32 of a file's size and content, of a large file of evenly spaced blocks, the first and the last among them."""
    size = os.path.getsize(path)
    if size <= _BLOCK * _BLOCKS:
        starts = range(0, size, _BLOCK)
    else:
        starts = [k * (size - _BLOCK) // (_BLOCKS - 1) for k in range(_BLOCKS)]  # type: ignore[assignment]
    value = zlib.crc32(str(size).encode())
    with open(path, "rb") as file:
        for start in starts:
            file.seek(start)
            value = zlib.crc32(file.read(_BLOCK), value)
    return value
