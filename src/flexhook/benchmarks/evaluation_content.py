"""A folder of results the size of Refer-KITTI-V2's test set, for timing: 861 sequences over 4 videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from flexhook.datasets.attributes import attributes
from flexhook.evaluation.oracle import oracle_labels
from flexhook.evaluation.overlaps import Boxes, Overlaps
from flexhook.evaluation.trackeval_writer import write_trackeval_folder
from flexhook.structures import TrackSet

VIDEOS = {"0005": ("0005", 197), "0011": ("0011", 228), "0013": ("0018", 207), "0019": ("0020", 230)}
"""Test video: the KITTI video whose boxes stand for it (two are not among the labels), and number of expressions."""

FRAMES = {"0005": 297, "0011": 373, "0018": 339, "0020": 837}


@dataclass(frozen=True, eq=False)
class Content:
    """Boxes of one video and the names of its expressions."""

    video: str
    truth: TrackSet
    tracks: TrackSet
    slugs: tuple[str, ...]

    def limited(self, count: int | None) -> Content:
        """The same with at most ``count`` expressions."""
        return replace(self, slugs=self.slugs[:count])


def contents(data: Path | None) -> Iterator[Content]:
    """The four videos: real KITTI labels and tracks below ``data`` or, for None, as many moving boxes."""
    names = None if data is None else (data / "seqmaps" / "kitti-2.txt").read_text().split()
    for video, (source, count) in VIDEOS.items():
        if data is None or names is None:
            truth = _moving_boxes(source)
            yield Content(video, truth, _tracked(truth), tuple(f"expression-{k}" for k in range(count)))
        else:
            slugs = tuple(name.partition("+")[2] for name in names if name.startswith(f"{video}+"))
            tracks = data / "kitti" / "tracks" / "pointrcnn_bytetrack" / source
            yield Content(video, _kitti_labels(data / "kitti" / "label_02" / f"{source}.txt"), _mot(tracks), slugs)


def write_content(folder: Path, content: Content, *, seed: int = 0) -> int:
    """Write the sequences of one video, with answers of a middling model; returns the number of rows.

    Each expression refers to a random share (5 to 70 %) of the objects of its class, half of the expressions only
    for a part of each object's time. Answers are the tracks on the referents, less a fifth, plus a tenth of the
    others.
    """
    truth, tracks = content.truth, content.tracks
    overlaps = Overlaps(Boxes.of(truth), Boxes.of(tracks))
    truth_rows, track_rows = [], []
    for k, slug in enumerate(content.slugs):
        rng = np.random.default_rng([seed, k])
        of_class = _of_class(truth, attributes(slug.replace("-", " ")).get("class", ""))
        chosen = rng.random(overlaps.truth_code.max() + 1) < rng.uniform(0.05, 0.7)
        refers = chosen[overlaps.truth_code] & of_class
        if k % 2:
            start, stop = np.sort(rng.integers(0, truth.frame.max() + 1, (2, len(chosen))), axis=0)
            refers &= (truth.frame >= start[overlaps.truth_code]) & (truth.frame < stop[overlaps.truth_code])
        hit = oracle_labels(overlaps, csr_array(refers[:, None]))[:, 0]
        accepted = np.where(hit, rng.random(len(tracks)) < 0.8, rng.random(len(tracks)) < 0.1)
        truth_rows.append(np.flatnonzero(refers))
        track_rows.append(np.flatnonzero(accepted))
    write_trackeval_folder(folder, content.video, truth, tracks, content.slugs, truth_rows, track_rows)
    return sum(map(len, truth_rows)) + sum(map(len, track_rows))


def _of_class(truth: TrackSet, wanted: str) -> np.ndarray:
    people = [truth.categories.index(c) for c in ("Pedestrian", "Cyclist") if c in truth.categories]
    person = np.isin(truth.category, people)
    if "person" in wanted or "pedestrian" in wanted:
        return person if person.any() else ~person
    return ~person


def _kitti_labels(path: Path) -> TrackSet:
    rows = [line.split() for line in path.read_text().splitlines()]
    rows = [row for row in rows if row[2] not in ("DontCare", "Misc")]
    classes = sorted({row[2] for row in rows})
    return TrackSet.build(
        [int(row[0]) for row in rows],
        [int(row[1]) for row in rows],
        [list(map(float, row[6:10])) for row in rows],
        category=[classes.index(row[2]) for row in rows],
        categories=classes,
    )


def _mot(folder: Path) -> TrackSet:
    tables, shift = [], 0
    for name in ("car", "pedestrian"):
        table = np.loadtxt(folder / name / "predict.txt", delimiter=",", ndmin=2)
        table[:, 1] += shift
        shift = int(table[:, 1].max(initial=shift))
        tables.append(table)
    table = np.concatenate(tables)
    return TrackSet.build(table[:, 0] - 1, table[:, 1], np.hstack([table[:, 2:4], table[:, 2:4] + table[:, 4:6]]))


def _moving_boxes(source: str) -> TrackSet:
    """About ten boxes at a time that cross a KITTI frame."""
    rng = np.random.default_rng(int(source))
    frames = FRAMES[source]
    rows = []
    for identity in range(frames // 6):
        start, length = int(rng.integers(-40, frames)), int(rng.integers(20, 100))
        centre, speed, size = rng.uniform([0, 150], [1242, 300]), rng.normal(0, 4, 2), rng.uniform(20, 150)
        for t in range(max(0, start), min(frames, start + length)):
            x, y = centre + speed * (t - start)
            rows.append((t, identity, x - size, y - size / 2, x + size, y + size / 2))
    table = np.array(rows)
    return TrackSet.build(table[:, 0], table[:, 1], table[:, 2:])


def _tracked(truth: TrackSet) -> TrackSet:
    """The same with missed, jittered and split trajectories."""
    rng = np.random.default_rng(len(truth))
    kept = truth.select(rng.random(len(truth)) < 0.85)
    size = (kept.box[:, 2:] - kept.box[:, :2]).repeat(2, axis=1)
    split = rng.integers(0, kept.frame.max(), kept.identity.max() + 1)
    box = kept.box + 0.05 * size * rng.normal(size=kept.box.shape)
    return TrackSet.build(kept.frame, 2 * kept.identity + (kept.frame > split[kept.identity]), box)
