"""What readers of datasets in folders have in common: splits, frame sizes and images, all from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.datasets.assembly import assemble
from flexhook.datasets.expression_files import Annotation
from flexhook.datasets.naming import FramePattern
from flexhook.datasets.problems import MOST_FRAMES, Report, strict
from flexhook.datasets.reader import plain_splits
from flexhook.datasets.sizes import FrameSizes
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import ImageFiles
from flexhook.structures import TrackSet, Video

log = logging.getLogger(__name__)


class FolderDataset:
    """A dataset in folders; a reader of one adds where truth and expressions come from.

    Args:
        root: Folder of the dataset.
        splits: Names of the videos of each split.
        sizes: (height, width) of the original frames by video name, or where to find it
            (:class:`flexhook.datasets.sizes.FrameSizes`).
        images: Pattern of the image files under ``root`` (:class:`flexhook.datasets.naming.FramePattern`), or None for
            a dataset without images.
        image_first_frame: Number of the first frame in the images' names.
        image_numbering: Whether the ``"number"`` in an image's name or only its ``"rank"`` among them is its frame.
        lengths: Number of frames by video name, for a dataset without images; otherwise its videos end with their last
            label.
        on_missing_referent: An expression that names an identity which no label has in that frame is an ``"error"``, or
            that referent is left out with one warning per video (``"drop"``).
        on_missing_video: A video of a split of which nothing is on disk is left out with a warning (``"warn"``) or an
            ``"error"``.

    Raises:
        InputError: ``root`` does not exist.
        ConfigError: An argument is unknown or malformed.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Mapping[str, Sequence[str]],
        sizes: Mapping[str, Sequence[int]] | str,
        images: str | None,
        image_first_frame: int = 0,
        image_numbering: str = "number",
        lengths: Mapping[str, int] | None = None,
        on_missing_referent: str = "error",
        on_missing_video: str = "warn",
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            problem = "the dataset's folder does not exist"
            raise InputError(problem, file=self.root, expected="a folder", hint="Set data.root=FOLDER")
        self.splits = plain_splits(splits)
        self.sizes = FrameSizes(sizes, lengths)
        self.images = None if images is None else FramePattern(images, image_first_frame, image_numbering)
        self.on_missing_referent = one_of("on_missing_referent", on_missing_referent, ("error", "drop"))
        self.on_missing_video = one_of("on_missing_video", on_missing_video, ("warn", "error"))

    def truth(self, name: str, report: Report = strict) -> TrackSet:
        """The true trajectories of a video."""
        raise NotImplementedError

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expressions of a video with their referents."""
        raise NotImplementedError

    def sources(self, name: str) -> list[Path]:
        """The files that truth and expressions of a video come from; they need not exist."""
        raise NotImplementedError

    def key(self, name: str) -> str:
        """What stands for ``{video}`` in the paths of the video ``name``."""
        return name

    def files(self, name: str) -> list[Path]:
        """Everything on disk that :meth:`read` depends on: files, and folders whose listing counts."""
        key = self.key(name)
        images = [] if self.images is None else [self.images.folder(self.root, key)]
        return [*images, *self.sizes.files(self.root, key, self.images), *self.sources(name)]

    def settings(self, name: str) -> str:
        """Everything but files that :meth:`read` depends on, as a text."""
        values = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        return repr(sorted({**values, "root": self.root.resolve()}.items()))

    def exists(self, name: str) -> bool:
        """Whether anything of the video is on disk."""
        images = self.images is not None and self.images.folder(self.root, self.key(name)).exists()
        return images or any(path.exists() for path in self.sources(name))

    def video_names(self, split: str | None = None) -> list[str]:
        """Videos of a split that are on disk, in the order of the configuration; without a split, of all splits.

        Raises:
            ConfigError: The split is not configured.
            InputError: None of its videos is on disk, or one is not and ``on_missing_video`` is ``"error"``.
        """
        if split is not None and split not in self.splits:
            expected = f"one of {', '.join(self.splits)}"
            raise ConfigError(f"the split '{split}' is not configured", expected=expected, hint="Set data.reader.splits")
        wanted = list(dict.fromkeys(n for s, names in self.splits.items() if split in (None, s) for n in names))
        found = [name for name in wanted if self.exists(name)]
        missing = [name for name in wanted if name not in found]
        if missing:
            of = "the splits" if split is None else f"split {split}"
            names = ", ".join(missing[:8]) + (" and more" if len(missing) > 8 else "")
            problem = f"{len(missing)} of the {len(wanted)} videos of {of} are not on disk: {names}"
            if not found or self.on_missing_video == "error":
                hint = "Set data.root, or data.reader.splits to the videos you have"
                raise InputError(problem, file=self.root, expected=looked_for(self, missing[0]), hint=hint)
            log.warning("%s: %s. They are left out: numbers are not those of the whole split.", self.root, problem)
        return found

    def size(self, name: str) -> tuple[int, int]:
        """(height, width) of the original frame of a video.

        Raises:
            ConfigError: The configuration does not tell.
            InputError: The file that should tell is missing or broken.
        """
        return self.sizes.size(self.root, name, self.images, self.key(name))

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video.

        Args:
            name: The video.
            report: Receives what is wrong; the default raises it.

        Raises:
            InputError: A file or folder is missing or malformed, a label or expression names a frame that the video
                does not have, or an expression names an identity that no label has.
        """
        truth = self._possible(name, self.truth(name, report), report)
        annotations = self.annotations(name, report)
        frames = self._frames(name, truth, report)
        beyond = truth.frame >= len(frames)
        if beyond.any():
            last = int(truth.frame.max())
            problem = f"the labels of video {name} go on to frame {last}, its frames end with {len(frames) - 1} (from 0)"
            hint = "Restore the images at the end, or correct the first frames in the data configuration"
            source = self.root if self.images is None else self.images.folder(self.root, self.key(name))
            error = InputError(problem, file=source, expected="an image for every label", hint=hint)
            report("frame-outside-video", error)
            truth = truth.select(~beyond)
        drop = self.on_missing_referent == "drop"
        return assemble(name, self.size(name), frames, truth, annotations, drop_missing=drop, report=report)

    def _possible(self, name: str, truth: TrackSet, report: Report) -> TrackSet:
        """The truth without frames that no video has."""
        absurd = truth.frame >= MOST_FRAMES
        if absurd.any():
            problem = f"the labels of video {name} name frame {truth.frame[absurd][0]} (from 0)"
            expected = f"at most {MOST_FRAMES:,} frames in a video"
            file = next(iter(self.sources(name)), self.root)
            report("bad-frame", InputError(problem, file=file, expected=expected, hint="Mend or restore the file"))
        return truth.select(~absurd)

    def _frames(self, name: str, truth: TrackSet, report: Report) -> ImageFiles:
        key, labelled = self.key(name), int(truth.frame.max(initial=-1)) + 1
        if self.images is None:
            length = self.sizes.length(self.root, name, key)
            count = labelled if length is None else length
            return ImageFiles([f"{name}, frame {k} (configured without images)" for k in range(count)])
        images = self.images.files(self.root, key, report)
        if not images:
            problem, hint = (
                f"video {name} has no images",
                "Copy them there, or set data.reader.images=null to do without",
            )
            folder = self.images.folder(self.root, key)
            expected = f"files like {self.images.pattern}"
            report("missing-file", InputError(problem, file=folder, expected=expected, hint=hint))
        count = max(images) + 1 if images else labelled
        return ImageFiles([images.get(k) or self.images.path(self.root, key, k) for k in range(count)])


def one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    """The value, if it is one of the choices.

    Raises:
        ConfigError: It is not.
    """
    if value not in choices:
        raise ConfigError(f"data.reader.{name} is {value!r}", expected=f"one of {', '.join(choices)}")
    return value


def looked_for(reader: FolderDataset, name: str) -> str:
    """In words, which files of a video its reader looks for."""
    try:
        places = list(map(str, reader.files(name)[:2]))
    except InputError:
        places = []
    return " or ".join(places) or f"the files of video {name}"
