"""The field's folder of expression files per video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flexhook.datasets.expression_files import Annotation, read_expression_file
from flexhook.datasets.naming import VideoPath, hidden, is_hidden
from flexhook.datasets.parts import Expressions, VideoPlace
from flexhook.datasets.problems import Report, strict
from flexhook.errors import InputError


@dataclass
class ExpressionFolder(Expressions):
    """The expressions of a folder per video; a file's name is the slug.

    Attributes:
        folder: The folder, with ``{video}``.
        first_frame: Number of the first frame inside the files.

    Raises:
        ConfigError: The path has an unknown field.
    """

    folder: str = "expression/{video}"
    first_frame: int = 0

    def __post_init__(self) -> None:
        self._folder, self.first_frame = VideoPath(self.folder), int(self.first_frame)

    def read(self, video: VideoPlace, report: Report = strict) -> list[Annotation]:
        """The expressions of a video, sorted by file name."""
        folder = self._folder.resolve(video.root, video.key)
        return read_expression_folder(folder, video.name, first_frame=self.first_frame, report=report)

    def files(self, video: VideoPlace) -> list[Path]:
        """The expression files of a video."""
        found = self._folder.resolve(video.root, video.key).glob("*.json")
        return sorted(path for path in found if not is_hidden(path.name))

    def exists(self, video: VideoPlace) -> bool:
        """Whether the video has a folder."""
        return self._folder.resolve(video.root, video.key).is_dir()


def read_expression_folder(folder: Path, video: str, *, first_frame: int = 0, report: Report = strict) -> list[Annotation]:
    """The expressions of one video, sorted by file name.

    Args:
        folder: Folder that holds the video's ``<slug>.json``.
        video: The video's name, compared with what the files say.
        first_frame: Number that the files give to the first frame.
        report: Receives what is wrong.

    Raises:
        InputError: The folder is missing or holds no expression, or a file is malformed.
    """
    hint = "Check data.root and data.reader.expressions.folder"
    expected = "one JSON file per expression, <slug>.json"
    try:
        names = sorted(e.name for e in folder.iterdir())
    except OSError:
        problem = "the folder of expressions does not exist or cannot be listed"
        report("missing-folder", InputError(problem, file=folder, expected=expected, hint=hint))
        return []
    for name in filter(is_hidden, names):
        report("hidden-file", hidden(folder / name))
    names = [name for name in names if not is_hidden(name)]
    for name in names:
        if not name.endswith(".json"):
            error = InputError("the file is not an expression", file=folder / name, expected=expected)
            report("stray-file", error)
    paths = [f"{folder}/{name}" for name in names if name.endswith(".json")]
    if not paths:
        error = InputError("the folder holds no expression", file=folder, expected=expected, hint=hint)
        report("missing-file", error)
    read = (read_expression_file(path, video, first_frame=first_frame, report=report) for path in paths)
    return [annotation for annotation in read if annotation is not None]
