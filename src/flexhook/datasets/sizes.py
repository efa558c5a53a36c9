"""The size of a video's original frames: from the configuration, a seqinfo.ini or, if asked for, the images."""

from __future__ import annotations

import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from flexhook.datasets.naming import Images, VideoPath
from flexhook.datasets.problems import ignore
from flexhook.datasets.text_files import read_text
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import image_size

_HINT = "Set data.reader.sizes"


class FrameSizes:
    """Sizes and lengths of a dataset's videos.

    Args:
        sizes: One of

            - a mapping of video names to (height, width), where ``default`` stands for all other videos;
            - the path of each video's MOTChallenge ``seqinfo.ini``, with ``{video}``;
            - ``"images"``: the size of the video's first image file, for datasets that publish no sizes and store their
              images at the original size.
        lengths: Number of frames by video name, for datasets without images.

    Raises:
        ConfigError: An entry is malformed.
    """

    def __init__(self, sizes: Mapping[str, Sequence[int]] | str, lengths: Mapping[str, int] | None = None) -> None:
        self.source = sizes if isinstance(sizes, str) else None
        self.seqinfo = VideoPath(sizes) if isinstance(sizes, str) and sizes != "images" else None
        if self.seqinfo is not None and not self.seqinfo.pattern.endswith(".ini"):
            expected = "a mapping of names to [height, width], a path to seqinfo.ini files, or images"
            raise ConfigError(f"data.reader.sizes is {sizes!r}", expected=expected)
        self.by_name = {} if isinstance(sizes, str) else _plain_sizes(sizes)
        self.lengths = {str(name): int(count) for name, count in (lengths or {}).items()}

    def __repr__(self) -> str:
        return f"FrameSizes({self.source or self.by_name!r}, {self.lengths!r})"

    def files(self, root: Path, key: str, images: Images | None) -> list[Path]:
        """The files that the size of a video depends on."""
        if self.source == "images" and images is not None:
            return [Path(path) for path in list(images.numbers(root, key, ignore).values())[:1]]
        return [] if self.seqinfo is None else [self.seqinfo.resolve(root, key)]

    def size(self, root: Path, name: str, images: Images | None, key: str | None = None) -> tuple[int, int]:
        """(height, width) of the original frames of a video.

        Args:
            root: The dataset's folder.
            name: The video's name.
            images: Its images.
            key: What stands for ``{video}`` in the paths, where that is not the name.

        Raises:
            ConfigError: The configuration does not tell.
            InputError: The ``seqinfo.ini`` or the first image is missing or broken.
        """
        if self.seqinfo is not None:
            path = self.seqinfo.resolve(root, key or name)
            return _from_ini(path, "imHeight"), _from_ini(path, "imWidth")
        if self.source == "images":
            return _from_image(root, key or name, images)
        size = self.by_name.get(name, self.by_name.get("default"))
        if size is None:
            expected = "(height, width) of its original frame"
            raise ConfigError(f"the size of video {name} is not configured", expected=expected, hint=_HINT)
        return size

    def place_of_length(self, root: Path, key: str) -> tuple[Path | None, int | None]:
        """The ``seqinfo.ini`` of a video and the line that tells its length; None where the configuration tells."""
        if self.seqinfo is None:
            return None, None
        path = self.seqinfo.resolve(root, key)
        lines = (read_text(path, ignore) or "").split("\n")
        return path, next((k for k, line in enumerate(lines, 1) if line.strip().lower().startswith("seqlength")), None)

    def length(self, root: Path, name: str, key: str | None = None) -> int | None:
        """Number of frames of a video as its ``seqinfo.ini`` or the configuration gives it; None where neither does."""
        if name in self.lengths:
            return self.lengths[name]
        return None if self.seqinfo is None else _from_ini(self.seqinfo.resolve(root, key or name), "seqLength")


def _from_ini(path: Path, entry: str) -> int:
    expected = "[Sequence] with whole numbers seqLength, imWidth and imHeight"
    parser = configparser.ConfigParser()
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file)
        value = int(parser["Sequence"][entry])
        if value <= 0:
            raise ValueError(value)
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})"
        raise InputError(problem, file=path, expected=expected, hint=f"Restore it, or: {_HINT}") from None
    except (configparser.Error, KeyError, ValueError, UnicodeDecodeError):
        raise InputError(f"there is no valid {entry}", file=path, expected=expected, hint="Mend the file") from None
    return value


def _from_image(root: Path, key: str, images: Images | None) -> tuple[int, int]:
    files = {} if images is None else images.numbers(root, key)
    if not files:
        raise ConfigError(f"data.reader.sizes is images, and video {key} has none", hint=_HINT)
    path = next(iter(files.values()))
    try:
        return image_size(path)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"the image does not open ({error})"
        raise InputError(problem, file=path, expected="a PNG or JPEG file", hint="Copy it again from its source") from None


def _plain_sizes(sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, int]]:
    out = {}
    for name, size in (sizes or {}).items():
        if isinstance(size, (str, int)) or len(size) != 2 or not all(isinstance(v, int) and v > 0 for v in size):
            raise ConfigError(f"the size of video {name!r} is {size!r}", expected="[height, width] in pixels", hint=_HINT)
        out[str(name)] = (size[0], size[1])
    return out
