"""Looks at image files: are they there, do they decode, are they of the right shape."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from flexhook.datasets.problems import Report
from flexhook.errors import InputError
from flexhook.media.images import check_shape, image_size, read_image
from flexhook.structures import Frames

MODES = ("decode", "headers", "none")


def check_images(
    frames: Frames,
    size: tuple[int, int],
    mode: str,
    report: Report,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Look at every image of a video.

    Args:
        frames: The video's pictures.
        size: (height, width) of its original frames.
        mode: ``"decode"`` decodes every image; ``"headers"`` only reads sizes, which does not notice a truncated file;
            ``"none"`` only looks whether the files exist.
        report: Receives images that are missing, do not decode or have another shape than the video, and videos whose
            images have several sizes.
        advance: Called with the number of images that have been looked at since its last call.
    """
    sizes: dict[tuple[int, int], str] = {}

    def look(path: str) -> tuple[str, tuple[int, int] | InputError | None]:
        if not os.path.isfile(path):
            problem = "the image does not exist"
            hint = "Restore it, or set data.reader.images.first_frame: frames are counted by their numbers"
            return "missing-image", InputError(problem, file=path, expected="one image per frame", hint=hint)
        if mode == "none":
            return "", None
        try:
            if mode == "decode":
                height, width = read_image(path).shape[:2]
            else:
                height, width = image_size(path)
        except InputError as error:
            return "image-does-not-decode", error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            problem = f"the image does not open ({error})"
            return "image-does-not-decode", InputError(problem, file=path, expected="a PNG or JPEG file")
        try:
            check_shape((height, width, 3), size, path)
        except InputError as error:
            return "image-size", error
        return "", (height, width)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for path, (kind, result) in zip(frames.paths, pool.map(look, frames.paths), strict=True):
            if isinstance(result, InputError):
                report(kind, result)
            elif result is not None:
                sizes.setdefault(result, path)
            advance(1)
    if len(sizes) > 1:
        found = ", ".join(f"{width}x{height}" for height, width in sizes)
        problem = f"the images of the video have several sizes: {found} (width x height)"
        expected, hint = "images of one size", "Store all images of a video at one size"
        report("image-size-varies", InputError(problem, file=list(sizes.values())[1], expected=expected, hint=hint))
