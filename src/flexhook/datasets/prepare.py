"""Builds what a dataset lacks beside the originals: label files, resized images, index, lists, TrackEval's truth.

Every file is whole or not there. A note (``prepared.json``) holds, per step and video, what it was made from: a step
whose sources have not changed since is not done again, and one that was interrupted goes on with the files that are
missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from flexhook.datasets.cache import state_of
from flexhook.datasets.dataset import Dataset
from flexhook.datasets.frame_labels import FrameLabels
from flexhook.datasets.kitti_labels import CLASSES, read_kitti_labels
from flexhook.datasets.mot import format_mot
from flexhook.datasets.reader import Reader
from flexhook.errors import InputError
from flexhook.media.images import read_image, resize
from flexhook.structures import TrackSet, Video
from flexhook.structures.digests import digest
from flexhook.structures.files import atomic_write

NOTE = "prepared.json"
_DONE, _BEGUN = "done", "begun"


@dataclass
class Prepared:
    """What a preparation has done.

    Attributes:
        written: Files written, by step.
        skipped: Videos that were already done, by step.
    """

    written: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


class Workshop:
    """The folder that prepared files go to, with its note of what is done.

    Args:
        out: The folder; made where it is missing.
    """

    def __init__(self, out: str | Path) -> None:
        self.out, self.result = Path(out), Prepared()
        self._note: dict[str, dict[str, list[str]]] = {}
        self._broken = (self.out / NOTE).is_file()  # then whatever is there is made again
        try:
            note = json.loads((self.out / NOTE).read_text(encoding="utf-8"))
            if isinstance(note, dict) and all(isinstance(videos, dict) for videos in note.values()):
                self._note, self._broken = note, False
        except (OSError, ValueError, RecursionError):
            pass

    def videos(self, name: str) -> list[str]:
        """The videos for which a step was done or begun before."""
        return list(self._note.get(name, {}))

    def step(self, name: str, video: str, state: str, work: Iterable[tuple[Path, Callable[[Path], None]]]) -> None:
        """Do one step for one video, unless it is done.

        Args:
            name: The step.
            video: The video, or what else the step is done for.
            state: A digest of everything the step depends on.
            work: Each file to make, below :attr:`out`, and a function that writes it under the name that it is given.

        Raises:
            InputError: A file to make is there already and no preparation made it.
        """
        self.result.written.setdefault(name, 0)
        status, known = self._note.get(name, {}).get(video, [_BEGUN, ""])
        work = [(self.out / path, write) for path, write in work]
        if known == state and status == _DONE and all(path.is_file() for path, _ in work):
            self.result.skipped[name] = self.result.skipped.get(name, 0) + 1
            return
        going_on = known == state
        theirs = next((path for path, _ in work if path.exists()), None) if not known and not self._broken else None
        if theirs is not None:
            raise _not_ours(theirs)
        if not going_on:
            self._remember(name, video, _BEGUN, state)
        missing = [(path, write) for path, write in work if not (going_on and path.is_file())]

        def make(job: tuple[Path, Callable[[Path], None]]) -> None:
            with atomic_write(job[0], sync=False) as temporary:
                job[1](temporary)

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(make, missing):
                self.result.written[name] += 1
        self._remember(name, video, _DONE, state)

    def _remember(self, name: str, video: str, status: str, state: str) -> None:
        self._note.setdefault(name, {})[video] = [status, state]
        with atomic_write(self.out / NOTE) as temporary:
            temporary.write_text(json.dumps(self._note, indent=1, sort_keys=True), encoding="utf-8")


def _not_ours(path: Path) -> InputError:
    problem = "the file is there already, and `flexhook data prepare` has not made it"
    return InputError(problem, file=path, expected="room for new files", hint="Give --out FOLDER, or move it away")


def label_files(
    shop: Workshop,
    dataset: Dataset,
    labels: FrameLabels,
    source: Path,
    video: str,
    num_frames: int | None,
    *,
    cut: bool = False,
) -> None:
    """Make the per-frame label files of a video from its ``label_02`` file, an empty one for a frame without objects.

    Args:
        shop: Where they go.
        dataset: Says the video's size.
        labels: Says the files' names and classes; the classes must be names that
            :data:`flexhook.datasets.kitti_labels.CLASSES` knows.
        source: The ``label_02`` file.
        video: The video.
        num_frames: Its number of frames; None takes the last labelled one.
        cut: Leave out labels of later frames, for a shortened copy of the video.

    Raises:
        InputError: The file is missing or malformed, or has frames that the video has not.
    """
    classes = {kind: name for kind, name in CLASSES.items() if name in labels.classes}
    truth = read_kitti_labels(source, classes=classes)
    count = int(truth.frame.max(initial=-1)) + 1 if num_frames is None else num_frames
    if cut:
        truth = truth.select(truth.frame < count)
    elif len(truth) and truth.frame[-1] >= count:
        problem = f"the labels go on to frame {truth.frame[-1]}, video {video} ends with frame {count - 1}"
        hint = "Restore the images at the end; for a shortened copy of the videos give --cut"
        raise InputError(problem, file=source, expected="labels of this video", hint=hint)
    number = [labels.classes.index(name) for name in truth.categories]
    truth = TrackSet.build(truth.frame, truth.identity, truth.box, [number[c] for c in truth.category])
    height, width = dataset.place(video).size
    rows: list[list[str]] = [[] for _ in range(count)]
    for frame, identity, (x1, y1, x2, y2), kind in zip(
        truth.frame.tolist(), truth.identity.tolist(), truth.box.tolist(), truth.category.tolist(), strict=True
    ):
        x, y = (x1, y1) if labels.origin == "top_left" else ((x1 + x2) / 2, (y1 + y2) / 2)
        box = f"{x / width:.9f} {y / height:.9f} {(x2 - x1) / width:.9f} {(y2 - y1) / height:.9f}"
        rows[frame].append(f"{kind} {identity} {box}\n")
    work = [(labels.pattern.path(Path(), video, k), _text_writer("".join(lines))) for k, lines in enumerate(rows)]
    shop.step("labels", video, digest(state_of([source]), dataset.settings(video), str(count)), work)


def resized_images(shop: Workshop, video: Video, key: str, height: int, suffix: str) -> None:
    """Make copies of a video's images ``height`` pixels high, as ``images_<height>/<key>/<name>.<suffix>``.

    Beside them, ``images_<height>/sizes/<key>.ini`` holds the size of the original frames, for datasets that take it from
    the images.

    Args:
        shop: Where they go.
        video: The video; its aspect ratio gives the width.
        key: What stands for ``{video}`` in the dataset's paths.
        height: Height of the copies in pixels.
        suffix: ``"png"`` (larger, exact) or ``"jpg"``.

    Raises:
        InputError: An image is missing or does not decode, or is smaller than the copy would be.
    """
    if not video.frames.paths:
        return
    size = (height, round(height * video.size[1] / video.size[0]))

    def copy(source: str) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            image = read_image(source)
            if image.shape[0] < height:
                problem = f"the image is {image.shape[0]} pixels high, its copy would be {height}"
                raise InputError(problem, file=source, expected="images larger than their copies")
            options = {"format": "PNG"} if suffix == "png" else {"format": "JPEG", "quality": 95}
            Image.fromarray(resize(image, size)).save(path, **options)

        return write

    paths = [path for path in video.frames.paths if Path(path).is_file()]
    step = f"images_{height}"
    ini = f"[Sequence]\nseqLength={video.num_frames}\nimWidth={video.size[1]}\nimHeight={video.size[0]}\n"
    work = [(Path(step) / "sizes" / f"{key}.ini", _text_writer(ini))]
    work += [(Path(step) / key / f"{Path(path).stem}.{suffix}", copy(path)) for path in paths]
    wanted = {path.name for path, _ in work}
    for old in (shop.out / step / key).glob("*.*"):  # of images that are gone, or in the other format
        if old.name not in wanted and not old.name.startswith("."):
            if video.name not in shop.videos(step):
                raise _not_ours(old)
            old.unlink()
    shop.step(step, video.name, digest(state_of([Path(p) for p in paths]), str(size), str(suffix)), work)


def trackeval_truth(shop: Workshop, video: Video, state: str) -> None:
    """Make ``trackeval/<video>/<slug>/gt.txt`` of every expression of a video: MOT rows, frames from 1."""
    rows = format_mot(video.truth, tail="1,1,1")
    column = video.labels.tocsc()
    column.sort_indices()
    folder = Path("trackeval") / video.name
    work = []
    for c, expression in enumerate(video.expressions):
        mine = column.indices[column.indptr[c] : column.indptr[c + 1]].tolist()
        work.append((folder / expression.slug / "gt.txt", _text_writer("".join(rows[row] for row in mine))))
    shop.step("trackeval", video.name, state, work)


def index(shop: Workshop, name: str, reader: Reader, videos: list[Video], states: dict[str, str]) -> None:
    """Make ``index.json``, what the dataset holds, and ``seqmaps/<split>.txt``, the field's ``<video>+<slug>`` lists."""
    by_name = {video.name: video for video in videos}
    content = {
        "dataset": name,
        "splits": {split: [n for n in names if n in by_name] for split, names in reader.splits.items()},
        "videos": {video.name: _describe(video) for video in videos},
    }
    work: list[tuple[Path, Callable[[Path], None]]] = [(Path("index.json"), _text_writer(json.dumps(content, indent=1) + "\n"))]
    for split, names in reader.splits.items():
        lines = [f"{n}+{e.slug}\n" for n in names if n in by_name for e in by_name[n].expressions]
        work.append((Path("seqmaps") / f"{split}.txt", _text_writer("".join(lines))))
    shop.step("index", "", digest(name, repr(sorted(states.items())), repr(sorted(reader.splits.items()))), work)


def _describe(video: Video) -> dict[str, object]:
    boxes = np.asarray(video.labels.sum(axis=0)).reshape(-1).tolist()
    return {
        "size": list(video.size),
        "frames": video.num_frames,
        "boxes": len(video.truth),
        "tracks": len(np.unique(video.truth.identity)),
        "expressions": [
            {"slug": e.slug, "sentence": e.sentence, "boxes": int(count), **({"tags": list(e.tags)} if e.tags else {})}
            for e, count in zip(video.expressions, boxes, strict=True)
        ],
    }


def _text_writer(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8", newline="\n")

    return write

