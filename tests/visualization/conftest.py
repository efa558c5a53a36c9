import json

import numpy as np
import pytest
from PIL import Image

from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels
from flexhook.structures.result_files import PairResults


class FlatFrames(Frames):
    """Frames of one dark colour in memory."""

    def __init__(self, count, size, colour=(40, 60, 50)):
        self.count, self.size, self.colour = count, size, colour

    def __len__(self):
        return self.count

    def name(self, index):
        return f"frame {index} in memory"

    def read(self, index):
        return np.full((*self.size, 3), self.colour, np.uint8)


def a_video(size=(300, 960), frames=4, name="0005"):
    """Frame by frame the same three objects: 1 and 2 are referred to by "red cars", 3 by "people", none by "trams"."""
    truth = TrackSet.build(
        np.repeat(np.arange(frames), 3), [1, 2, 3] * frames,
        [(100, 100, 200, 180), (400, 100, 500, 180), (700, 100, 800, 180)] * frames,
    )
    rows = [k for k in range(len(truth)) if truth.identity[k] in (1, 2)]
    people = [k for k in range(len(truth)) if truth.identity[k] == 3]
    expressions = tuple(Expression(s, s.replace(" ", "-")) for s in ("red cars", "people", "trams"))
    labels = make_labels(rows + people, [0] * len(rows) + [1] * len(people), (len(truth), 3))
    return Video(name, size, FlatFrames(frames, size), truth, expressions, labels)


def some_scores(video):
    """The tracker has every object a bit to the right and one more; "red cars" accepts objects 1 and 3, rejects 2."""
    extra = [(250, 200, 300, 280)] * video.num_frames
    tracks = TrackSet.build(
        np.concatenate([video.truth.frame, np.arange(video.num_frames)]),
        np.concatenate([video.truth.identity + 10, np.full(video.num_frames, 20)]),
        np.concatenate([video.truth.box + np.array([4.0, 0, 4, 0]), np.array(extra, float)]),
    )
    logits = np.zeros((len(tracks), 3, 2), np.float32)
    logits[..., 0] = 2
    for identity, yes in ((11, 3.0), (13, 4.0)):
        logits[tracks.identity == identity, 0] = (0, yes)
    logits[tracks.identity == 13, 1] = (0, 3)
    return PairResults(video.name, tracks, video.expressions, logits)


@pytest.fixture
def make_video():
    return a_video


@pytest.fixture
def make_scores():
    return some_scores


@pytest.fixture
def video():
    return a_video()


@pytest.fixture
def scores(video):
    return some_scores(video)


@pytest.fixture
def dataset(tmp_path):
    """Two small videos in the raw Refer-KITTI layout."""
    root = tmp_path / "dataset"
    for name in ("0005", "0011"):
        images, labels, expressions = (
            root / folder / name
            for folder in ("KITTI/training/image_02", "KITTI/labels_with_ids/image_02", "expression")
        )
        for folder in (images, labels, expressions):
            folder.mkdir(parents=True)
        for frame in range(5):
            picture = np.full((60, 192, 3), 60, np.uint8)
            picture[20:36, 20 + frame : 40 + frame] = (200, 30, 30)
            picture[20:36, 120:140] = (30, 30, 200)
            Image.fromarray(picture).save(images / f"{frame:06d}.png")
            (labels / f"{frame:06d}.txt").write_text(
                f"1 1 {(20 + frame) / 192} {20 / 60} {20 / 192} {16 / 60}\n"
                f"1 2 {120 / 192} {20 / 60} {20 / 192} {16 / 60}\n"
            )
        for sentence, ids in (("red cars", [1]), ("blue cars", [2]), ("cars", [1, 2]), ("vehicles", [1, 2])):
            content = {"label": {str(k): ids for k in range(5)}, "ignore": [], "video_name": name, "sentence": sentence}
            (expressions / f"{sentence.replace(' ', '-')}.json").write_text(json.dumps(content))
    return root
