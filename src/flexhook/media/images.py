"""Decoding, resizing and normalising pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from flexhook.errors import InputError
from flexhook.structures import Frames, Video
from flexhook.structures.digests import Digest


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image file to (height, width, 3) uint8 RGB.

    Raises:
        InputError: The file is missing, empty, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise InputError("the image does not exist", file=path, expected="one image file per frame",
                         hint="Check data.root and the images' naming with `flexhook data check`") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the image does not decode ({error})", file=path, expected="a readable PNG or JPEG file",
                         hint="Copy the file again from its source") from None


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w, 3) uint8 to ``size`` = (height, width) with Pillow's antialiased bilinear filter."""
    if image.shape[:2] == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def check_shape(shape: tuple[int, ...], video_size: tuple[int, int], name: str) -> None:
    """Refuse an image whose aspect ratio differs from its video's by more than 1 %.

    Args:
        shape: Shape of the decoded image, (height, width, ...).
        video_size: (height, width) of the original frame that boxes refer to.
        name: Path of the image, for the message.

    Raises:
        InputError: The aspect ratios disagree.
    """
    ratio, wanted = shape[1] / shape[0], video_size[1] / video_size[0]
    if abs(ratio / wanted - 1) > 0.01:
        raise InputError(
            f"the image is {shape[1]}x{shape[0]} (width x height), its video is configured as {video_size[1]}x{video_size[0]}",
            file=name,
            expected="an image of the same aspect ratio within 1 %",
            hint="Correct the video's size in the data configuration (data.reader.sizes) or restore the image",
        )


class ImageFiles(Frames):
    """Frames that are image files, one path per frame.

    Args:
        paths: A path per frame in the order of time; an entry may be missing on disk, which is an error only when it is read.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = tuple(str(p) for p in paths)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """The path of frame ``index``."""
        return self.paths[index]

    def read(self, index: int) -> np.ndarray:
        """Decode frame ``index`` to (height, width, 3) uint8 RGB.

        Raises:
            flexhook.errors.InputError: The file is missing or is not an image that decodes.
        """
        return read_image(self.paths[index])


def frames_fingerprint(video: Video) -> str:
    """A digest of a video's size and frames: names (without their folders, so that data may move), sizes and times of files."""
    found = Digest(f"{video.size}{len(video.frames)}")
    for k in range(len(video.frames)):
        name = video.frames.name(k)
        try:
            stat = os.stat(name)
            found.add(Path(name).name, f"{stat.st_size} {stat.st_mtime_ns}")
        except OSError:  # no file of its own: a frame of a video file, or nothing
            found.add(Path(name).name)
    if video.frames.path is not None:
        stat = os.stat(video.frames.path)
        found.add(f"{stat.st_size} {stat.st_mtime_ns}")
    return found.hex()


def cache_key(video: Video) -> str:
    """What the frames of a video are known by in a cache: :func:`frames_fingerprint`, and of frames in memory their content."""
    return frames_fingerprint(video) + video.frames.digest()
