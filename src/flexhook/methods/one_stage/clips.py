"""Training and validation clips: consecutive frames of one video, and expressions of that video."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexhook.errors import ConfigError
from flexhook.media.images import check_shape
from flexhook.methods.one_stage.matching import FrameTruth
from flexhook.methods.one_stage.pictures import Augmentation, InferenceResize, Picture
from flexhook.structures import Video

AUGMENT, CHOOSE = 1, 2
"""Which of an item's random streams is for what."""


@dataclass(frozen=True)
class ClipItem:
    """A clip to be loaded.

    Attributes:
        video: Index of the video.
        frames: Its frames, consecutive.
        expressions: Indices of its expressions.
        seed: Of whatever is drawn for it.
    """

    video: int
    frames: range
    expressions: tuple[int, ...]
    seed: tuple[int, ...]


@dataclass
class Clip:
    """A loaded clip of T frames.

    Attributes:
        images: Per frame (3, h, w) uint8 RGB, in the network's size.
        sentences: The E sentences.
        truths: Per sentence the objects of each frame; they differ in what is referred to.
        seed: Of the random choices of who continues.
        size: (height, width) of the video's original frame.
    """

    images: list[Tensor]
    sentences: list[str]
    truths: list[list[FrameTruth]]
    seed: int
    size: tuple[int, int]

    def to(self, device: Any, non_blocking: bool = False) -> Clip:
        """A copy on another device."""
        move = [[FrameTruth(t.boxes.to(device), t.identity.to(device), t.referred.to(device)) for t in frames]
                for frames in self.truths]
        return replace(self, images=[i.to(device, non_blocking=non_blocking) for i in self.images], truths=move)


@dataclass
class ClipBatch:
    """Clips of a step.

    Attributes:
        clips: They; one as published.
    """

    clips: list[Clip]

    def to(self, device: Any, non_blocking: bool = False) -> ClipBatch:
        """A copy on another device."""
        return ClipBatch([clip.to(device, non_blocking) for clip in self.clips])


class ClipItems:
    """A training clip per frame of all videos, with expressions drawn anew in every epoch.

    A clip begins at its frame; one that would run over the end of its video begins as much earlier, and a video with fewer
    frames is one clip. Videos without expressions have none.

    Args:
        videos: The videos.
        lengths: Frames of a clip, one number per period of the training. Longer clips teach longer memory and cost in
            proportion.
        milestones: The epochs at which the next period begins.
        expressions: Expressions per clip; they share the encoded frames.
        interval: Distance of the clips' first frames. Larger leaves clips out.
        seed: Of the expressions and of augmentation.

    Raises:
        ConfigError: Periods and milestones do not agree, or a number is not positive.
    """

    def __init__(
        self, videos: Sequence[Video], lengths: Sequence[int] = (2,), milestones: Sequence[int] = (), expressions: int = 1,
        interval: int = 1, seed: int = 0,
    ) -> None:
        if len(lengths) != len(milestones) + 1 or sorted(milestones) != list(milestones):
            raise ConfigError(f"sampling.lengths is {list(lengths)}, sampling.milestones {list(milestones)}",
                              expected="one length more than milestones, which rise")
        if min(*lengths, expressions, interval) < 1:
            raise ConfigError("a number of sampling is not positive", expected="lengths, expressions, interval of 1 or more")
        self.videos, self.lengths, self.milestones = list(videos), list(lengths), list(milestones)
        self.expressions, self.seed = expressions, seed
        self.starts = [(v, f) for v, video in enumerate(self.videos) if video.expressions
                       for f in range(0, video.num_frames, interval)]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, at: tuple[int, int]) -> ClipItem:
        """The clip of (epoch, index)."""
        epoch, index = at
        video, start = self.starts[index]
        seed = (self.seed, epoch, index)
        count = len(self.videos[video].expressions)
        chosen = np.random.default_rng((*seed, CHOOSE)).choice(count, min(self.expressions, count), replace=False)
        frames = clip_frames(self.videos[video], start, self.lengths[bisect_right(self.milestones, epoch)])
        return ClipItem(video, frames, tuple(int(e) for e in chosen), seed)


class ValidationClips:
    """Validation clips at regular distances, the same in every epoch.

    Args:
        videos: The videos.
        length: Frames of a clip. Longer ones show more of what becomes of tracks.
        stride: Distance of the clips' first frames.
        expressions: Expressions per clip, drawn once.
    """

    def __init__(self, videos: Sequence[Video], length: int = 10, stride: int = 10, expressions: int = 1) -> None:
        self.videos, self.length, self.expressions = list(videos), length, expressions
        self.starts = [(v, f) for v, video in enumerate(self.videos) if video.expressions
                       for f in range(0, video.num_frames, stride)]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> ClipItem:
        """The clip of an index."""
        video, start = self.starts[index]
        count = len(self.videos[video].expressions)
        chosen = np.random.default_rng((index, CHOOSE)).choice(count, min(self.expressions, count), replace=False)
        frames = clip_frames(self.videos[video], start, self.length)
        return ClipItem(video, frames, tuple(int(e) for e in chosen), (index,))


def clip_frames(video: Video, start: int, length: int) -> range:
    """Up to ``length`` consecutive frames from ``start`` on, or from earlier where the video ends before."""
    length = min(length, video.num_frames)
    start = min(start, video.num_frames - length)
    return range(start, start + length)


class ClipCollator:
    """Loads the clips of a batch.

    Args:
        videos: The videos of the items.
        augmentation: Changes the pictures of training clips; None for validation, whose pictures ``resize`` makes.
        resize: The resizing of whole videos.
    """

    def __init__(self, videos: Sequence[Video], augmentation: Augmentation | None, resize: InferenceResize) -> None:
        self.videos, self.augmentation, self.resize = list(videos), augmentation, resize

    def __call__(self, items: Sequence[ClipItem]) -> ClipBatch:
        """The loaded clips."""
        return ClipBatch([self._load(item) for item in items])

    def _load(self, item: ClipItem) -> Clip:
        video, pictures = self.videos[item.video], []
        for frame in item.frames:
            image = read_frame(video, frame)
            height, width = image.shape[:2]
            rows = np.flatnonzero(video.truth.frame == frame)
            boxes = video.normalised(video.truth.box[rows]) * np.array([width, height, width, height], float)
            pictures.append(Picture(image, boxes, rows))
        if self.augmentation is not None:
            pictures = self.augmentation(pictures, np.random.default_rng((*item.seed, AUGMENT)))
        else:
            pictures = [self.resize.picture(p) for p in pictures]
        labels = video.labels[:, list(item.expressions)].toarray()
        truths = [[_truth(video, p, labels[:, e]) for p in pictures] for e in range(len(item.expressions))]
        images = [torch.from_numpy(p.image.transpose(2, 0, 1).copy()) for p in pictures]
        sentences = [video.expressions[e].sentence for e in item.expressions]
        seed = int(np.random.default_rng(item.seed).integers(2**62))
        return Clip(images, sentences, truths, seed, video.size)


def read_frame(video: Video, frame: int) -> np.ndarray:
    """A frame as (h, w, 3) uint8.

    Raises:
        InputError: It is missing, does not decode, or has another aspect ratio than its video.
    """
    image = video.frames.read(frame)
    check_shape(image.shape, video.size, video.frames.name(frame))
    return image


def _truth(video: Video, picture: Picture, referred: np.ndarray) -> FrameTruth:
    boxes = torch.from_numpy(picture.fractions).float()
    identity = torch.from_numpy(video.truth.identity[picture.rows])
    return FrameTruth(boxes, identity, torch.from_numpy(referred[picture.rows].astype(np.float32)))
