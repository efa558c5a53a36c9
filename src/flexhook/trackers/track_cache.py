"""Tracks kept on disk, for trackers that are slow; a file per video, found by the tracker's key."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.datasets.cache import cache_folder
from flexhook.errors import FlexHookError
from flexhook.structures import TrackSet
from flexhook.structures.whole_files import whole_file

log = logging.getLogger(__name__)
_COLUMNS = ("frame", "identity", "box", "category", "confidence")


def cached_tracks(key: str, make: Callable[[], TrackSet], folder: Path | None = None) -> TrackSet:
    """Tracks from the cache, else made and kept there.

    Args:
        key: The tracker's :meth:`~flexhook.structures.protocols.Tracker.key` for the video.
        make: Makes the tracks.
        folder: Folder of the cache; None for :func:`flexhook.datasets.cache.cache_folder`, and without one nothing is kept.
    """
    folder = folder or cache_folder()
    if folder is None:
        return make()
    path = folder / "tracks" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    try:
        with np.load(path, allow_pickle=False) as data:
            columns: dict[str, Any] = {name: data[name] for name in _COLUMNS}
            return TrackSet.build(**columns, categories=json.loads(data["categories"].tobytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        log.info("%s: the tracks do not read (%s) and are made again", path, error)
    tracks = make()
    names = np.frombuffer(json.dumps(tracks.categories).encode(), np.uint8)
    try:
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, categories=names, **{name: getattr(tracks, name) for name in _COLUMNS})
    except (OSError, FlexHookError) as error:
        log.warning("%s: the cache cannot be written (%s); the next run makes the tracks again", path.parent, error)
    return tracks


def digest(tracks: TrackSet) -> str:
    """A digest of all columns."""
    found = hashlib.sha256(json.dumps(tracks.categories).encode())
    for name in _COLUMNS:
        found.update(np.ascontiguousarray(getattr(tracks, name)).tobytes())
    return found.hexdigest()[:32]
