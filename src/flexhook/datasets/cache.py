"""A cache of read videos, in memory and on disk, so that a dataset of thousands of small files is parsed once.

An entry on disk is found by the reader's settings and code and the video's name, and holds the names, sizes and modification
times of every file that it was read from: when one of them differs, or the entry is damaged, the files are read again. Of
several processes that need the same video, one reads its files while the others wait.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from flexhook.datasets.part_code import code_of, without_description
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.reader import Reader
from flexhook.errors import InputError
from flexhook.media.images import ImageFiles
from flexhook.structures import Expression, TrackSet, Video
from flexhook.structures.digests import Digest
from flexhook.structures.disk_cache import DiskCache, Entry, EntryWriter, cache_folder
from flexhook.structures.locks import locked

log = logging.getLogger(__name__)

#: To be raised whenever the form of an entry changes.
VERSION = 3
#: Videos of which memory holds the last read ones.
IN_MEMORY = 16
_COLUMNS = ("frame", "identity", "box", "category", "confidence")


class CachedReader:
    """A reader that keeps what it has read.

    Args:
        reader: Reads what is not in the cache.
        cache_dir: Folder of the caches, or ``off``, see :func:`~flexhook.structures.disk_cache.cache_folder`.
    """

    def __init__(self, reader: Reader, cache_dir: str | Path | None = None) -> None:
        self.reader = reader
        folder = cache_folder(cache_dir)
        self.cache = None if folder is None else DiskCache(folder / "videos")
        self.splits: Mapping[str, Sequence[str]] = reader.splits
        self._told: set[str] = set()  # parts without a description
        self._last: dict[str, tuple[str, Video]] = {}  # name -> (state, video), the last one used at the end

    def video_names(self, split: str | None = None) -> list[str]:
        """See :meth:`flexhook.datasets.reader.Reader.video_names`."""
        return self.reader.video_names(split)

    def files(self, name: str) -> list[Path]:
        """See :meth:`flexhook.datasets.reader.Reader.files`."""
        return self.reader.files(name)

    def settings(self, name: str) -> str:
        """See :meth:`flexhook.datasets.reader.Reader.settings`."""
        return self.reader.settings(name)

    def entry(self, name: str) -> Path | None:
        """The folder of a video's entry; None where there is no cache, or no key that the next process would find it by."""
        if self.cache is None:
            return None
        settings = f"{code_of(type(self.reader))} {self.reader.settings(name)}"
        lacking = without_description(settings)
        if lacking is not None:
            if lacking not in self._told:
                log.warning("videos of %s are not kept in the cache: make it a dataclass or define __repr__, in a module with "
                            "a source file", lacking)
            self._told.add(lacking)
            return None
        return self.cache.path(name, str(VERSION), settings, name)

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video from the cache, else from its files; with a report of one's own, always from its files.

        Raises:
            flexhook.errors.InputError: Something of it is missing or malformed.
        """
        if report is not strict:
            return self.reader.read(name, report)
        state = state_of(self.reader.files(name))
        video = self._kept(name, state) or self._read_once(name, state)
        self._remember(name, state, video)
        return video

    def fill(self, names: Sequence[str], share: tuple[int, int] = (0, 1)) -> None:
        """Read a share of some videos into the cache on disk, where there is one, so that several processes divide the work.

        Args:
            names: The videos.
            share: (rank, number of processes): this process reads every so-many-th video.

        Raises:
            flexhook.errors.InputError: Something of a video is missing or malformed.
        """
        for name in names[share[0] :: share[1]] if self.cache is not None else ():
            if self.entry(name) is not None:
                self.read(name)

    def read_expressions(self, name: str) -> tuple[Expression, ...]:
        """The expressions of one video, from the cache where it is there; its labels are not read.

        Raises:
            flexhook.errors.InputError: They are missing or malformed.
        """
        video = self._kept(name, state_of(self.reader.files(name)))
        return self.reader.read_expressions(name) if video is None else video.expressions

    def _read_once(self, name: str, state: str) -> Video:
        """The video from its files, or from the entry that another process makes of them meanwhile."""
        entry = self.entry(name)
        if self.cache is None or entry is None:
            return self.reader.read(name)
        with ExitStack() as held:
            try:
                held.enter_context(locked(entry))
            except OSError as error:
                log.debug("%s: no lock (%s)", entry, error)
            else:
                made = self._kept(name, state, notice=False)
                if made is not None:
                    return made
            with _Warnings() as heard:
                video = self.reader.read(name)
            if video.frames.paths:
                try:
                    self.cache.make(entry, lambda writer: _save(writer, video, state, heard.messages))
                except InputError as error:
                    log.warning("%s The next run reads the files of %s again.", error, name)
        return video

    def _kept(self, name: str, state: str, notice: bool = True) -> Video | None:
        """The video from memory or disk; None where neither has it as its files are now."""
        if self._last.get(name, ("", None))[0] == state:
            return self._last[name][1]
        entry = self.entry(name)
        kept = None if self.cache is None or entry is None else self.cache.find(entry, notice)
        if kept is None or kept.meta["state"] != state:
            return None
        for warning in kept.meta["warnings"]:
            log.warning("%s", warning)
        return _load(kept)

    def _remember(self, name: str, state: str, video: Video) -> None:
        self._last.pop(name, None)
        self._last[name] = state, video
        if len(self._last) > IN_MEMORY:
            self._last.pop(next(iter(self._last)))


def state_of(files: Sequence[Path]) -> str:
    """A digest of names, sizes and modification times of files, and of the names in folders."""
    found = Digest()
    for path in map(str, files):
        try:
            status = os.stat(path)
            if os.path.isdir(path):
                line = f"{path}\0folder\0" + "\0".join(sorted(os.listdir(path)))
            else:
                line = f"{path}\0{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            line = f"{path}\0missing"
        found.add(line)
    return found.hex(64)


class _Warnings(logging.Handler):
    """Listens to the warnings of the data rooms, which a later reading from the cache must repeat."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def __enter__(self) -> _Warnings:
        logging.getLogger("flexhook.datasets").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger("flexhook.datasets").removeHandler(self)


def _save(writer: EntryWriter, video: Video, state: str, warnings: Sequence[str]) -> None:
    writer.meta = {
        "state": state,
        "name": video.name,
        "size": video.size,
        "source": video.source,
        "categories": video.truth.categories,
        "frames": video.frames.paths,
        "expressions": [(e.sentence, e.slug, e.tags) for e in video.expressions],
        "warnings": list(warnings),
    }
    for name in _COLUMNS:
        writer.save(name, getattr(video.truth, name))
    writer.save("indices", video.labels.indices.astype(np.int32))
    writer.save("indptr", video.labels.indptr.astype(np.int64))


def _load(entry: Entry) -> Video:
    meta, arrays = entry.meta, {name: np.array(array) for name, array in entry.arrays.items()}
    truth = TrackSet(**{name: arrays[name] for name in _COLUMNS}, categories=tuple(meta["categories"]))
    expressions = tuple(Expression(sentence, slug, tuple(tags)) for sentence, slug, tags in meta["expressions"])
    hit = np.ones(len(arrays["indices"]), bool)
    labels = csr_array((hit, arrays["indices"], arrays["indptr"]), shape=(len(truth), len(expressions)))
    height, width = meta["size"]
    return Video(meta["name"], (height, width), ImageFiles(meta["frames"]), truth, expressions, labels, meta["source"])
