"""Names of files that are numbered by frame, as a dataset's configuration states them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Protocol

from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import IMAGE_SUFFIXES
from flexhook.structures.video import MOST_FRAMES

_SUFFIXES = "|".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
_FORMS = {"video": "", "ext": "", "frame": r"(0?[0-9]{1,2}d?)?"}  # of format specifications, by field
NUMBERINGS = ("number", "rank")
_FIELDS = "Fields are {video} and, in the last part of the path, {frame} (as in {frame:06d}) and {ext}; * is any folder"


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of a dataset, by its name: hidden, or the one in which macOS keeps such files."""
    return name.startswith(".") or name == "__MACOSX"


def hidden(path: Path) -> InputError:
    """The note that a hidden file is left out."""
    return InputError("the file is hidden and is left out (macOS writes `._*` files beside others)", file=path)


class VideoPath:
    """A path with ``{video}`` in it; ``*`` in its place stands for any one folder (``*/{video}/img1``).

    Args:
        pattern: The path, relative to the dataset's root.

    Raises:
        ConfigError: The pattern has an unknown field.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = str(pattern)
        try:
            for _, field, form, conversion in Formatter().parse(self.pattern):
                if field is not None and (field not in _FORMS or not re.fullmatch(_FORMS[field], form or "") or conversion):
                    raise ValueError(f"{{{field}{f':{form}' if form else ''}}}")
        except ValueError as error:
            raise ConfigError(f"the path pattern '{self.pattern}' is malformed ({error})", hint=_FIELDS) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pattern!r})"

    def resolve(self, root: Path, video: str) -> Path:
        """The path of ``video``: with ``*``, the one that exists; where none does, the pattern itself.

        Raises:
            InputError: ``*`` stands for several folders that hold the video.
        """
        relative = self.pattern.format(video=video)
        if "*" not in relative:
            return root / relative
        escaped = self.pattern.format(video=re.sub(r"([*?[])", r"[\1]", video))
        start = Path(Path(escaped).anchor) if Path(escaped).is_absolute() else root
        found = sorted(start.glob(escaped.lstrip("/")))
        if len(found) > 1:
            problem = f"video {video} is in several places, {found[0]} and {found[1]} among them"
            hint = "Name the folder in place of * in the data configuration"
            raise InputError(problem, file=root, expected=f"one {relative}", hint=hint)
        return found[0] if found else root / relative


class Images(Protocol):
    """The image files of a dataset; :class:`FramePattern` is one."""

    pattern: str

    def folder(self, root: Path, video: str) -> Path:
        """The folder that holds the images of a video."""
        ...

    def path(self, root: Path, video: str, frame: int) -> Path:
        """The path that 0-based ``frame`` would have."""
        ...

    def files(self, root: Path, video: str, report: Report = strict) -> dict[int, str]:
        """The images on disk, by 0-based frame in increasing order."""
        ...

    def numbers(self, root: Path, video: str, report: Report = strict) -> dict[int, str]:
        """The images on disk, by the number in their name in increasing order."""
        ...


class FramePattern:
    """A path with ``{video}`` and, in its last part, ``{frame:06d}`` and perhaps ``{ext}`` (any image suffix).

    ``KITTI/training/image_02/{video}/{frame:06d}.{ext}`` is the images of the raw Refer-KITTI layout. Listing accepts
    any number of digits: ``12.png`` and ``000012.png`` are both frame 12.

    Args:
        pattern: The path, relative to the dataset's root.
        first_frame: Number that the files give to the first frame of a video.
        numbering: Whether the number in a name is the frame's number (``"number"``), or only the order of the names
            tells the frame (``"rank"``; videos of which some frames were extracted, such as TAO's).
        step: Only every ``step``-th file from the first frame on is a frame, where the folder has the files of more frames
            than the labels; a larger value keeps fewer.

    Raises:
        ConfigError: The pattern has no ``{frame}`` in its last part, or an unknown field, or the step is below 1.
    """

    def __init__(self, pattern: str, first_frame: int = 0, numbering: str = "number", step: int = 1) -> None:
        self.pattern, self.first_frame, self.numbering, self.step = str(pattern), int(first_frame), numbering, int(step)
        if self.step < 1:
            raise ConfigError(f"the step of '{pattern}' is {step}", expected="a whole number from 1 on")
        if numbering not in NUMBERINGS:
            raise ConfigError(f"the numbering of '{pattern}' is {numbering!r}", expected=f"one of {', '.join(NUMBERINGS)}")
        folder, _, self._name = self.pattern.rpartition("/")
        VideoPath(self.pattern)
        self._folder = VideoPath(folder or ".")
        if not re.search(r"\{frame[:}]", self._name) or "{frame" in folder:
            raise ConfigError(f"the file pattern '{self.pattern}' has no {{frame}} in its last part", hint=_FIELDS)

    def __repr__(self) -> str:
        return f"FramePattern({self.pattern!r}, {self.first_frame}, {self.numbering!r}, {self.step})"

    def folder(self, root: Path, video: str) -> Path:
        """The folder that holds the files of ``video``."""
        return self._folder.resolve(root, video)

    def path(self, root: Path, video: str, frame: int) -> Path:
        """The path that frame ``frame`` (0-based) would have; an open suffix is taken to be ``png``."""
        name = self._name.format(video=Path(video).name, frame=frame * self.step + self.first_frame, ext="png")
        return self.folder(root, video) / name

    def files(self, root: Path, video: str, report: Report = strict) -> dict[int, str]:
        """The files of ``video`` on disk, by 0-based frame in increasing order.

        Raises:
            InputError: The folder is missing, a file numbers a frame before the first one, or two files are one frame.
        """
        numbers = self.numbers(root, video, report)
        if self.numbering == "rank":
            return dict(enumerate(numbers.values()))
        frames: dict[int, str] = {}
        for number, path in numbers.items():
            if number < self.first_frame:
                problem = f"the file numbers frame {number}, which is before the first frame {self.first_frame}"
                hint = "Correct the first frame in the data configuration"
                report("bad-frame", InputError(problem, file=path, hint=hint))
            elif number - self.first_frame >= MOST_FRAMES * self.step:
                problem, expected = f"the file numbers frame {number}", f"at most {MOST_FRAMES:,} frames in a video"
                hint = "Remove it; where only the order of the names tells the frame, set the numbering to rank"
                report("bad-frame", InputError(problem, file=path, expected=expected, hint=hint))
            else:
                frames[(number - self.first_frame) // self.step] = path
        return frames

    def numbers(self, root: Path, video: str, report: Report = strict) -> dict[int, str]:
        """The files of ``video`` on disk, by the number in their name in increasing order.

        Raises:
            InputError: The folder is missing, or two files have one number.
        """
        folder = self.folder(root, video)
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError:
            problem = "the folder does not exist or cannot be listed"
            hint = "Check data.root and the patterns in the data configuration"
            report("missing-folder", InputError(problem, file=folder, expected=f"files named {self._name}", hint=hint))
            return {}
        expression = self._expression(Path(video).name)
        found: dict[int, str] = {}
        for name in names:
            if is_hidden(name):
                report("hidden-file", hidden(folder / name))
                continue
            match = expression.fullmatch(name)
            if match is None:
                problem = "the file is not part of the layout"
                report("stray-file", InputError(problem, file=folder / name, expected=f"files named {self._name}"))
            elif int(match["frame"]) in found:
                other = Path(found[int(match["frame"])]).name
                problem, hint = f"two files hold frame {match['frame']}, the other is {other}", "Remove one of them"
                error = InputError(problem, file=folder / name, expected="one file per frame", hint=hint)
                report("duplicate-file", error)
            else:
                found[int(match["frame"])] = f"{folder}/{name}"
        in_order = sorted(found.items())
        if self.numbering == "rank":
            return dict(in_order[:: self.step])
        return {number: path for number, path in in_order if (number - self.first_frame) % self.step == 0}

    def proposal(self, root: Path, video: str) -> tuple[str, str] | None:
        """A pattern that fits the images of a video, where none is named as this one says.

        Returns:
            The name of an image, and the pattern; None where the names have no number that alone tells them apart.
        """
        try:
            names = sorted(entry.name for entry in self.folder(root, video).iterdir() if not is_hidden(entry.name))
        except OSError:
            return None
        suffix = re.compile(rf"(.*?)([0-9]+)\.(?i:{_SUFFIXES})")
        found = [match for match in map(suffix.fullmatch, names) if match]
        if len({match[1] for match in found}) != 1 or {"{", "}"} & set(found[0][1]):
            return None
        widths = {len(match[2]) for match in found}
        frame = f"{{frame:0{min(widths)}d}}" if any(match[2].startswith("0") for match in found) else "{frame}"
        return found[0][0], f"{self.pattern.rpartition('/')[0]}/{found[0][1]}{frame}.{{ext}}".lstrip("/")

    def _expression(self, video: str) -> re.Pattern[str]:
        parts = re.split(r"(\{[^}]*\})", self._name)
        suffix = f"(?i:{_SUFFIXES})"
        fields = {"video": re.escape(video), "frame": r"(?P<frame>[0-9]{1,18})", "ext": suffix}
        of_part = (fields[p[1:-1].partition(":")[0]] if p.startswith("{") else re.escape(p) for p in parts)
        return re.compile("".join(of_part))
