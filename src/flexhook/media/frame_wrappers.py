"""Frames that keep a small copy of what was read, and frames that tell when they are read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flexhook.media.images import check_shape, resize
from flexhook.structures import Frames, Video


class WrappedFrames(Frames):
    """Frames that pass everything on to others.

    Args:
        frames: The others.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.frame_rate, self.sequential = frames.frame_rate, frames.sequential
        self.path, self.paths = frames.path, frames.paths

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, index: int) -> str:
        """The name that the others give."""
        return self.frames.name(index)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index``."""
        return self.frames.read(index)

    def seconds(self, index: int) -> float | None:
        """That of the others."""
        return self.frames.seconds(index)

    def digest(self) -> str:
        """That of the others."""
        return self.frames.digest()

    def kept(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """What the others kept."""
        return self.frames.kept(index, size)


class KeptFrames(WrappedFrames):
    """Frames that keep a small copy of each one that is read, in a temporary file.

    A detector reads the frames at their own size, and the referring model reads them at the size of its network once the
    tracks are known: each is decoded once.

    Args:
        frames: The frames.
        video_size: (height, width) of the original frame that boxes refer to; frames of another aspect ratio are refused.
        size: (height, width) of the copies.
    """

    def __init__(self, frames: Frames, video_size: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__(frames)
        self.video_size, self.size = video_size, (int(size[0]), int(size[1]))
        self._bytes = self.size[0] * self.size[1] * 3
        self._there: set[int] = set()
        self._file = tempfile.TemporaryFile(prefix="flexhook-frames-")
        self._open = True

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` at its own size; its copy is kept."""
        image = self.frames.read(index)
        if self._open and index not in self._there:
            check_shape(image.shape, self.video_size, self.name(index))
            small = resize(image, self.size)
            try:
                done = os.pwrite(self._file.fileno(), small.tobytes(), index * self._bytes)
            except OSError:  # the disk is full: what has no copy is decoded again
                done = 0
            if done == self._bytes:
                self._there.add(index)
            else:
                self._open = False
        return image

    def kept(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """The copy of a frame, where that was read and ``size`` is that of the copies."""
        if index not in self._there or tuple(size) != self.size:
            return None
        content = os.pread(self._file.fileno(), self._bytes, index * self._bytes)
        return np.frombuffer(content, np.uint8).reshape(*self.size, 3)


class WatchedFrames(WrappedFrames):
    """Frames that tell how many different ones were read, for a progress bar.

    Args:
        frames: The frames.
        on_frame: Called with 1 when a frame is read for the first time.
    """

    def __init__(self, frames: Frames, on_frame: Callable[[int], object]) -> None:
        super().__init__(frames)
        self.on_frame, self._seen = on_frame, set[int]()

    def read(self, index: int) -> np.ndarray:
        """Frame ``index``."""
        self._count(index)
        return self.frames.read(index)

    def kept(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """What the frames kept."""
        found = self.frames.kept(index, size)
        if found is not None:
            self._count(index)
        return found

    def _count(self, index: int) -> None:
        if index not in self._seen:
            self._seen.add(index)
            self.on_frame(1)


def read_resized(video: Video, index: int, size: tuple[int, int]) -> np.ndarray:
    """A frame as a network sees it.

    Args:
        video: The video.
        index: The frame, 0-based.
        size: (height, width).

    Returns:
        (height, width, 3) uint8 RGB, resized with Pillow's antialiased bilinear filter.

    Raises:
        InputError: The frame does not decode, or has another aspect ratio than the video.
    """
    kept = video.frames.kept(index, size)
    if kept is not None:
        return kept
    image = video.frames.read(index)
    check_shape(image.shape, video.size, video.frames.name(index))
    return resize(image, size)


def watched(video: Video, on_frame: Callable[[int], object]) -> Video:
    """The video with frames that call ``on_frame(1)`` when each is read for the first time."""
    return replace(video, frames=WatchedFrames(video.frames, on_frame))
