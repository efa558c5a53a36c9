"""Frames resized once and kept on disk, so that loading a picture is copying it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from flexhook.media.images import frames_fingerprint
from flexhook.structures import Video
from flexhook.structures.whole_files import whole_folder


class ImageCache:
    """Resized frames per video, memory-mapped from a folder and shared by all processes of a machine.

    A video's frames lie in ``<folder>/<video>-<key>/frames.npy``, uncompressed (a frame of 224x672 takes 0.45 MB); the key
    covers the image size and the frames' files. Folders are complete or absent.

    Args:
        folder: Where the cache lies; several runs may share it.
        image_size: (height, width) of the cached frames.
    """

    def __init__(self, folder: str | Path, image_size: tuple[int, int]) -> None:
        self.folder, self.image_size = Path(folder), (int(image_size[0]), int(image_size[1]))

    def place(self, video: Video) -> Path:
        """The folder of a video's frames."""
        key = f"{self.image_size} {frames_fingerprint(video)} {np.unique(video.truth.frame).tobytes().hex()}"
        return self.folder / f"{video.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

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
        target = self.place(video)
        if target.is_dir():
            return False
        index = np.unique(video.truth.frame)
        with whole_folder(target) as work:
            np.save(work / "index.npy", index)
            shape = (len(index), *self.image_size, 3)
            frames = np.lib.format.open_memmap(work / "frames.npy", mode="w+", dtype=np.uint8, shape=shape)
            threads = 1 if getattr(video.frames, "sequential", False) else num_threads or os.cpu_count()
            with ThreadPoolExecutor(threads) as pool:
                for at, image in enumerate(pool.map(load, index.tolist())):
                    frames[at] = image
            frames.flush()
        return True

    def open(self, video: Video) -> CachedFrames:
        """The frames of a video that was filled."""
        return CachedFrames(self.place(video))


class CachedFrames:
    """The cached frames of one video.

    Args:
        folder: Their folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = np.load(folder / "frames.npy", mmap_mode="r")
        self.place = {int(frame): at for at, frame in enumerate(np.load(folder / "index.npy"))}

    def __reduce__(self) -> tuple:
        """For loading processes that are spawned: the files are named, not copied."""
        return CachedFrames, (self.folder,)

    def __contains__(self, frame: int) -> bool:
        return frame in self.place

    def read(self, frame: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of one frame."""
        return self.frames[self.place[frame]]
