"""Frames resized once and kept on disk, so that loading a picture is copying it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from flexhook.media.images import frames_fingerprint
from flexhook.structures import Video
from flexhook.structures.disk_cache import DiskCache, Entry, EntryWriter


class ImageCache:
    """Resized frames per video, memory-mapped and shared by all processes of a machine.

    A video's frames are uncompressed (a frame of 224x672 takes 0.45 MB); the entry's key covers the image size and the
    frames' files.

    Args:
        folder: Where the entries are; several runs may share it.
        image_size: (height, width) of the cached frames.
    """

    def __init__(self, folder: str | Path, image_size: tuple[int, int]) -> None:
        self.cache, self.image_size = DiskCache(folder), (int(image_size[0]), int(image_size[1]))

    def place(self, video: Video) -> Path:
        """The folder of a video's frames."""
        return self.cache.path(video.name, str(self.image_size), frames_fingerprint(video), np.unique(video.truth.frame))

    def fill(self, video: Video, load: Callable[[int], np.ndarray], num_threads: int | None = None) -> bool:
        """Make sure that the frames in which a video has true objects are there.

        Args:
            video: The video.
            load: Frame index -> (H, W, 3) uint8 of the cache's size.
            num_threads: Threads that decode; by default one per core.

        Returns:
            Whether they had to be decoded.

        Raises:
            InputError: A frame does not decode, or the folder cannot be written to.
        """

        def write(writer: EntryWriter) -> None:
            index = np.unique(video.truth.frame)
            writer.save("index", index)
            frames = writer.create("frames", np.uint8, (len(index), *self.image_size, 3))
            threads = 1 if video.frames.sequential else num_threads or os.cpu_count()
            with ThreadPoolExecutor(threads) as pool:
                for at, image in enumerate(pool.map(load, index.tolist())):
                    frames[at] = image

        return self.cache.fetch(self.place(video), write)[1]

    def open(self, video: Video) -> CachedFrames:
        """The frames of a video that was filled."""
        return CachedFrames(Entry(self.place(video)))


class CachedFrames:
    """The cached frames of one video.

    Args:
        entry: Their entry.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry, self.frames = entry, entry.arrays["frames"]
        self.place = {int(frame): at for at, frame in enumerate(entry.arrays["index"])}

    def __reduce__(self) -> tuple:
        """For loading processes that are spawned: the files are named, not copied."""
        return CachedFrames, (self.entry,)

    def __contains__(self, frame: int) -> bool:
        return frame in self.place

    def read(self, frame: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of one frame."""
        return self.frames[self.place[frame]]
