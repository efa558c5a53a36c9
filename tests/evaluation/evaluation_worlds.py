"""Small worlds that the tests of the evaluation share."""

import numpy as np

from flexhook.evaluation.overlaps import Boxes
from flexhook.media.images import ImageFiles
from flexhook.structures import Expression, TrackSet, Video, make_labels
from flexhook.structures.result_files import PairResults


def boxes(*rows):
    """Boxes from rows (frame, identity, x1, y1, x2, y2)."""
    table = np.array(rows, float).reshape(-1, 6)
    return Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:])


def track(identity, frames, x=0.0, width=10.0):
    """Rows of a standing object, 10 pixels high."""
    return [(frame, identity, x, 0, x + width, 10) for frame in frames]


def random_boxes(rng, frames, identities, grid, noise):
    """Objects on a coarse grid: exact ties and duplicates abound where ``noise`` is 0."""
    rows = []
    for identity in range(identities):
        corner = rng.integers(0, grid, 2)
        for frame in range(frames):
            if rng.random() < 0.3:
                continue
            if rng.random() < 0.3:
                corner = rng.integers(0, grid, 2)
            size = np.array([3, 3]) if rng.random() < 0.5 else rng.integers(1, 7, 2)
            box = np.concatenate([corner, corner + size]) + noise * rng.normal(size=4)
            rows.append((frame, 7 * identity + 3, *box))
    return boxes(*rows)


def video(truth, expressions, name="0005"):
    """A video from truth rows (frame, identity, x1, y1, x2, y2) and {sentence or Expression: rows of its referents}."""
    tracks = track_set(truth)
    named = [e if isinstance(e, Expression) else Expression(e, e.replace(" ", "-")) for e in expressions]
    pairs = [(row, column) for column, rows in enumerate(expressions.values()) for row in rows]
    row, column = zip(*pairs, strict=True) if pairs else ((), ())
    labels = make_labels(row, column, (len(tracks), len(named)))
    return Video(name, (100, 100), ImageFiles(["x.png"] * 20), tracks, tuple(named), labels)


def track_set(rows):
    table = np.array(rows, float).reshape(-1, 6)
    return TrackSet.build(table[:, 0], table[:, 1], table[:, 2:])


def scores(of, tracks, accepted):
    """Scores of a video's expressions: logits -1 and 1 by ``accepted`` (n, E)."""
    sign = np.where(np.asarray(accepted, bool), 1, -1).astype(np.float32)
    return PairResults(of.name, tracks, of.expressions, np.stack([-sign, sign], axis=-1))
