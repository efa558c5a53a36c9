"""Videos in memory: frames made of numbers, tracks with gaps, sentences; the frames count how often they are read."""

from collections import Counter

import numpy as np

from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels

SIZE = (64, 192)  # height, width of the original frame


class NumberedFrames(Frames):
    """Frames of a smooth pattern of their own, half the original size (which is legal)."""

    def __init__(self, count, size=(32, 96)):
        self.count, self.size, self.reads = count, size, Counter()

    def __len__(self):
        return self.count

    def name(self, index):
        return f"frame {index}"

    def read(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        self.reads[index] += 1
        y, x = np.mgrid[: self.size[0], : self.size[1]]
        waves = [np.sin(0.13 * (k + 1) * x + 0.21 * y * (1 + index % 3) + 0.7 * index + k) for k in range(3)]
        return ((np.stack(waves, -1) + 1) * 127).astype(np.uint8)


def make_tracks(spans, seed=0):
    """Tracks from ``{identity: frames}``; boxes wander at random and some hang over the border."""
    rng = np.random.default_rng(seed)
    frame, identity, box = [], [], []
    for k, frames in spans.items():
        centre = rng.uniform([0, 0], SIZE[::-1])
        size = rng.uniform(10, 60, 2)
        for f in frames:
            centre = centre + rng.normal(0, 3, 2)
            frame.append(f)
            identity.append(k)
            box.append([*(centre - size / 2), *(centre + size / 2)])
    return TrackSet.build(frame, identity, np.array(box).reshape(-1, 4))


def make_video(spans, sentences=(), referents=(), name="0001", count=None, seed=0):
    """A video whose truth are these tracks.

    ``referents``: per sentence what it refers to, a function (frame, identity) -> bool.
    """
    truth = make_tracks(spans, seed)
    pairs = [(row, e) for e, refers in enumerate(referents) for row in range(len(truth))
             if refers(int(truth.frame[row]), int(truth.identity[row]))]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    if count is None:
        count = int(truth.frame.max(initial=-1)) + 1
    return Video(
        name, SIZE, NumberedFrames(count), truth,
        tuple(Expression(s, s.replace(" ", "-")) for s in sentences),
        make_labels(rows, columns, (len(truth), len(sentences))),
    )  # fmt: skip
