"""Decoding, resizing and normalising pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from flexhook.errors import InputError
from flexhook.structures import Frames, Video
from flexhook.structures.digests import Digest

#: Suffixes of image files, in lower case.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")  #: Pillow's modes of 16-bit gray images.
TURNED = (5, 6, 7, 8)  #: EXIF orientations that exchange height and width.


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image file to (height, width, 3) uint8 RGB, as a viewer shows it.

    An EXIF orientation is applied, 16 bits are scaled to 8, and what is transparent is white.

    Raises:
        InputError: The file is missing, empty, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            return _shown(image)
    except FileNotFoundError:
        raise InputError("the image does not exist", file=path, expected="one image file per frame",
                         hint="Check data.root and the images' naming with `flexhook data check`") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the image does not decode ({error})", file=path, expected="an image file that a viewer shows",
                         hint="Copy the file again from its source") from None


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of an image file as :func:`read_image` gives it, from its header.

    Raises:
        OSError, SyntaxError, ValueError, Image.DecompressionBombError: It is no image.
    """
    with Image.open(path) as image:
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))  # image.getexif() reads a whole PNG
        turned = exif.get(ExifTags.Base.Orientation) in TURNED
        return (image.width, image.height) if turned else (image.height, image.width)


def _shown(image: Image.Image) -> np.ndarray:
    """An opened image as a viewer shows it."""
    if image.mode in SIXTEEN_BIT:
        values = np.asarray(image)
        wide = values.dtype.itemsize > 1 and values.max(initial=0) > 255
        gray = np.clip(np.round(values / 257) if wide else values, 0, 255).astype(np.uint8)
        image = Image.fromarray(gray)
    shown: Image.Image = ImageOps.exif_transpose(image)
    if shown.has_transparency_data:
        shown = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return np.asarray(shown.convert("RGB"))


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
        frame_rate: Frames per second, where that is known.
    """

    def __init__(self, paths: Sequence[str | Path], frame_rate: float | None = None) -> None:
        self.paths, self.frame_rate = tuple(str(p) for p in paths), frame_rate

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


def cache_key(video: Video) -> str | None:
    """What the frames of a video are known by in a cache; None where nothing tells them from others.

    That is :func:`frames_fingerprint`, and of frames in memory their content.
    """
    content = video.frames.digest()
    if not content and video.frames.path is None and not video.frames.paths:
        return None
    return frames_fingerprint(video) + content
