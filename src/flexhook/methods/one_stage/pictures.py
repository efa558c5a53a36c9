"""Pictures of a clip with their boxes: resizing, cropping, and the published augmentations as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from flexhook.errors import ConfigError
from flexhook.media.images import resize


@dataclass
class Picture:
    """A frame with its objects.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        boxes: (G, 4) (x1, y1, x2, y2) in pixels of the image; may hang over its border.
        rows: (G,) int64, which objects they are.
    """

    image: np.ndarray
    boxes: np.ndarray
    rows: np.ndarray

    @property
    def fractions(self) -> np.ndarray:
        """(G, 4) boxes (cx, cy, w, h) as fractions of the image."""
        height, width = self.image.shape[:2]
        box = self.boxes / np.array([width, height, width, height], float)
        return np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], -1)


class Augmentation(Protocol):
    """Changes the pictures of a clip, all in the same way."""

    def __call__(self, clip: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        """The changed clip; what is random comes from ``rng``."""
        ...


def resized_shape(shape: tuple[int, int], short: int, limit: int | None) -> tuple[int, int]:
    """Size of an image after its short side got a length.

    Args:
        shape: (height, width).
        short: Of the short side, in pixels.
        limit: The long side's largest length; where it would pass it, the short side gets shorter. None for none.

    Returns:
        (height, width).
    """
    low, high = min(shape), max(shape)
    if limit is not None and high / low * short > limit:
        short = round(limit * low / high)
    long = int(short * high / low)
    return (short, long) if shape[0] <= shape[1] else (long, short)


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture in another size (height, width), bilinear and antialiased; boxes by the sides' own ratios."""
    height, width = picture.image.shape[:2]
    ratio = np.array([size[1] / width, size[0] / height] * 2)
    return replace(picture, image=resize(picture.image, size), boxes=picture.boxes * ratio)


def crop_picture(picture: Picture, top: int, left: int, height: int, width: int) -> Picture:
    """A part of a picture. Boxes of which nothing is inside are left out; the others are moved, and not clipped."""
    boxes = picture.boxes - np.array([left, top, left, top], float)
    inside = np.clip(boxes, 0, np.array([width, height, width, height], float))
    kept = (inside[:, 2:] > inside[:, :2]).all(1)
    return Picture(picture.image[top : top + height, left : left + width], boxes[kept], picture.rows[kept])


class ShortSide:
    """Resizes a clip so that its short side has one of several lengths.

    Args:
        sizes: The lengths, in pixels.
        limit: The long side's largest length; None for none. For frames that are much wider than high it decides alone.

    Raises:
        ConfigError: There is no length.
    """

    def __init__(self, sizes: Sequence[int], limit: int | None = None) -> None:
        if not sizes or min(sizes) < 1:
            raise ConfigError(f"an augmentation's sizes are {list(sizes)}", expected="lengths of the short side in pixels")
        self.sizes, self.limit = [int(s) for s in sizes], limit

    def __call__(self, clip: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        """The resized clip."""
        short = self.sizes[rng.integers(len(self.sizes))]
        return [resize_picture(p, resized_shape(p.image.shape[:2], short, self.limit)) for p in clip]


class RandomCrop:
    """Cuts the same part out of all pictures of a clip.

    Args:
        smallest: Least height and width of the part, in pixels; less where the picture is smaller.
        largest: Greatest height and width.

    Raises:
        ConfigError: The sizes are none.
    """

    def __init__(self, smallest: int = 384, largest: int = 600) -> None:
        if not 1 <= smallest <= largest:
            raise ConfigError(f"a crop's sizes are {smallest} to {largest}", expected="pixels, the smallest first")
        self.smallest, self.largest = smallest, largest

    def __call__(self, clip: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        """The cropped clip."""
        sides = clip[0].image.shape[:2]
        size = [int(rng.integers(min(self.smallest, s), min(self.largest, s) + 1)) for s in sides]
        corner = [int(rng.integers(side - part + 1)) for side, part in zip(sides, size, strict=True)]
        return [crop_picture(p, *corner, *size) for p in clip]


class Chain:
    """Several augmentations, one after the other.

    Args:
        steps: They.
    """

    def __init__(self, steps: Sequence[Augmentation]) -> None:
        self.steps = list(steps)

    def __call__(self, clip: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        """The changed clip."""
        pictures = list(clip)
        for step in self.steps:
            pictures = step(pictures, rng)
        return pictures


class OneOf:
    """One of several augmentations, each as likely.

    Args:
        choices: They.

    Raises:
        ConfigError: There is none.
    """

    def __init__(self, choices: Sequence[Augmentation]) -> None:
        if not choices:
            raise ConfigError("an augmentation has no choices", expected="at least one")
        self.choices = list(choices)

    def __call__(self, clip: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        """The changed clip."""
        return self.choices[rng.integers(len(self.choices))](clip, rng)


@dataclass(frozen=True)
class InferenceResize:
    """How whole videos are resized: bilinear without antialiasing, which training has (as published).

    Attributes:
        short: Length of the short side, in pixels. Larger shows small objects better and costs in proportion to its square.
        limit: The long side's largest length.

    Raises:
        ConfigError: The lengths are none.
    """

    short: int = 800
    limit: int = 1536

    def __post_init__(self) -> None:
        if not 1 <= self.short <= self.limit:
            raise ConfigError(f"sampling.resize is {self.short} to {self.limit}", expected="pixels, the short side first")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 in the network's size."""
        height, width = image.shape[:2]
        scale = self.short / min(height, width)
        if scale * max(height, width) > self.limit:
            scale = self.limit / max(height, width)
        size = (max(int(width * scale), 1), max(int(height * scale), 1))
        return image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)

    def picture(self, picture: Picture) -> Picture:
        """A picture in the network's size."""
        image = self(picture.image)
        ratio = np.array([image.shape[1] / picture.image.shape[1], image.shape[0] / picture.image.shape[0]] * 2)
        return replace(picture, image=image, boxes=picture.boxes * ratio)
