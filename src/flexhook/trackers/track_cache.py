"""Tracks kept on disk, for trackers that are slow; an entry per video, found by the tracker's key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from flexhook.errors import InputError
from flexhook.structures import TrackSet
from flexhook.structures.digests import digest
from flexhook.structures.disk_cache import DiskCache, EntryWriter, cache_folder

log = logging.getLogger(__name__)
_COLUMNS = ("frame", "identity", "box", "category", "confidence")


def cached_tracks(key: str, make: Callable[[], TrackSet], cache_dir: str | Path | None = None) -> TrackSet:
    """Tracks from the cache, else made and kept there.

    Args:
        key: The tracker's :meth:`~flexhook.structures.protocols.Tracker.key` for the video.
        make: Makes the tracks.
        cache_dir: Folder of the caches, or ``off``, see :func:`~flexhook.structures.disk_cache.cache_folder`.
    """
    folder = cache_folder(cache_dir)
    if folder is None:
        return make()
    cache = DiskCache(folder / "tracks")
    path = cache.path("tracks", key)
    entry = cache.find(path)
    if entry is not None:
        columns = {name: np.array(entry.arrays[name]) for name in _COLUMNS}
        return TrackSet.build(**columns, categories=entry.meta["categories"])
    tracks = make()

    def write(writer: EntryWriter) -> None:
        writer.meta = {"categories": tracks.categories}
        for name in _COLUMNS:
            writer.save(name, getattr(tracks, name))

    try:
        cache.make(path, write)
    except InputError as error:
        log.warning("%s The next run makes the tracks again.", error)
    return tracks


def tracks_digest(tracks: TrackSet) -> str:
    """A digest of all columns."""
    return digest(*tracks.categories, *(getattr(tracks, name) for name in _COLUMNS), length=32)
