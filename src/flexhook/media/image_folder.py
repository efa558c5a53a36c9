"""A folder of images as a video."""

from __future__ import annotations

import configparser
import itertools
import logging
import re
from pathlib import Path

from flexhook.errors import InputError
from flexhook.media.images import IMAGE_SUFFIXES, ImageFiles

log = logging.getLogger(__name__)

FRAMES = "img1"  #: Where MOTChallenge's sequences have their frames.


def open_image_folder(path: Path) -> ImageFiles:
    """The images of a folder, one per frame, in natural order (``2.png`` before ``10.png``).

    Hidden files and files of other kinds are passed over. A sequence of MOTChallenge, with ``img1/`` and ``seqinfo.ini``, is
    taken as it is.

    Args:
        path: The folder.

    Raises:
        InputError: It holds no image, or two images of one name.
    """
    images = _images(path)
    rate = None
    if not images and (path / FRAMES).is_dir():
        images, rate = _images(path / FRAMES), _frame_rate(path / "seqinfo.ini")
    if not images:
        raise InputError("the folder holds no images", file=path, expected="one image file per frame",
                         hint="Name the folder that holds the frames themselves, or a video file")
    for one, other in itertools.pairwise(images):
        if _natural(one)[0] == _natural(other)[0]:
            raise InputError(f"{one.name} and {other.name} are two images of one frame", file=path,
                             expected="one image file per frame", hint="Remove one of the two")
    _warn_of_gaps(images)
    return ImageFiles(images, rate)


def has_images(path: Path) -> bool:
    """Whether a folder is a video made of images."""
    return bool(_images(path)) or ((path / FRAMES).is_dir() and bool(_images(path / FRAMES)))


def _images(path: Path) -> list[Path]:
    found = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()]
    return sorted(found, key=_natural)


def _frame_rate(path: Path) -> float | None:
    """Frames per second of a ``seqinfo.ini``; None where it does not say."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
        rate = parser.getfloat("Sequence", "frameRate")
    except (configparser.Error, ValueError, OSError):
        return None
    return rate if 0 < rate <= 1000 else None


def _warn_of_gaps(images: list[Path]) -> None:
    """Tell where numbers are missing among images that are numbered: frames are counted in order."""
    named = [re.findall(r"[0-9]+", image.stem) for image in images]
    if not all(named) or len({re.sub(r"[0-9]+$", "", image.stem) for image in images}) > 1:
        return
    numbers = [int(found[-1]) for found in named]
    gaps = [k for k, (one, other) in enumerate(itertools.pairwise(numbers)) if other != one + 1]
    if gaps:
        log.warning("%s: the numbers of the images have %d gaps, the first between %s and %s. Frames are counted in the order "
                    "of the images: tracks that follow the numbers do not fit", images[0].parent, len(gaps),
                    images[gaps[0]].name, images[gaps[0] + 1].name)


def _natural(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Sorting key by the name without its suffix, digits by their value, then the whole name."""
    parts = re.split(r"(\d+)", path.stem)
    return [(1, int(p)) if p.isdecimal() else (0, p.lower()) for p in parts if p], path.name
