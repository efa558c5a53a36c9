"""Writes sequences in TrackEval's folder layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexhook.datasets.mot import format_mot
from flexhook.errors import InputError
from flexhook.evaluation.trackeval_folder import FILES
from flexhook.structures import TrackSet
from flexhook.structures.files import atomic_folder


def write_trackeval_folder(
    folder: str | Path,
    video: str,
    truth: TrackSet,
    tracks: TrackSet,
    slugs: tuple[str, ...],
    truth_rows: list[np.ndarray],
    track_rows: list[np.ndarray],
) -> Path:
    """Write the sequences of one video as ``<folder>/<video>/<slug>/{gt,predict}.txt``.

    Coordinates keep nine decimals, so that scores from the files equal those from memory. A folder of the video
    that holds nothing but such sequences is replaced.

    Args:
        folder: The results folder; made where it is missing.
        video: Name of the video.
        truth: Its true trajectories.
        tracks: Its predicted ones.
        slugs: Name of each sequence.
        truth_rows: For every sequence the rows of the true boxes that its expression refers to.
        track_rows: For every sequence the rows of the boxes accepted for it.

    Returns:
        The folder of the video.

    Raises:
        InputError: Something else lies where the video's folder should be, or the folder cannot be written to.
    """
    place = Path(folder) / video
    if place.exists() and not _holds_only_sequences(place):
        raise InputError(
            "the folder holds other things than sequences",
            file=place,
            hint="Choose another output folder",
            expected="no such folder, or one written by an earlier evaluation",
        )
    lines = [np.array(format_mot(part, decimals=None, tail="1,1,1"), object) for part in (truth, tracks)]
    with atomic_folder(place, replace=True, sync=False) as temporary:
        for slug, *rows in zip(slugs, truth_rows, track_rows, strict=True):
            (temporary / slug).mkdir()
            for name, text, chosen in zip(FILES, lines, rows, strict=True):
                (temporary / slug / name).write_text("".join(text[chosen]))
    return place


def _holds_only_sequences(place: Path) -> bool:
    return place.is_dir() and all(
        slug.is_dir() and all(file.name in FILES for file in slug.iterdir()) for slug in place.iterdir()
    )
