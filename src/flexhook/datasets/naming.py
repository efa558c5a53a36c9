"""Names of files that are numbered by frame, as a dataset's configuration states them."""

from __future__ import annotations

import re
from pathlib import Path

from flexhook.datasets.problems import Report, strict
from flexhook.errors import ConfigError, InputError

IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "bmp", "webp")


class FramePattern:
    """A path with ``{video}`` and, in its last part, ``{frame:06d}`` and perhaps ``{ext}`` (any image suffix).

    ``KITTI/training/image_02/{video}/{frame:06d}.{ext}`` is the images of the raw Refer-KITTI layout. Listing accepts
    any number of digits: ``12.png`` and ``000012.png`` are both frame 12.

    Args:
        pattern: The path, relative to the dataset's root.
        first_frame: Number that the files give to the first frame of a video.

    Raises:
        ConfigError: The pattern has no ``{frame}`` in its last part, or an unknown field.
    """

    def __init__(self, pattern: str, first_frame: int = 0) -> None:
        self.pattern, self.first_frame = str(pattern), int(first_frame)
        folder, _, self._name = self.pattern.rpartition("/")
        self._folder = folder or "."
        try:
            self._format(self._folder, "v", 0), self._format(self._name, "v", 0)
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(f"the file pattern '{self.pattern}' is malformed ({error!r})", hint=_FIELDS) from None
        if not re.search(r"\{frame[:}]", self._name):
            raise ConfigError(f"the file pattern '{self.pattern}' has no {{frame}} in its last part", hint=_FIELDS)

    def folder(self, root: Path, video: str) -> Path:
        """The folder that holds the files of ``video``."""
        return root / self._format(self._folder, video, 0)

    def path(self, root: Path, video: str, frame: int) -> Path:
        """The path that frame ``frame`` (0-based) would have; an open suffix is taken to be ``png``."""
        return self.folder(root, video) / self._format(self._name, video, frame + self.first_frame)

    def files(self, root: Path, video: str, report: Report = strict) -> dict[int, str]:
        """The files of ``video`` on disk, by 0-based frame in increasing order.

        Raises:
            InputError: The folder is missing, a file numbers a frame before the first one, or two files are one frame.
        """
        folder = self.folder(root, video)
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError:
            report(
                "missing-folder",
                InputError(
                    "the folder does not exist or cannot be listed",
                    file=folder,
                    expected=f"files named {self._name}",
                    hint="Check data.root and the patterns in the data configuration",
                ),
            )
            return {}
        expression = self._expression(video)
        found: dict[int, str] = {}
        for name in names:
            if name.startswith("."):
                continue
            match = expression.fullmatch(name)
            if match is None:
                report(
                    "stray-file",
                    InputError("the file is not part of the layout", file=folder / name, expected=self._name),
                )
                continue
            frame = int(match["frame"]) - self.first_frame
            if frame < 0:
                report(
                    "bad-frame",
                    InputError(
                        f"the file numbers frame {match['frame']}, which is before the first frame {self.first_frame}",
                        file=folder / name,
                        hint="Correct the first frame in the data configuration",
                    ),
                )
            elif frame in found:
                report(
                    "duplicate-file",
                    InputError(
                        f"two files hold frame {match['frame']}, the other is {Path(found[frame]).name}",
                        file=folder / name,
                        expected="one file per frame",
                        hint="Remove one of them",
                    ),
                )
            else:
                found[frame] = f"{folder}/{name}"
        return dict(sorted(found.items()))

    def videos(self, root: Path) -> list[str]:
        """Names of the videos that have a folder on disk, sorted; empty where the pattern names none by ``{video}``."""
        above, field, below = self._folder.partition("{video}")
        if not field:
            return []
        prefix = above.rpartition("/")[2]
        base = root / above[: len(above) - len(prefix)]
        suffix, _, rest = below.partition("/")
        if not base.is_dir():
            return []
        names = (
            e.name
            for e in base.iterdir()
            if e.name.startswith(prefix) and e.name.endswith(suffix) and (e / rest).is_dir()
        )
        return sorted(n[len(prefix) : len(n) - len(suffix)] for n in names if not n.startswith("."))

    def _format(self, text: str, video: str, frame: int) -> str:
        return text.format(video=video, frame=frame, ext="png")

    def _expression(self, video: str) -> re.Pattern[str]:
        parts = re.split(r"(\{[^}]*\})", self._name)
        fields = {"video": re.escape(video), "frame": r"(?P<frame>[0-9]+)", "ext": f"(?i:{'|'.join(IMAGE_SUFFIXES)})"}
        return re.compile(
            "".join(fields[part[1:-1].partition(":")[0]] if part.startswith("{") else re.escape(part) for part in parts)
        )


_FIELDS = "Fields are {video}, {frame} (as in {frame:06d}, in the last part of the path) and {ext}"
