"""A cache of read videos, in memory and on disk, so that a dataset of thousands of small files is parsed once.

An entry on disk is found by the reader's settings and the video's name, and holds the names, sizes and modification times of
every file that it was read from: when one of them differs, or the entry is broken, the files are read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from flexhook.datasets.problems import Report, strict
from flexhook.datasets.reader import Reader
from flexhook.errors import FlexHookError
from flexhook.media.images import ImageFiles
from flexhook.structures import Expression, TrackSet, Video
from flexhook.structures.whole_files import whole_file

log = logging.getLogger(__name__)

#: To be raised whenever a reader or the form of an entry changes.
VERSION = 2
#: Videos of which memory holds the last read ones.
IN_MEMORY = 16
_COLUMNS = ("frame", "identity", "box", "category", "confidence")


def cache_folder() -> Path | None:
    """``$FLEXHOOK_CACHE`` or ``~/.cache/flexhook``; None where ``FLEXHOOK_CACHE=off``."""
    configured = os.environ.get("FLEXHOOK_CACHE", "")
    if configured == "off":
        return None
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "flexhook"


class CachedReader:
    """A reader that keeps what it has read.

    Args:
        reader: Reads what is not in the cache.
        folder: Folder of the cache, by default :func:`cache_folder`.
    """

    def __init__(self, reader: Reader, folder: str | Path | None = None) -> None:
        self.reader = reader
        self.folder = cache_folder() if folder is None else Path(folder)
        self.splits: Mapping[str, Sequence[str]] = reader.splits
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
        """The file that holds a video's entry; None where there is no cache."""
        if self.folder is None:
            return None
        key = f"{VERSION}\n{type(self.reader).__qualname__}\n{self.reader.settings(name)}\n{name}"
        return self.folder / "videos" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video from the cache, else from its files; with a report of one's own, always from its files.

        Raises:
            flexhook.errors.InputError: Something of it is missing or malformed.
        """
        if report is not strict:
            return self.reader.read(name, report)
        state = state_of(self.reader.files(name))
        video = self._kept(name, state)
        if video is None:
            with _Warnings() as heard:
                video = self.reader.read(name)
            entry = self.entry(name)
            if entry is not None and isinstance(video.frames, ImageFiles):
                _save(entry, video, state, heard.messages)
        self._remember(name, state, video)
        return video

    def read_expressions(self, name: str) -> tuple[Expression, ...]:
        """The expressions of one video, from the cache where it is there; its labels are not read.

        Raises:
            flexhook.errors.InputError: They are missing or malformed.
        """
        video = self._kept(name, state_of(self.reader.files(name)))
        return self.reader.read_expressions(name) if video is None else video.expressions

    def _kept(self, name: str, state: str) -> Video | None:
        """The video from memory or disk; None where neither has it as its files are now."""
        if self._last.get(name, ("", None))[0] == state:
            return self._last[name][1]
        entry = self.entry(name)
        kept = None if entry is None else _load(entry, state)
        if kept is None:
            return None
        video, warnings = kept
        for warning in warnings:
            log.warning("%s", warning)
        return video

    def _remember(self, name: str, state: str, video: Video) -> None:
        self._last.pop(name, None)
        self._last[name] = state, video
        if len(self._last) > IN_MEMORY:
            self._last.pop(next(iter(self._last)))


def state_of(files: Sequence[Path]) -> str:
    """A digest of names, sizes and modification times of files, and of the names in folders."""
    digest = hashlib.sha256()
    for path in map(str, files):
        try:
            status = os.stat(path)
            if os.path.isdir(path):
                line = f"{path}\0folder\0" + "\0".join(sorted(os.listdir(path)))
            else:
                line = f"{path}\0{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            line = f"{path}\0missing"
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()


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


def _save(entry: Path, video: Video, state: str, warnings: Sequence[str]) -> None:
    meta = {
        "state": state,
        "name": video.name,
        "size": video.size,
        "source": video.source,
        "categories": video.truth.categories,
        "frames": video.frames.paths if isinstance(video.frames, ImageFiles) else (),
        "expressions": [(e.sentence, e.slug, e.tags) for e in video.expressions],
        "warnings": list(warnings),
    }
    columns = {name: getattr(video.truth, name) for name in _COLUMNS}
    labels = {"indices": video.labels.indices.astype(np.int32), "indptr": video.labels.indptr.astype(np.int64)}
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    try:
        with whole_file(entry) as temporary, open(temporary, "wb") as file:
            np.savez(file, meta=text, **columns, **labels)
    except (OSError, FlexHookError) as error:
        log.warning("%s: the cache cannot be written (%s); the next run reads the files again", entry.parent, error)


def _load(entry: Path, state: str) -> tuple[Video, list[str]] | None:
    """The video of an entry and the warnings of its reading; None where it is missing, outdated or broken."""
    try:
        with np.load(entry, allow_pickle=False) as data:
            meta: dict[str, Any] = json.loads(data["meta"].tobytes())
            if meta["state"] != state:
                return None
            arrays = {name: data[name] for name in (*_COLUMNS, "indices", "indptr")}
        columns = {name: arrays[name] for name in _COLUMNS}
        truth = TrackSet(**columns, categories=tuple(meta["categories"]))
        expressions = tuple(Expression(sentence, slug, tuple(tags)) for sentence, slug, tags in meta["expressions"])
        hit = np.ones(len(arrays["indices"]), bool)
        shape = (len(truth), len(expressions))
        labels = csr_array((hit, arrays["indices"], arrays["indptr"]), shape=shape)
        height, width = meta["size"]
        frames = ImageFiles(meta["frames"])
        video = Video(meta["name"], (height, width), frames, truth, expressions, labels, meta["source"])
        return video, meta["warnings"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        log.info("%s: the entry is broken (%s) and is made anew", entry, error)
        return None
