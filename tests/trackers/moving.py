"""Boxes that move evenly, as detections per frame, and videos of coloured squares."""

import numpy as np

from flexhook.structures import Frames, TrackSet, Video, make_labels
from flexhook.trackers.detections import make_detections

SIZE = (96, 160)  # height, width of the original frame


def walk(start, step, frames, size=(20, 16)):
    """(frames, 4) boxes from a corner in steps."""
    corner = np.array(start, float) + np.arange(frames)[:, None] * np.array(step, float)
    return np.concatenate([corner, corner + size], 1)


def detections(*objects, missing=(), score=0.9, classes=None):
    """Detections per frame of objects (frames, 4); ``missing`` names (object, frame) pairs, ``classes`` is of both."""
    out = []
    for frame in range(len(objects[0])):
        seen = [k for k in range(len(objects)) if (k, frame) not in missing]
        kinds = [0 if classes is None else classes(k, frame) for k in seen]
        out.append(make_detections([objects[k][frame] for k in seen], [score] * len(seen), kinds))
    return out


class Squares(Frames):
    """Frames with squares on grey, at a share of the original size; they count how often they are read."""

    def __init__(self, *objects, scale=1.0, frame_rate=None, size=SIZE):
        self.objects, self.scale, self.frame_rate, self.reads, self.size = objects, scale, frame_rate, [], size

    def __len__(self):
        return len(self.objects[0])

    def name(self, index):
        return f"squares {len(self)} {[o.sum() for o in self.objects]} {index}"

    def digest(self):
        return self.name(0)

    def read(self, index):
        self.reads.append(index)
        height, width = (round(v * self.scale) for v in self.size)
        picture = np.full((height, width, 3), 90, np.uint8)
        for boxes in self.objects:
            x1, y1, x2, y2 = (boxes[index] * self.scale).round().astype(int)
            picture[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = (230, 40, 40)
        return picture


def video(frames, name="clip", truth=None, size=SIZE):
    """A video of these frames without expressions."""
    truth = TrackSet.empty() if truth is None else truth
    return Video(name, size, frames, truth, (), make_labels([], [], (len(truth), 0)))


def find_squares(picture):
    """The red squares of a picture as detections."""
    from scipy import ndimage

    parts = ndimage.find_objects(ndimage.label(picture[..., 0] > 150)[0])
    return make_detections([[p[1].start, p[0].start, p[1].stop, p[0].stop] for p in parts])
