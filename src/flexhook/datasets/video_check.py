"""Looks at a video's labels and length, and at boxes outside its frame."""

from __future__ import annotations

import numpy as np

from flexhook.datasets.box_units import unit_findings
from flexhook.datasets.check_findings import Findings
from flexhook.datasets.dataset import Dataset
from flexhook.errors import InputError
from flexhook.structures import TrackSet, Video


def check_length(dataset: Dataset, video: Video, findings: Findings) -> None:
    """Compare the number of images with the length that the video's description gives."""
    try:
        length = dataset.length(video.name)
    except InputError as unknown:  # reading does without
        findings("length-differs", unknown)
        return
    if dataset.images is not None and length is not None and length != video.num_frames:
        place = dataset.place(video.name)
        folder = dataset.images.folder(dataset.root, place.key)
        file, line = dataset.sizes.place_of_length(dataset.root, place.key)
        problem = f"video {video.name} has {length} frames by its description, and {video.num_frames} by the images in {folder}"
        hint = "Restore the images at the end, or correct the length" if video.num_frames < length else \
            "Correct the length, or remove the images that are not of the video"
        error = InputError(problem, file=file or folder, line=line, expected="as many images", hint=hint)
        findings("length-differs", error)


def check_truth(video: Video, findings: Findings) -> None:
    """Look at a video's true boxes: their unit, frames without any, identities of several classes."""
    truth = video.truth
    if not len(truth):
        findings("no-labels", InputError(f"video {video.name} has no true box", expected="labels in it"))
        return
    check_boxes(truth, video, f"labels of video {video.name}", findings)
    for found in unit_findings(truth, video.size, option=None):
        findings("box-units", InputError(found.problem, file=f"labels of video {video.name}", hint=found.hint))
    without = video.num_frames - len(np.unique(truth.frame))
    if without:
        problem = f"{without} frames of video {video.name} have no label"
        findings("frame-without-label", InputError(problem), without)
    if truth.categories:
        pairs = np.unique(np.stack([truth.identity, truth.category], axis=1), axis=0)
        ids, counts = np.unique(pairs[:, 0], return_counts=True)
        for identity in ids[counts > 1].tolist():
            names = [truth.categories[c] if c >= 0 else "unknown" for c in pairs[pairs[:, 0] == identity, 1]]
            problem = f"identity {identity} of video {video.name} is {' and '.join(names)}"
            findings("class-changes", InputError(problem, expected="one class per identity"))


def check_boxes(tracks: TrackSet, video: Video, where: str, findings: Findings) -> None:
    """Look for boxes that lie wholly outside the frame; ``where`` is what they are from, for the message."""
    height, width = video.size
    x1, y1, x2, y2 = tracks.box.T if len(tracks) else np.zeros((4, 0))
    outside = np.flatnonzero((x2 <= 0) | (y2 <= 0) | (x1 >= width) | (y1 >= height))
    if len(outside):
        row = outside[0]
        box = ", ".join(f"{v:.1f}" for v in tracks.box[row])
        problem = (
            f"the box ({box}) of identity {tracks.identity[row]} in frame {tracks.frame[row]} (from 0) lies wholly"
            f" outside the frame of {width}x{height}"
        )
        hint = "Check that the boxes refer to the original frames"
        findings("box-outside", InputError(problem, file=where, hint=hint), len(outside))
