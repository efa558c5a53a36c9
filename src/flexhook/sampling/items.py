"""Training and validation items: windows of one video with the expressions they are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flexhook.errors import ConfigError, InputError
from flexhook.sampling.expression_sampler import ExpressionSampler
from flexhook.sampling.perturbations import LateStart, Masking
from flexhook.sampling.windows import span_of, validation_starts, window_starts
from flexhook.structures import Video


@dataclass
class Item:
    """B windows of one video.

    Attributes:
        video: Index of the video.
        frame: (B, T) int64 frame indices.
        box: (B, T, 4) float64 fractions of the frame.
        expression: (B, N) int64 indices into the video's expressions; (N,) where all windows have the same; None for all.
        label: (B, N) int64, 1 or 0.
        key: What random streams of this item are derived from: (seed, epoch, index).
    """

    video: int
    frame: np.ndarray
    box: np.ndarray
    expression: np.ndarray | None
    label: np.ndarray
    key: tuple[int, int, int]


class TrainingItems(Protocol):
    """Training items, by (epoch, index).

    Attributes:
        one_per_batch: The windows of an item have the same expressions, (N,): a batch holds one item.
    """

    one_per_batch: bool

    def __len__(self) -> int:
        """Items of an epoch."""

    def __getitem__(self, at: tuple[int, int]) -> Item:
        """The item of (epoch, index)."""


def stream(key: tuple[int, int, int], purpose: int) -> np.random.Generator:
    """The random generator of an item (seed, epoch, index) for one purpose, whoever asks and in whatever order."""
    return np.random.default_rng([*key, purpose])


def usable_tracks(video: Video, num_frames: int, drop_unreferred: bool) -> list[np.ndarray]:
    """Rows of each true track, in the order of time, of those with at least T observations.

    Args:
        video: The video.
        num_frames: T.
        drop_unreferred: Leave out the observations that no expression refers to, before counting.
    """
    referred = np.asarray(video.labels.sum(axis=1)).reshape(-1) > 0
    tracks = (rows[referred[rows]] if drop_unreferred else rows for rows in video.truth.tracks().values())
    return [rows for rows in tracks if len(rows) >= num_frames]


def for_source(value: int | Mapping[str, int], video: Video) -> int:
    """A setting that may differ by the source of a mixed dataset.

    Raises:
        ConfigError: The setting has no value for the video's source.
    """
    if not isinstance(value, Mapping):
        return value
    if video.source not in value:
        raise ConfigError(f"a setting of sampling has no value for the source '{video.source}'",
                          expected=f"one for each source; there are {', '.join(value)}")
    return value[video.source]


def _positives(video: Video, row: int) -> np.ndarray:
    return video.labels.indices[video.labels.indptr[row] : video.labels.indptr[row + 1]]


class WindowItems:
    """The published training items: one window each, drawn from the true tracks.

    Args:
        videos: Training videos; those without expressions contribute nothing.
        num_frames: T.
        stride: Distance of the spans' starts, in observations; by source for a mixture.
        masking: Which observations of a span are kept.
        sampler: Draws each window's expressions.
        jitter: Moves the boxes.
        drop_unreferred: Leave out observations that no expression refers to.
        seed: Seed of all draws.
        start: Lets some windows begin late; None for none.

    Raises:
        ConfigError: The sampler has no number of expressions.
    """

    one_per_batch = False

    def __init__(
        self,
        videos: Sequence[Video],
        num_frames: int,
        stride: int | Mapping[str, int],
        masking: Masking,
        sampler: ExpressionSampler,
        jitter,
        drop_unreferred: bool,
        seed: int,
        start: LateStart | None = None,
    ) -> None:
        if sampler.count is None:
            raise ConfigError("sampling.expressions is null with one-window items",
                              expected="a number of expressions per window",
                              hint="Set sampling.expressions=36, or choose sampling=clips")
        self.videos, self.num_frames, self.masking, self.start = videos, num_frames, masking, start
        self.sampler, self.jitter, self.seed = sampler, jitter, seed
        self.span = masking.length(num_frames)
        self.index = [
            (v, rows, int(start))
            for v, video in enumerate(videos)
            if video.expressions
            for rows in usable_tracks(video, num_frames, drop_unreferred)
            for start in window_starts(len(rows), num_frames, for_source(stride, video))
        ]
        require_items(self.index, videos, num_frames)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: tuple[int, int]) -> Item:
        """The item of (epoch, index)."""
        epoch, index = at
        v, track, start = self.index[index]
        video, key = self.videos[v], (self.seed, epoch, index)
        rng = stream(key, 0)
        span = span_of(start, self.span, len(track))
        rows = track[span[self.masking.draw(len(span), self.num_frames, rng)]]
        if self.start is not None:
            rows = self.start(rows[None], rng)[0]
        box = self.jitter(video.normalised(video.truth.box[rows]), rng)
        expression, label = self.sampler.draw(_positives(video, rows[-1]), len(video.expressions), rng)
        return Item(v, video.truth.frame[rows][None], box[None], expression[None], label[None], key)


class ClipItems:
    """Items that share frames: all trajectories alive at a clip's last frame.

    Masking is drawn once per clip. A window takes its track's observations at the clip's frames; a missing one is
    replaced by the nearest earlier observation (at the start, by the first), with that observation's own frame.

    Args:
        videos: Training videos.
        num_frames: T.
        stride: Distance of the clips' last frames.
        masking: Which frames of a span are kept.
        sampler: Draws each window's expressions; with ``sampler.count`` None every window hears the whole pool, each
            sentence once, and the share of positives is what the pool gives.
        jitter: Moves the boxes.
        drop_unreferred: Leave out observations that no expression refers to.
        seed: Seed of all draws.
        max_tracks: Trajectories per clip at most; where more are alive, that many are drawn.
        pool: Different expressions per item at most; the windows draw theirs from these, so that fewer sentences are
            encoded. One positive of each window comes first. Then, with ``sampler.count``, what lets most windows have
            their positives and negatives without a repetition; else any. None for all of the video's.
        group: Clips of one video per item: a clip and ``group`` - 1 drawn others, which share the pool of expressions. More
            windows then hear each sentence that is encoded.
        shared_order: The windows draw by one random order of the expressions. Each window's draw is as random as ever, but
            windows with the same positives draw the same of them, so that fewer sentences are encoded.
        start: Lets some windows begin late; None for none.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        num_frames: int,
        stride: int | Mapping[str, int],
        masking: Masking,
        sampler: ExpressionSampler,
        jitter,
        drop_unreferred: bool,
        seed: int,
        max_tracks: int = 8,
        pool: int | None = None,
        group: int = 1,
        shared_order: bool = False,
        start: LateStart | None = None,
    ) -> None:
        self.videos, self.num_frames, self.masking, self.max_tracks = videos, num_frames, masking, max_tracks
        self.start = start
        if pool is not None and sampler.count is not None and pool < sampler.count:
            raise ConfigError(f"sampling.pool is {pool} and sampling.expressions {sampler.count}",
                              expected="a pool of at least as many expressions as a window hears",
                              hint="Raise sampling.pool, or set sampling.expressions=null for all of the pool")
        self.pool, self.group, self.shared_order = pool, group, shared_order
        self.one_per_batch = sampler.count is None
        self.sampler, self.jitter, self.seed = sampler, jitter, seed
        self.span = masking.length(num_frames)
        self.tracks: list[list[np.ndarray]] = []
        self.index: list[tuple[int, int, list[int]]] = []
        for v, video in enumerate(videos):
            tracks = usable_tracks(video, num_frames, drop_unreferred) if video.expressions else []
            self.tracks.append(tracks)
            alive: dict[int, list[int]] = {}
            for k, rows in enumerate(tracks):
                for frame in video.truth.frame[rows]:
                    alive.setdefault(int(frame), []).append(k)
            self.index += [(v, frame, alive[frame]) for frame in sorted(alive)[:: for_source(stride, video)]]
        self._of_video = [[k for k, clip in enumerate(self.index) if clip[0] == v] for v in range(len(videos))]
        require_items(self.index, videos, num_frames)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: tuple[int, int]) -> Item:
        """The item of (epoch, index)."""
        epoch, index = at
        v, key = self.index[index][0], (self.seed, epoch, index)
        video, rng = self.videos[v], stream(key, 0)
        siblings = [k for k in self._of_video[v] if k != index]
        drawn_too = rng.choice(siblings, min(self.group - 1, len(siblings)), replace=False).tolist() if siblings else []
        rows = np.concatenate([self._draw_clip(k, rng) for k in [index, *drawn_too]])  # (B, T)
        if self.start is not None:
            rows = self.start(rows, rng)
        box = self.jitter(video.normalised(video.truth.box[rows]), rng)
        positives = [_positives(video, row) for row in rows[:, -1]]
        pool = np.arange(len(video.expressions))
        wanted: list[int | None] = [None] * len(rows)
        if self.pool is not None and self.pool < len(pool):
            wanted = [None if self.sampler.count is None else self.sampler.wanted(rng) for _ in rows]
            pool = self._draw_pool(positives, len(video.expressions), wanted, rng)
        if self.sampler.count is None:
            label = np.stack([np.isin(pool, p).astype(np.int64) for p in positives])
            return Item(v, video.truth.frame[rows], box, pool, label, key)
        rank = rng.permutation(len(pool)) if self.shared_order else None
        drawn = [
            self.sampler.draw(np.flatnonzero(np.isin(pool, p)), len(pool), rng, rank, number)
            for p, number in zip(positives, wanted, strict=True)
        ]
        expression, label = (np.stack(column) for column in zip(*drawn, strict=True))
        return Item(v, video.truth.frame[rows], box, pool[expression], label, key)

    def _draw_clip(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Rows (b, T) of the windows of one clip."""
        v, last, alive = self.index[index]
        frames = last - self.span + 1 + self.masking.draw(self.span, self.num_frames, rng)
        if len(alive) > self.max_tracks:
            alive = sorted(rng.choice(alive, self.max_tracks, replace=False))
        return np.stack([
            track[np.maximum(np.searchsorted(self.videos[v].truth.frame[track], frames, side="right") - 1, 0)]
            for track in (self.tracks[v][k] for k in alive)
        ])

    def _draw_pool(
        self, positives: list[np.ndarray], num_expressions: int, wanted: list[int | None], rng: np.random.Generator
    ) -> np.ndarray:
        """The expressions of an item, sorted."""
        assert self.pool is not None
        chosen = np.unique([rng.choice(p) for p in positives if len(p)]).astype(np.int64)
        if len(chosen) > self.pool:
            chosen = rng.choice(chosen, self.pool, replace=False)
        if self.sampler.count is None:
            others = np.setdiff1d(np.arange(num_expressions), chosen, assume_unique=True)
            return np.sort(np.concatenate([chosen, rng.choice(others, self.pool - len(chosen), replace=False)]))
        side = np.zeros((2, len(positives), num_expressions), bool)  # an expression is a negative or a positive of a window
        for window, p in enumerate(positives):
            side[1, window, p] = True
        side[0] = ~side[1]
        yes = np.array([number if len(p) else 0 for number, p in zip(wanted, positives, strict=True)])
        needed = np.minimum([self.sampler.count - yes, yes], side.sum(2)) - side[:, :, chosen].sum(2)  # (2, windows)
        tie, free = rng.random(num_expressions), np.ones(num_expressions, bool)
        free[chosen] = False
        for _ in range(self.pool - len(chosen)):
            gain = ((needed > 0)[..., None] & side).sum((0, 1)) + tie  # how many windows miss such a one, then chance
            best = int(np.argmax(np.where(free, gain, -1)))
            free[best] = False
            needed -= side[:, :, best]
        return np.flatnonzero(~free)


class ValidationItems:
    """T consecutive observations of true tracks against all expressions of their video; nothing is drawn.

    An item holds up to ``group`` windows of one video, neighbours in time, so that they share frames.

    Args:
        videos: Validation videos.
        num_frames: T.
        stride: Distance of the windows' starts, in observations; by source for a mixture.
        keep_every: Keep every n-th window of each track; by source for a mixture.
        group: Windows per item at most.
        last_observation: Count windows back from each track's last observation, so that it is always scored. False counts
            them from the first and stops before the last, as the published code does.
        drop_unreferred: Leave out observations that no expression refers to, as training may.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        num_frames: int,
        stride: int | Mapping[str, int],
        keep_every: int | Mapping[str, int] = 1,
        group: int = 16,
        last_observation: bool = True,
        drop_unreferred: bool = False,
    ) -> None:
        self.videos = videos
        self.index: list[tuple[int, np.ndarray]] = []
        starts = validation_starts if last_observation else window_starts
        for v, video in enumerate(videos):
            windows = []
            for track in usable_tracks(video, num_frames, drop_unreferred) if video.expressions else []:
                step = for_source(stride, video) * for_source(keep_every, video)
                windows += [track[span_of(int(k), num_frames, len(track))] for k in starts(len(track), num_frames, step)]
            windows.sort(key=lambda rows: (video.truth.frame[rows[-1]], video.truth.identity[rows[-1]]))
            self.index += [(v, np.stack(windows[i : i + group])) for i in range(0, len(windows), group)]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def num_windows(self) -> int:
        """Windows over all items."""
        return sum(len(rows) for _, rows in self.index)

    def __getitem__(self, index: int) -> Item:
        """The item at a place."""
        v, rows = self.index[index]
        video = self.videos[v]
        label = video.labels[rows[:, -1]].toarray().astype(np.int64)
        return Item(v, video.truth.frame[rows], video.normalised(video.truth.box[rows]), None, label, (0, 0, index))


def require_items(index: Sequence, videos: Sequence[Video], num_frames: int) -> None:
    """Refuse an empty training set, saying why it may be empty."""
    if not len(index):
        raise InputError(
            f"no training window in videos {', '.join(v.name for v in videos) or '(none)'}",
            expected=f"at least one true track of {num_frames} observations or more, in a video with expressions",
            hint="Check data.root and the splits with `flexhook data check`",
        )
