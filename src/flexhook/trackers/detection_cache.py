"""Detections of a video's frames in blocks, kept on disk: a run that was interrupted goes on with the next block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.errors import InputError
from flexhook.media.images import cache_key
from flexhook.structures import Video
from flexhook.structures.disk_cache import DiskCache, Entry, EntryWriter, cache_folder
from flexhook.structures.protocols import Detector
from flexhook.trackers.detections import make_detections

log = logging.getLogger(__name__)

#: Frames of one entry of the cache.
BLOCK = 64
#: Raised whenever the form of an entry changes.
VERSION = 1


def detect_video(
    detector: Detector,
    video: Video,
    batch_size: int = 8,
    folder: str | Path | None = None,
    on_frames: Callable[[int], object] | None = None,
) -> list[Detections]:
    """Detections of all frames, from the cache where they are there.

    Args:
        detector: The detector.
        video: The video.
        batch_size: Frames that the detector gets at a time.
        folder: Folder of the caches; None for :func:`~flexhook.structures.disk_cache.cache_folder`, ``"off"`` for none.
        on_frames: Called with the number of frames that were done, for a progress bar.

    Returns:
        Per frame detections in pixels of the video's original frame.

    Raises:
        InputError: A frame does not decode.
    """
    folder = cache_folder(folder)
    known = None if folder is None else cache_key(video)
    cache = None if folder is None or known is None else DiskCache(folder / "detections")
    key = (str(VERSION), detector.key(), str(known))
    said = on_frames or (lambda count: None)
    detector.reset()
    done: list[Detections] = []
    behind = 0  # frames that a sequential detector has not been shown, since their detections were there
    for start in range(0, video.num_frames, BLOCK):
        frames = range(start, min(start + BLOCK, video.num_frames))
        path = None if cache is None else cache.path(f"{video.name}_{start}", *key, str(start))
        entry = None if cache is None or path is None else cache.find(path)
        if entry is not None:
            found = load_detections(entry)
            said(len(frames))
        else:
            if detector.sequential:
                for _ in _detected(detector, video, range(behind, start), batch_size):
                    pass
                behind = frames.stop
            found = []
            for part in _detected(detector, video, frames, batch_size):
                found += part
                said(len(part))
            if cache is not None and path is not None:
                try:
                    cache.make(path, lambda writer, found=found: save_detections(writer, found))  # type: ignore[misc]
                except InputError as error:
                    log.warning("%s The next run detects these frames again.", error)
        done += found
    return done


def _detected(detector: Detector, video: Video, frames: range, batch_size: int) -> Iterator[list[Detections]]:
    """Detections of some frames in batches, in pixels of the original frame."""
    for start in range(frames.start, frames.stop, batch_size):
        pictures = [video.frames.read(k) for k in range(start, min(start + batch_size, frames.stop))]
        found = detector.detect(pictures)
        yield [scaled(one, picture.shape[:2], video.size) for one, picture in zip(found, pictures, strict=True)]


def scaled(found: Detections, size: tuple[int, ...], wanted: tuple[int, ...]) -> Detections:
    """Detections in pixels of a frame of another size, sizes as (height, width)."""
    if tuple(size) == tuple(wanted):
        return found
    factor = np.array([wanted[1] / size[1], wanted[0] / size[0]] * 2, np.float32)
    out: Any = found[np.arange(len(found))]
    out.xyxy = (found.xyxy * factor).astype(np.float32)
    return out


def save_detections(writer: EntryWriter, found: list[Detections]) -> None:
    """Write the detections of some frames into an entry of the cache."""
    writer.save("counts", np.array([len(one) for one in found], np.int64))
    for name in ("xyxy", "confidence", "class_id"):
        writer.save(name, np.concatenate([getattr(one, name) for one in found]))


def load_detections(entry: Entry) -> list[Detections]:
    """The detections in an entry, per frame."""
    cuts = np.cumsum(entry.arrays["counts"])[:-1]
    columns = [np.split(np.array(entry.arrays[name]), cuts) for name in ("xyxy", "confidence", "class_id")]
    return [make_detections(*parts) for parts in zip(*columns, strict=True)]
