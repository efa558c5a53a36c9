"""The folder that ``flexhook predict`` leaves for a video, as ``render`` and ``evaluate`` read it."""

from __future__ import annotations

from pathlib import Path

from flexhook.datasets.sequence_list import SequenceList
from flexhook.errors import InputError
from flexhook.media.video_files import open_frames
from flexhook.structures import TrackSet, Video, make_labels
from flexhook.structures.files import read_json, write_json
from flexhook.structures.result_files import read_expressions

OUT = "outputs/predict"  #: Where the folders of videos lie by default.
SOURCE = "video.json"  #: Names the video, its file and its size.


def write_source(folder: Path, source: Path, video: Video) -> None:
    """Note in a folder of results which video they are of."""
    write_json(folder / SOURCE, {"name": video.name, "video": str(source.expanduser().absolute()), "size": list(video.size)})


def find_predicted(folder: Path) -> PredictedVideo | None:
    """The video of a folder that ``predict`` wrote; None for a run folder and anything else."""
    if (folder / "config.yaml").is_file() or not (folder / SOURCE).is_file():
        return None
    return PredictedVideo(folder)


class PredictedVideo:
    """Reads the video of a folder that ``predict`` wrote; it has no truth.

    Args:
        folder: The folder.

    Attributes:
        name: Name of the video.

    Raises:
        InputError: Its note is malformed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / SOURCE
        found = read_json(file)
        name, video, size = (found.get(key) for key in ("name", "video", "size"))
        sound = isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side < 10**6 for side in size)
        if not isinstance(name, str) or not isinstance(video, str) or not sound:
            raise InputError("the note of the video is malformed", file=file, expected="name, video and size",
                             hint="Predict again; what is there is taken over")
        self.name, self.file, self.size = name, video, (int(size[0]), int(size[1]))  # type: ignore[index]

    def sequences(self) -> SequenceList:
        """The sentences that were asked, as the sequences that count."""
        file = self.folder / "scores/expressions.json"
        asked = read_expressions(self.folder / "scores").get(self.name, ())
        return SequenceList(file, {self.name: {e.slug: 0 for e in asked}})

    def read(self, name: str) -> Video:
        """The video with the sentences that were asked.

        Raises:
            InputError: Its file has gone.
        """
        expressions = read_expressions(self.folder / "scores").get(name, ())
        labels = make_labels([], [], (0, len(expressions)))
        return Video(name, self.size, open_frames(self.file), TrackSet.empty(), expressions, labels)
