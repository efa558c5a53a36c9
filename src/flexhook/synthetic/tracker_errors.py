"""A simulated tracker: true trajectories spoiled at known rates."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from flexhook.errors import ConfigError
from flexhook.structures import TrackSet, Video


@dataclass(frozen=True)
class TrackerErrors:
    """Rates of a simulated tracker's errors; every rate is multiplied by ``scale``.

    Attributes:
        scale: 0 gives the truth back, 1 a tracker of 60 to 80 HOTA, more a worse one.
        miss: Share of the observations that are missed,
        miss_length: in gaps of this many frames on average.
        jitter: Standard deviation of a box's centre and size, as a share of its size.
        jitter_memory: Correlation of the jitter of consecutive observations, 0 to 1; a larger value makes it smoother.
        fragment: Probability per observation that the track goes on under a new identity.
        switch: Probability per frame that two neighbouring tracks of a category exchange their identities.
        invent: Invented boxes per true observation,
        invent_length: in tracks of this many frames on average.
    """

    scale: float = 1.0
    miss: float = 0.07
    miss_length: float = 2.0
    jitter: float = 0.02
    jitter_memory: float = 0.6
    fragment: float = 0.03
    switch: float = 0.05
    invent: float = 0.06
    invent_length: float = 5.0

    def __post_init__(self) -> None:
        for name in ("scale", "miss", "jitter", "jitter_memory", "fragment", "switch", "invent"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} of the simulated tracker is {getattr(self, name)}", expected="0 or more")
        for name in ("miss_length", "invent_length"):
            if not getattr(self, name) >= 1:
                raise ConfigError(f"{name} of the simulated tracker is {getattr(self, name)}", expected="1 frame or more")
        if not self.jitter_memory < 1:
            raise ConfigError(f"jitter_memory of the simulated tracker is {self.jitter_memory}", expected="less than 1")


def simulate_tracker(video: Video, errors: TrackerErrors, seed: int) -> TrackSet:
    """What a tracker might have made of a video.

    Args:
        video: Its ``truth`` is spoiled; its pictures are not looked at.
        errors: Rates of the errors.
        seed: Seed; the video's name is mixed in, so that one seed serves a whole dataset.

    Returns:
        Tracks with identities from 1, boxes clipped to the frame, the truth's categories, a confidence in (0, 1].
    """
    truth = video.truth
    rng = np.random.default_rng([seed, zlib.crc32(video.name.encode())])
    if not len(truth):
        return TrackSet.empty(truth.categories)
    identity = _identities(truth, errors, rng)
    box, kept = _jittered(truth, errors, rng), ~_missed(truth, errors, rng)
    frame, category = truth.frame[kept], truth.category[kept]
    identity, box = identity[kept], box[kept]
    confidence = np.clip(rng.normal(0.85, 0.08, len(frame)), 0.3, 1.0)
    extra = _invented(truth, video.num_frames, int(identity.max(initial=0)) + 1, errors, rng)
    frame, identity, box = (
        np.append(frame, extra.frame),
        np.append(identity, extra.identity),
        np.concatenate([box, extra.box]),
    )
    category, confidence = np.append(category, extra.category), np.append(confidence, extra.confidence)
    height, width = video.size
    box = np.clip(box, 0, [width, height, width, height])
    whole = (box[:, 2] - box[:, 0] >= 2) & (box[:, 3] - box[:, 1] >= 2)
    if errors.scale == 0:
        whole[:] = True
    _, dense = np.unique(identity[whole], return_inverse=True)
    return TrackSet.build(frame[whole], dense + 1, box[whole], category[whole], confidence[whole], truth.categories)


def _share(value: float, scale: float) -> float:
    return min(value * scale, 0.95)


def _missed(truth: TrackSet, errors: TrackerErrors, rng: np.random.Generator) -> np.ndarray:
    """(n,) observations that are missed: gaps of geometric length."""
    rate = _share(errors.miss, errors.scale)
    leave = 1 / errors.miss_length
    enter = min(rate / (1 - rate) * leave, 1.0)
    missed = np.zeros(len(truth), bool)
    for rows in truth.tracks().values():
        lost = rng.random() < rate
        for row in rows:
            missed[row] = lost
            lost = rng.random() >= leave if lost else rng.random() < enter
    return missed


def _jittered(truth: TrackSet, errors: TrackerErrors, rng: np.random.Generator) -> np.ndarray:
    """(n, 4) boxes whose centre and size wander around the true ones."""
    memory = errors.jitter_memory
    noise = np.zeros((len(truth), 4))
    for rows in truth.tracks().values():
        state = rng.standard_normal(4)
        for row in rows:
            noise[row] = state
            state = memory * state + np.sqrt(1 - memory**2) * rng.standard_normal(4)
    noise *= errors.jitter * errors.scale
    size = truth.box[:, 2:] - truth.box[:, :2]
    centre = (truth.box[:, :2] + truth.box[:, 2:]) / 2 + noise[:, :2] * size
    half = size * np.exp(noise[:, 2:]) / 2
    return truth.box.copy() if errors.scale == 0 else np.concatenate([centre - half, centre + half], axis=1)


def _identities(truth: TrackSet, errors: TrackerErrors, rng: np.random.Generator) -> np.ndarray:
    """(n,) identities with fragments and switches, from 1."""
    fragment, switch = _share(errors.fragment, errors.scale), _share(errors.switch, errors.scale)
    now = {int(i): k + 1 for k, i in enumerate(np.unique(truth.identity))}
    following = len(now) + 1
    out = np.zeros(len(truth), np.int64)
    for frame in np.unique(truth.frame):
        rows = np.flatnonzero(truth.frame == frame)
        for a, b in _neighbours(truth, rows):
            if rng.random() < switch:
                i, j = int(truth.identity[a]), int(truth.identity[b])
                now[i], now[j] = now[j], now[i]
        for row in rows:
            i = int(truth.identity[row])
            if rng.random() < fragment:
                now[i], following = following, following + 1
            out[row] = now[i]
    return out


def _neighbours(truth: TrackSet, rows: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows of one category whose centres are nearer than the mean of their widths."""
    box, pairs = truth.box, []
    centre, width = (box[:, :2] + box[:, 2:]) / 2, box[:, 2] - box[:, 0]
    for k, a in enumerate(rows):
        for b in rows[k + 1 :]:
            near = np.hypot(*(centre[a] - centre[b])) < (width[a] + width[b]) / 2
            if near and truth.category[a] == truth.category[b]:
                pairs.append((int(a), int(b)))
    return pairs


def _invented(truth: TrackSet, frames: int, first: int, errors: TrackerErrors, rng: np.random.Generator) -> TrackSet:
    """Short tracks of boxes with nothing in them: sizes of true boxes, elsewhere, drifting slowly."""
    expected = errors.invent * errors.scale * len(truth) / errors.invent_length
    rows: list[tuple[int, int, np.ndarray, int, float]] = []
    for k in range(rng.poisson(expected)):
        like = rng.integers(len(truth))
        shift = np.array([rng.normal(0, 250), rng.normal(0, 15)])
        drift = rng.normal(0, 3, 2)
        start = int(rng.integers(frames))
        for step in range(min(int(rng.geometric(1 / errors.invent_length)), frames - start)):
            box = truth.box[like] + np.tile(shift + step * drift, 2)
            rows.append((start + step, first + k, box, int(truth.category[like]), float(rng.uniform(0.3, 0.7))))
    if not rows:
        return TrackSet.empty(truth.categories)
    frame, identity, box, category, confidence = zip(*rows, strict=True)
    return TrackSet.build(frame, identity, np.array(box), category, confidence, truth.categories)
