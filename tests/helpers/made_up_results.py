"""Videos without pictures and methods that make up their results at once, for what happens to results on disk."""

import numpy as np

from flexhook.inference.prediction import score_videos
from flexhook.media.images import ImageFiles
from flexhook.structures import Expression, TrackSet, Video, make_labels
from flexhook.structures.method import Method, PredictionReport

CATEGORIES = ("car", "pedestrian")


class Killed(BaseException):
    """The process is gone."""


class MadeUpReader:
    """Videos of so many expressions each."""

    def __init__(self, **expressions):
        self.named = {v: tuple(Expression(f"sentence {k}", f"sentence-{k}") for k in range(n)) for v, n in expressions.items()}

    def read(self, name, report=None):
        labels = make_labels([], [], (0, len(self.named[name])))
        frames = ImageFiles([f"{name}/{k}.png" for k in range(5)])
        return Video(name, (64, 64), frames, TrackSet.empty(), self.named[name], labels)

    def read_expressions(self, name):
        return self.named[name]


class RowMethod(Method):
    """2 to 4 observations per expression, which lie where the expression and the model's number say.

    Args:
        number: Tells models apart.
        kill_after: Expressions after which the process is killed.
        empty: Expressions for which nothing is found.
        categories: By expression, where they are not ``CATEGORIES``.
        tracker: A tracker, whose boxes are then taken for every expression.
    """

    module = None

    def __init__(self, number=1, kill_after=None, empty=(), categories=None, tracker=None):
        self.number, self.kill_after, self.empty, self.categories = number, kill_after, empty, categories or {}
        self.tracker, self.needs_tracks = tracker, tracker is not None
        self.predicted = 0

    @classmethod
    def from_config(cls, cfg, pretrained=None):
        return cls()

    def train_items(self, videos, seed): ...

    def val_items(self, videos): ...

    def collator(self, split, videos): ...

    def key(self):
        return f"model {self.number}"

    def work(self):
        if self.predicted == self.kill_after:
            raise Killed
        self.predicted += 1

    def predict(self, video, expressions, writer):
        for expression in writer.missing():
            self.work()
            k = video.expressions.index(expression)
            categories = self.categories.get(k, CATEGORIES)
            if k in self.empty:
                tracks = TrackSet.empty()
            elif self.tracker is not None:
                tracks = self.tracker.track(video)
            else:
                n = 2 + k % 3
                boxes = np.tile([k, self.number, 50.0, 60.0], (n, 1))
                tracks = TrackSet.build(np.arange(n), np.full(n, k), boxes, np.zeros(n), categories=categories)
            score = np.full(len(tracks), self.number / 10)
            writer.write(expression, tracks, score, score > 0.3)
        return PredictionReport(5)


class PairMethod(RowMethod):
    """Six observations, whose logits the expression and the model's number say."""

    def predict(self, video, expressions, writer):
        tracks = TrackSet.build(np.arange(6), np.zeros(6), np.tile([1, 2, 3.0, 4], (6, 1)), categories=CATEGORIES)
        if self.tracker is not None:
            tracks = self.tracker.track(video)
        with writer.pairs(tracks) as pairs:
            for start, stop in pairs.missing():
                self.work()
                logits = np.zeros((stop - start, len(expressions), 2))
                logits[..., 1] = [video.expressions.index(e) + self.number for e in expressions]
                pairs.write(start, logits)
            pairs.finish()
        return PredictionReport(5)


def score_with(ranks, make, reader, folder, kill_before_merge=False):
    """Score all videos with so many processes, one after the other, rank 0 last: their methods, whose work can be counted."""

    def killed():
        raise Killed

    methods = []
    for rank in [*range(1, ranks), 0]:
        methods.append(make())
        barrier = killed if kill_before_merge and rank == 0 else int
        try:
            score_videos(methods[-1], reader, list(reader.named), folder, (rank, ranks), say=str, barrier=barrier)
        except Killed:
            assert rank == 0
    return methods
