"""Tracking noise that training adds to true trajectories, so that the model meets a tracker's output prepared.

Every perturbation draws from the generator it is given; the caller derives it from seed, epoch and sample.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from flexhook.errors import ConfigError


class Masking(Protocol):
    """Chooses which of a span's observations a window keeps."""

    def length(self, num_frames: int) -> int:
        """Consecutive observations a window of T frames is drawn from."""
        ...

    def draw(self, length: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Positions kept, increasing: (T,) int64 within a span of ``length`` >= T observations."""
        ...


class NoMasking:
    """T consecutive observations, all kept."""

    def length(self, num_frames: int) -> int:
        """T."""
        return num_frames

    def draw(self, length: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """The last T positions."""
        return np.arange(length - num_frames, length)


class SegmentMasking:
    """Keeps the first and the last observation of a span and T-2 drawn in between (T = 1 keeps the last).

    Args:
        span: Consecutive observations. A larger one simulates longer gaps; T masks nothing.
        probability: Share of the windows that are masked; the others are the span's last T observations. A larger one
            simulates a tracker that misses more often. The published perturbation masks all.

    Raises:
        ConfigError: ``span`` is not positive, ``probability`` no share, or (when a window is drawn) ``span`` under T.
    """

    def __init__(self, span: int = 8, probability: float = 1.0) -> None:
        if span < 1:
            raise ConfigError(f"span is {span}", expected="a positive number")
        if type(probability) not in (int, float) or not 0 <= probability <= 1:
            raise ConfigError(f"perturbation.masking.probability is {probability!r}", expected="a number from 0 to 1")
        self.span, self.probability = span, probability

    def length(self, num_frames: int) -> int:
        """The configured span."""
        if self.span < num_frames:
            raise ConfigError(f"span is {self.span} with windows of {num_frames} frames",
                              expected=f"at least {num_frames}", hint="Raise it or use perturbation=no_masking")
        return self.span

    def draw(self, length: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """First, last and T-2 drawn positions, or the last T."""
        if self.probability < 1 and rng.random() >= self.probability:
            return np.arange(length - num_frames, length)
        if num_frames == 1:
            return np.array([length - 1])
        if num_frames == 2:
            return np.array([0, length - 1])
        between = rng.choice(length - 2, size=num_frames - 2, replace=False) + 1
        return np.concatenate([[0], np.sort(between), [length - 1]])


class LateStart:
    """Some windows' tracks begin within them, as those of a tracker that has just found an object or lost its identity.

    What lies before the beginning is missing, and the first observation repeated, as in the first windows that scoring
    makes of a track. Not among the published perturbations.

    Args:
        probability: Share of the windows that begin late. A larger one simulates a tracker that fragments more.
    """

    def __init__(self, probability: float = 0.2) -> None:
        if not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise ConfigError(f"perturbation.start.probability is {probability!r}", expected="a number from 0 to 1")
        self.probability = probability

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B, T) observations of windows -> the same shape."""
        num_windows, num_frames = rows.shape
        late = rng.random(num_windows) < self.probability
        first = np.where(late, rng.integers(1, max(num_frames, 2), num_windows), 0)
        return np.take_along_axis(rows, np.maximum(np.arange(num_frames), np.minimum(first, num_frames - 1)[:, None]), 1)


class NoJitter:
    """Boxes stay as they are."""

    def __call__(self, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The boxes themselves."""
        return boxes


class GaussianJitter:
    """Centre and size of each box moved by ``scale`` * box size * N(0, 1), independently.

    Args:
        scale: Standard deviation as a fraction of the box's width and height. A larger one simulates a worse detector.
    """

    def __init__(self, scale: float = 0.02) -> None:
        if scale < 0:
            raise ConfigError(f"perturbation.jitter.scale is {scale}", expected="0 or more")
        self.scale = scale

    def __call__(self, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(..., 4) boxes (x1, y1, x2, y2) -> the same shape."""
        centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        noise = rng.standard_normal((2, *size.shape)) * self.scale
        centre, size = centre + noise[0] * size, size * np.maximum(1 + noise[1], 0)
        return np.concatenate([centre - size / 2, centre + size / 2], axis=-1)


class NoSwap:
    """Observations stay in their windows."""

    def __call__(self, num_windows: int, num_frames: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """No pairs."""
        return []


class IdentitySwap:
    """Observations of different windows of a batch change places, as when a tracker confuses two objects.

    Args:
        probability: Chance of each observation to be picked. A larger one simulates a tracker that confuses more.
        max_pairs: Pairs swapped per batch at most (the published code swaps one); null for no limit.
    """

    def __init__(self, probability: float = 0.1, max_pairs: int | None = 1) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"perturbation.swap.probability is {probability}", expected="a number from 0 to 1")
        self.probability, self.max_pairs = probability, max_pairs

    def __call__(self, num_windows: int, num_frames: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Pairs of observations that change places, each observation in one pair at most.

        Args:
            num_windows: B.
            num_frames: T.
            rng: The batch's generator.

        Returns:
            Pairs (i, j) into the flattened (B * T) observations; i and j lie in different windows.
        """
        picked = np.flatnonzero(rng.random(num_windows * num_frames) < self.probability)
        waiting = rng.permutation(picked).tolist()
        pairs: list[tuple[int, int]] = []
        while waiting and (self.max_pairs is None or len(pairs) < self.max_pairs):
            first = waiting.pop()
            partner = next((k for k in reversed(range(len(waiting))) if waiting[k] // num_frames != first // num_frames), None)
            if partner is not None:
                pairs.append((first, waiting.pop(partner)))
        return pairs
