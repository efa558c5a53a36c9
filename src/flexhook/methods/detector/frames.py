"""Frames with their true boxes as training and validation items; the maps of a frozen encoder come from a cache."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flexhook.media.frame_wrappers import read_resized
from flexhook.media.images import frames_fingerprint
from flexhook.structures import TrackSet, Video
from flexhook.structures.disk_cache import DiskCache, Entry, EntryWriter

#: Smallest side of a true box, in pixels of the image that the detector sees, once it is clipped to the frame.
SMALLEST = 2.0
#: Frames that are encoded at a time: on a CPU one fits the caches.
BATCH = 1


class FrameItems:
    """Every n-th frame of some videos.

    Args:
        videos: The videos.
        stride: Distance of the frames that are taken.
    """

    def __init__(self, videos: Sequence[Video], stride: int) -> None:
        self.index = [(v, f) for v, video in enumerate(videos) for f in taken(video, stride)]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: int | tuple[int, int]) -> tuple[int, int]:
        """Video and frame of an item; the epoch of ``(epoch, item)`` makes no difference."""
        return self.index[at[1] if isinstance(at, tuple) else at]


def taken(video: Video, stride: int) -> range:
    """The frames of a video that are taken."""
    return range(0, video.num_frames, stride)


class FrameBatches:
    """Makes a batch of (video, frame) items: images or cached maps, and targets.

    Args:
        videos: The videos that the items count.
        image_size: (height, width) of the images.
        classes: Names of the classes.
        maps: The cached maps; None to load images.
    """

    def __init__(
        self, videos: Sequence[Video], image_size: tuple[int, int], classes: Sequence[str], maps: MapCache | None
    ) -> None:
        self.videos, self.image_size, self.classes, self.maps = list(videos), image_size, tuple(classes), maps

    def __call__(self, items: Sequence[tuple[int, int]]) -> dict:
        """``images`` (B, 3, H, W) uint8 or ``maps`` (per scale (B, C, h, w) float32), and ``targets`` per image."""
        named = [(self.videos[v], f) for v, f in items]
        batch: dict = {"targets": [target(video, f, self.image_size, self.classes) for video, f in named]}
        if self.maps is not None:
            batch["maps"] = self.maps.read(named)
        else:
            images = np.stack([read_resized(video, f, self.image_size) for video, f in named])
            batch["images"] = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        return batch


def target(video: Video, frame: int, image_size: tuple[int, int], classes: Sequence[str]) -> dict[str, Tensor]:
    """The true boxes of a frame, clipped to it: ``boxes`` (n, 4) float32 in pixels of the image, ``labels`` (n,) int64.

    Objects of other classes are left out. A detector of a single class takes all objects.
    """
    truth = video.truth
    first, last = np.searchsorted(truth.frame, [frame, frame + 1])
    labels = class_numbers(truth, classes)[first:last]
    scale = np.array([image_size[1] / video.size[1], image_size[0] / video.size[0]] * 2)
    boxes = np.clip(truth.box[first:last] * scale, 0, [*image_size[::-1], *image_size[::-1]])
    keep = (labels >= 0) & ((boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= SMALLEST)
    return {"boxes": torch.from_numpy(boxes[keep]).float(), "labels": torch.from_numpy(labels[keep])}


def class_numbers(tracks: TrackSet, classes: Sequence[str]) -> np.ndarray:
    """(n,) int64: the class of each observation as a detector numbers it, -1 where it is none of them."""
    if len(classes) == 1:
        return np.zeros(len(tracks), np.int64)
    number = {name: k for k, name in enumerate(classes)}
    table = np.array([*(number.get(name, -1) for name in tracks.categories), -1], np.int64)
    return table[tracks.category]


class MapCache:
    """The maps of every n-th frame of videos, in half precision, on disk.

    Args:
        folder: Where the entries are.
        key: Digest of all that makes the maps, but the frames.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.cache, self.key = DiskCache(folder), key
        self._entries: dict[str, tuple[Entry, int]] = {}

    def fill(self, video: Video, stride: int, image_size: tuple[int, int], encode: Callable[[Tensor], list[Tensor]]) -> bool:
        """Open the maps of a video, computing them first where they are not there.

        Returns:
            Whether they had to be computed.

        Raises:
            flexhook.errors.InputError: A frame does not decode, or the folder cannot be written.
        """
        frames = list(taken(video, stride))

        def write(writer: EntryWriter) -> None:
            files: list[np.ndarray] = []
            for start in range(0, len(frames), BATCH):
                images = np.stack([read_resized(video, f, image_size) for f in frames[start : start + BATCH]])
                maps = encode(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
                if not files:
                    files = [writer.create(str(s), np.float16, (len(frames), *m.shape[1:])) for s, m in enumerate(maps)]
                for file, m in zip(files, maps, strict=True):
                    file[start : start + len(m)] = m.half().cpu().numpy()

        path = self.cache.path(f"frames_{video.name}", self.key, str(stride), frames_fingerprint(video))
        entry, computed = self.cache.fetch(path, write)
        self._entries[_name(video)] = entry, stride
        return computed

    def read(self, frames: Sequence[tuple[Video, int]]) -> list[Tensor]:
        """Maps of (video, frame) pairs, per scale (F, C, h, w) float32."""
        found = [(*self._entries[_name(video)], frame) for video, frame in frames]
        scales = found[0][0].arrays
        return [torch.from_numpy(np.stack([e.arrays[s][f // stride] for e, stride, f in found])).float() for s in scales]


def _name(video: Video) -> str:
    return f"{video.source}/{video.name}"


@contextlib.contextmanager
def evaluating(network: torch.nn.Module):
    """The network in evaluation mode and without gradients."""
    before = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(before)
