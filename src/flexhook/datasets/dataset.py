"""A dataset in folders, composed of parts: images, true boxes and expressions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.datasets.assembly import assemble
from flexhook.datasets.expression_files import Annotation, read_extra_sentences
from flexhook.datasets.expression_merge import merge_annotations
from flexhook.datasets.frame_agreement import compare, possible, within
from flexhook.datasets.naming import FramePattern, Images
from flexhook.datasets.part_code import code_of
from flexhook.datasets.parts import Expressions, Truth, VideoPlace, one_of
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.sizes import FrameSizes
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import ImageFiles
from flexhook.structures import Expression, TrackSet, Video
from flexhook.structures.slugs import stays_inside

log = logging.getLogger(__name__)

#: Where a dataset stands in the configuration.
KEY = "data.reader"


class Dataset:
    """Reader of a dataset in folders.

    Args:
        root: Folder of the dataset.
        truth: Where the true boxes come from.
        sizes: (height, width) of the original frames by video name, or where to find it
            (:class:`flexhook.datasets.sizes.FrameSizes`).
        splits: Names of the videos of each split; None where the expressions' files tell them.
        images: The image files; None for a dataset without images.
        expressions: Where the expressions come from; None for those only that the labels name.
        extra_sentences: Path of ``newsent.json`` below ``root``, whose sentences are added to the videos that are not in
            the test split, without referents; a file that does not exist adds nothing. None for no such file.
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
        truth: Truth,
        sizes: Mapping[str, Sequence[int]] | str,
        splits: Mapping[str, Sequence[str]] | None = None,
        images: Images | None = None,
        expressions: Expressions | None = None,
        extra_sentences: str | None = None,
        lengths: Mapping[str, int] | None = None,
        on_missing_referent: str = "error",
        on_missing_video: str = "warn",
    ) -> None:
        self.key = KEY  # a mixture's sources stand elsewhere
        self.root = Path(root)
        if not self.root.is_dir():
            problem = "the dataset's folder does not exist"
            raise InputError(problem, file=self.root, expected="a folder", hint="Set data.root=FOLDER")
        self.truth, self.images, self.expressions = truth, images, expressions
        self.sizes = FrameSizes(sizes, lengths)
        self.extra_sentences = None if extra_sentences is None else self.root / extra_sentences
        self.on_missing_referent = one_of("on_missing_referent", on_missing_referent, ("error", "drop"))
        self.on_missing_video = one_of("on_missing_video", on_missing_video, ("warn", "error"))
        found = None if expressions is None else expressions.videos(self.root)
        self.splits = plain_splits(splits or ({} if found is None else found.splits))
        self._keys = {} if found is None else dict(found.keys)
        self._extra: dict[str, list[str]] | None = None

    def place(self, name: str) -> VideoPlace:
        """The video as the parts see it."""
        test = name in self.splits.get("test", ())
        return VideoPlace(self.root, name, self._keys.get(name, name), test, self.images, self.sizes)

    def datasets(self) -> dict[str, Dataset]:
        """The datasets behind this reader by their configuration key: itself."""
        return {"data.reader": self}

    def dataset(self, name: str) -> Dataset:
        """The dataset that has a video: itself."""
        return self

    def files(self, name: str) -> list[Path]:
        """Everything on disk that :meth:`read` depends on: files, and folders whose listing counts."""
        video = self.place(name)
        images = [] if self.images is None else [self.images.folder(self.root, video.key)]
        expressions = [] if self.expressions is None else self.expressions.files(video)
        extra = [] if self.extra_sentences is None else [self.extra_sentences]
        return [*images, *self.sizes.files(self.root, video.key, self.images), *self.truth.files(video), *expressions, *extra]

    def settings(self, name: str) -> str:
        """Everything but files that :meth:`read` depends on, as a text."""
        video = self.place(name)
        parts = (self.images, self.sizes, self.truth, self.expressions)
        said = (self.root.resolve(), video.key, video.test, *parts, self.extra_sentences, self.on_missing_referent)
        return f"{said!r} {code_of(type(self), *parts)}"

    def exists(self, name: str) -> bool:
        """Whether anything of the video is on disk."""
        video = self.place(name)
        images = self.images is not None and self.images.folder(self.root, video.key).exists()
        return images or (self.expressions is not None and self.expressions.exists(video)) or self.truth.exists(video)

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
                raise InputError(problem, file=self.root, expected=self.looked_for(missing[0]), hint=hint)
            log.warning("%s: %s. They are left out: numbers are not those of the whole split.", self.root, problem)
        return found

    def looked_for(self, name: str) -> str:
        """In words, which files of a video would be read."""
        try:
            places = list(map(str, self.files(name)[:2]))
        except InputError:
            places = []
        return " or ".join(places) or f"the files of video {name}"

    def length(self, name: str) -> int | None:
        """Number of frames of a video by its ``seqinfo.ini`` or the configuration; None where neither tells.

        Raises:
            InputError: The ``seqinfo.ini`` is missing or broken.
        """
        return self.sizes.length(self.root, name, self.place(name).key)

    def annotations(self, name: str, report: Report = strict) -> list[Annotation]:
        """The expressions of a video with their referents.

        Raises:
            InputError: A file is missing or malformed.
        """
        video = self.place(name)
        files = None if self.expressions is None else self.expressions.read(video, report)
        labelled = self.truth.annotations(video, report)
        if self._extra is None:
            self._extra = read_extra_sentences(self.extra_sentences, report)
        extra = () if video.test else self._extra.get(name, ())
        return merge_annotations(video, files, labelled, extra, self.extra_sentences, report)

    def read_expressions(self, name: str) -> tuple[Expression, ...]:
        """The expressions of a video, without its labels."""
        return tuple(annotation.expression for annotation in self.annotations(name))

    def read(self, name: str, report: Report = strict) -> Video:
        """Read one video.

        Args:
            name: The video.
            report: Receives what is wrong; the default raises it.

        Raises:
            InputError: A file or folder is missing or malformed, a label or expression names a frame that the video
                does not have, or an expression names an identity that no label has.
        """
        return self.read_annotated(name, report)[0]

    def read_annotated(self, name: str, report: Report = strict) -> tuple[Video, list[Annotation]]:
        """Read one video; beside it, its expressions with the referents as their files name them."""
        report = self._named(report)
        try:
            return self._read(self.place(name), report)
        except InputError as error:  # raised beside the report
            raise self._with_key(error) from None

    def _read(self, video: VideoPlace, report: Report) -> tuple[Video, list[Annotation]]:
        name, left_out = video.name, _LeftOut(report)
        truth = possible(video, self.truth, self.truth.read(video, left_out), report)
        if not len(truth) and left_out.said is not None:
            log.warning("video %s has no label: %s", name, left_out.said)
        annotations = self.annotations(name, report)
        frames, images = self._frames(video, truth, report)
        truth = within(video, self.truth, truth, len(frames), report)
        compare(video, self.truth, truth, images, report)
        drop = self.on_missing_referent == "drop"
        lacking = "" if left_out.said is None else left_out.said.problem
        made = assemble(name, video.size, frames, truth, annotations, drop_missing=drop, report=report, lacking=lacking)
        return made, annotations

    def _named(self, report: Report) -> Report:
        """A report whose messages name the keys of this dataset within the configuration."""
        return report if self.key == KEY else lambda kind, error: report(kind, self._with_key(error))

    def _with_key(self, error: InputError) -> InputError:
        if self.key == KEY or f"{self.key}." in str(error):
            return error
        expected, hint = (text and text.replace(f"{KEY}.", f"{self.key}.") for text in (error.expected, error.hint))
        problem = error.problem.replace(f"{KEY}.", f"{self.key}.")
        return type(error)(problem, file=error.file, line=error.line, expected=expected, hint=hint)

    def check(self, report: Report) -> None:
        """Report what is wrong with the dataset and shows in no video."""
        if self.expressions is not None:
            self.expressions.check(self.root, report)

    def _frames(self, video: VideoPlace, truth: TrackSet, report: Report) -> tuple[ImageFiles, dict[int, str]]:
        """The frames, and the images on disk by frame."""
        labelled = int(truth.frame.max(initial=-1)) + 1
        if self.images is None:
            length = self.length(video.name)
            count = labelled if length is None else length
            return ImageFiles([f"{video.name}, frame {k} (configured without images)" for k in range(count)]), {}
        images = self.images.files(self.root, video.key, report)
        if not images:
            folder, expected = self.images.folder(self.root, video.key), f"files like {self.images.pattern}"
            hint = "Copy them there, or set data.reader.images=null to do without"
            proposal = self.images.proposal(self.root, video.key) if isinstance(self.images, FramePattern) else None
            if proposal is not None:
                hint = f"There are files like {proposal[0]}: set 'data.reader.images.pattern=\"{proposal[1]}\"'"
            error = InputError(f"video {video.name} has no images", file=folder, expected=expected, hint=hint)
            report("missing-file", error)
        count = max(images) + 1 if images else labelled
        return ImageFiles([images.get(k) or self.images.path(self.root, video.key, k) for k in range(count)]), images


class _LeftOut:
    """A report that keeps what it hears of true rows that are left out, and passes everything on."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.said: InputError | None = None

    def __call__(self, kind: str, error: InputError) -> None:
        if kind == "rows-left-out":
            self.said = error
        self.report(kind, error)


def plain_splits(splits: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Splits from a configuration, checked.

    Raises:
        ConfigError: A split is no list of names, a name was written as a number (YAML reads 0005 as 5), or occurs
            twice.
    """
    out: dict[str, tuple[str, ...]] = {}
    for split, names in splits.items():
        if isinstance(names, str) or not hasattr(names, "__iter__"):
            raise ConfigError(
                f"the split '{split}' is {names!r}", expected="a list of video names", hint="Correct data.reader.splits"
            )
        for name in names:
            if not isinstance(name, str) or not name:
                raise ConfigError(
                    f"the split '{split}' names video {name!r}",
                    expected="names as texts",
                    hint="Put the name in quotes: without them YAML takes 0005 for a number",
                )
            if not stays_inside(name):
                raise ConfigError(f"the split '{split}' names video {name!r}", expected="a name below the dataset's folder",
                                  hint="Correct data.reader.splits")
        if len(set(names)) < len(names):
            raise ConfigError(f"the split '{split}' names a video twice", hint="Correct data.reader.splits")
        out[str(split)] = tuple(names)
    return out
