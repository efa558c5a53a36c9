"""Labels and images of a video that do not agree: labels beyond or before the images, or of the first few images only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flexhook.datasets.naming import Images
from flexhook.datasets.parts import Truth, VideoPlace
from flexhook.datasets.problems import Report
from flexhook.errors import InputError
from flexhook.structures import TrackSet
from flexhook.structures.video import MOST_FRAMES

#: Labels that end before this share of the images are suspected to be of another frame rate; of how many images at least.
SHARE, LEAST = 0.2, 20
_FIRST = "data.reader.images.first_frame and data.reader.truth.first_frame"


def possible(video: VideoPlace, source: Truth, truth: TrackSet, report: Report) -> TrackSet:
    """The true boxes without frames that no video has."""
    absurd = truth.frame >= MOST_FRAMES
    if absurd.any():
        frame = int(truth.frame[absurd][0])
        file, line = source.place_of(video, frame)
        report("bad-frame", InputError(
            f"the labels of video {video.name} name frame {frame} (from 0)", file=file, line=line,
            expected=f"at most {MOST_FRAMES:,} frames in a video", hint="Mend or restore the file"))
    return truth.select(~absurd)


def within(video: VideoPlace, source: Truth, truth: TrackSet, count: int, report: Report) -> TrackSet:
    """The true boxes of the ``count`` frames of a video; what lies beyond them is reported."""
    beyond = truth.frame >= count
    if beyond.any():
        frame = int(truth.frame[beyond][0])
        file, line = source.place_of(video, frame)
        where = "" if video.images is None else f" in {video.images.folder(video.root, video.key)}"
        report("frame-outside-video", InputError(
            f"the labels of video {video.name} go on to frame {int(truth.frame.max())}, its frames{where} end with {count - 1} "
            f"(from 0); this is the first of {beyond.sum()} labels beyond",
            file=file, line=line, expected="an image for every label",
            hint=f"Remove labels that go on too long, or correct {_FIRST}; images that are lost must be restored"))
    return truth.select(~beyond)


def compare(video: VideoPlace, source: Truth, truth: TrackSet, images: Mapping[int, str], report: Report) -> None:
    """Report labels of frames before the first image, and images of which only the first have labels.

    Args:
        video: The video.
        source: Where its labels are from.
        truth: Its true boxes, within its frames.
        images: Its images by 0-based frame.
        report: Receives what is wrong.
    """
    if not images or not len(truth) or video.images is None:
        return
    labelled, first = np.unique(truth.frame), min(images)
    before = labelled[labelled < first].tolist()
    if before:
        file, line = source.place_of(video, before[0])
        begin = f"the images of {video.images.folder(video.root, video.key)} begin with {Path(images[first]).name}"
        report("frame-outside-video", InputError(
            f"{begin}, frame {first} (from 0), and the labels name {len(before)} frames before, the first of them {before[0]}",
            file=file, line=line, expected="an image for every label",
            hint=f"For the second part of a video leave out the labels of the first, and set {_FIRST} to where it begins; "
                 "images that are lost must be restored"))
    _compare_lengths(video, source, video.images, int(labelled[-1]) + 1, len(images), report)


def _compare_lengths(
    video: VideoPlace, source: Truth, images: Images, labelled: int, count: int, report: Report
) -> None:
    """Report labels at another frame rate than the images, such as one label a second laid on the first of 30 images."""
    if count < LEAST or labelled > SHARE * count:
        return
    step = max(2, round((count - 1) / max(labelled - 1, 1)))
    ranked = getattr(images, "numbering", "number") == "rank"
    file, line = source.place_of(video, labelled - 1)
    report("too-many-images" if ranked else "labels-end-early", InputError(
        f"video {video.name} has {count} images in {images.folder(video.root, video.key)}, and its labels end with frame "
        f"{labelled} of them" + (", as if the images of frames without labels were among them" if ranked else ""),
        file=file, line=line, expected="labels for as many frames as there are images",
        hint=f"Where only every n-th frame is labelled, leave only the images of labelled frames in the folder, or set "
             f"data.reader.images.step=n to take every n-th image (here about {step})"))
