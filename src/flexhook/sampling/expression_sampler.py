"""Which expressions a training window is asked about."""

from __future__ import annotations

import numpy as np

from flexhook.errors import ConfigError


class ExpressionSampler:
    """Draws N expressions of a window's video: positives of its last observation, negatives from the others.

    Args:
        count: N, expressions per window; None leaves the choice to the items (clips: the whole pool).
        positives: Positives per window, before noise. A larger share teaches the sentences, a smaller one the refusal.
        noisy: Add N(0, 1), rounded, to the number of positives, per window.
    """

    def __init__(self, count: int | None = 36, positives: int = 24, noisy: bool = True) -> None:
        if count is not None and not 0 <= positives <= count:
            raise ConfigError(f"{positives} positives of {count} expressions per window",
                              expected="0 <= sampling.positives <= sampling.expressions")
        self.count, self.positives, self.noisy = count, positives, noisy

    def wanted(self, rng: np.random.Generator) -> int:
        """How many positives a window asks for, noise included."""
        assert self.count is not None
        return int(np.clip(self.positives + (round(rng.standard_normal()) if self.noisy else 0), 0, self.count))

    def draw(
        self, positive: np.ndarray, num_expressions: int, rng: np.random.Generator, rank: np.ndarray | None = None,
        wanted: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw for one window.

        Args:
            positive: Expression indices that refer to the window's last observation.
            num_expressions: Expressions of the video, at least one.
            rng: The sample's generator.
            rank: (num_expressions,) a random order. Where there are enough, the first positives and negatives in this
                order are taken: for one window that is as random as drawing, and windows that share the order share
                expressions.
            wanted: What :meth:`wanted` gave for this window, where that is known before.

        Returns:
            (N,) int64 expression indices and (N,) int64 labels, positives first; drawn with replacement only where there
            are too few. Without any positive (negative) expression all N are negatives (positives).
        """
        assert self.count is not None
        negative = np.setdiff1d(np.arange(num_expressions), positive, assume_unique=True)
        wanted = self.wanted(rng) if wanted is None else wanted
        wanted = 0 if not len(positive) else self.count if not len(negative) else wanted
        parts = [
            rng.choice(pool, size=size, replace=size > len(pool)) if rank is None or size > len(pool) else
            pool[np.argsort(rank[pool])[:size]]
            for pool, size in ((positive, wanted), (negative, self.count - wanted)) if size
        ]
        labels = np.zeros(self.count, np.int64)
        labels[:wanted] = 1
        return np.concatenate(parts).astype(np.int64), labels
