"""What is done to tracks of a whole video after association: first boxes, classes, gaps, short tracks."""

from __future__ import annotations

import numpy as np

from flexhook.structures import TrackSet
from flexhook.structures.boxes import iou


def recover_boxes(tracks: TrackSet, left: TrackSet, frames: int, min_iou: float = 0.3) -> TrackSet:
    """Give tracks the boxes that the associator held back before it was sure of them.

    From the first observation of a track, and from the first after a gap, it is gone back frame by frame to the box that
    overlaps most, as long as there is one that no track has.

    Args:
        tracks: The tracks.
        left: Boxes that belong to no track; identities are not looked at.
        frames: Frames that are gone back at most, 0 for none.
        min_iou: Overlap with the box of the next frame that a box needs. A larger value gives back fewer.
    """
    if frames <= 0 or not len(left) or not len(tracks):
        return tracks
    free = np.ones(len(left), bool)
    taken: list[tuple[int, int]] = []  # row of left, identity
    starts = []
    for identity, rows in tracks.tracks().items():
        at = tracks.frame[rows]
        for k in np.flatnonzero(np.diff(at, prepend=-9) > 1).tolist():
            starts.append((int(at[k]), identity, int(rows[k]), int(at[k - 1]) if k else -1))
    for start, identity, row, before in sorted(starts):
        box, category = tracks.box[row], tracks.category[row]
        for frame in range(start - 1, max(before, start - 1 - frames, -1), -1):
            first, last = np.searchsorted(left.frame, [frame, frame + 1])
            near = np.arange(first, last)
            near = near[free[near] & (left.category[near] == category)]
            overlap = iou(box[None], left.box[near])[0]
            if not len(near) or overlap.max() < min_iou:
                break
            best = int(near[overlap.argmax()])
            free[best] = False
            taken.append((best, identity))
            box = left.box[best]
    given = np.array([row for row, _ in taken], np.int64)
    return _joined(tracks, left.frame[given], [identity for _, identity in taken], left.box[given], left.category[given],
                   left.confidence[given])


def one_category(tracks: TrackSet) -> TrackSet:
    """Every track with one class: the one with the largest sum of scores among its observations."""
    category = tracks.category.copy()
    for rows in tracks.tracks().values():
        known = category[rows] >= 0
        if known.any():
            votes = np.bincount(category[rows][known], tracks.confidence[rows][known] + 1e-6)
            category[rows] = votes.argmax()
    return TrackSet(tracks.frame, tracks.identity, tracks.box, category, tracks.confidence, tracks.categories)


def fill_gaps(tracks: TrackSet, frames: int) -> TrackSet:
    """Interpolate boxes and scores linearly where a track misses at most ``frames`` frames; 0 fills none."""
    columns: list[tuple[np.ndarray, ...]] = []
    for identity, rows in tracks.tracks().items() if frames > 0 else ():
        at = tracks.frame[rows]
        missing = np.setdiff1d(np.arange(at[0], at[-1] + 1), at)
        after = np.searchsorted(at, missing)
        missing = missing[(at[after] - at[after - 1] - 1) <= frames]
        if len(missing):
            after = np.searchsorted(at, missing)
            box = np.stack([np.interp(missing, at, tracks.box[rows, k]) for k in range(4)], 1)
            score = np.interp(missing, at, tracks.confidence[rows])
            columns.append((missing, np.full(len(missing), identity), box, tracks.category[rows[after - 1]], score))
    if not columns:
        return tracks
    added = [np.concatenate(column) for column in zip(*columns, strict=True)]
    return _joined(tracks, *added)


def drop_short(tracks: TrackSet, min_length: int) -> TrackSet:
    """The tracks of at least ``min_length`` observations."""
    if min_length <= 1 or not len(tracks):
        return tracks
    identities, counts = np.unique(tracks.identity, return_counts=True)
    return tracks.select(np.isin(tracks.identity, identities[counts >= min_length]))


def _joined(tracks: TrackSet, frame, identity, box, category, confidence) -> TrackSet:
    """The tracks with further rows."""
    return TrackSet.build(
        np.concatenate([tracks.frame, frame]),
        np.concatenate([tracks.identity, np.asarray(identity, np.int64)]),
        np.concatenate([tracks.box, box]),
        np.concatenate([tracks.category, category]),
        np.concatenate([tracks.confidence, confidence]),
        tracks.categories,
    )
