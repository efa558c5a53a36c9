"""Bootstrap over expressions: how far a score or a difference depends on which expressions were asked.

Sequences ((video, expression) pairs) are drawn with replacement, as many as there are, and the score is computed
again from their sufficient statistics. A *run* of several seeds scores the mean of its seeds; in a paired
difference both runs and all seeds get the same draws, so that expressions that are hard for all cancel. Efron and
Tibshirani (1993), percentile interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flexhook.errors import InputError
from flexhook.evaluation.evaluation import Evaluation
from flexhook.evaluation.statistics import Statistics

DRAWS_AT_ONCE = 256


@dataclass(frozen=True)
class Interval:
    """A score, 0 to 100, or a difference of two, with its bootstrap interval.

    Attributes:
        value: The score of the sequences as they are.
        low, high: Ends of the interval.
    """

    value: float
    low: float
    high: float

    @property
    def resolved(self) -> bool:
        """For a difference: whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Intervals:
    """The pooled HOTA and the mean of HOTA over expressions, or their differences."""

    pooled: Interval
    mean_over_expressions: Interval


def score_intervals(run: Sequence[Statistics], *, draws: int = 2000, level: float = 0.95, seed: int = 0) -> Intervals:
    """HOTA of a run with its interval over expressions.

    Args:
        run: The statistics of each seed, of the same sequences in the same order.
        draws: Number of resamples; more make the ends of the interval steadier.
        level: Share of the resampled scores inside the interval; larger makes it wider.
        seed: Of the draws.

    Raises:
        InputError: There is no sequence, or the seeds do not have the same number of them.
    """
    return _intervals(run, [], draws, level, seed)


def paired_difference(
    run: Sequence[Statistics], baseline: Sequence[Statistics], *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Intervals:
    """HOTA of a run minus that of a baseline, with intervals over expressions; arguments as in :func:`score_intervals`.

    Raises:
        InputError: There is no sequence, or the runs do not have the same number of them.
    """
    if not baseline:
        raise InputError("there is no baseline to compare with", expected="the statistics of at least one seed")
    return _intervals(run, baseline, draws, level, seed)


def aligned(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations with the sequences that all of them share, in the order of the first, so that they can be paired.

    Raises:
        InputError: They share none.
    """
    keys = [[(info.video, info.slug) for info in evaluation.sequences] for evaluation in evaluations]
    shared = set(keys[0]).intersection(*keys[1:]) if keys else set()
    if not shared:
        raise InputError("the runs have no (video, expression) in common", expected="runs evaluated on the same videos")
    order = [key for key in keys[0] if key in shared]
    out = []
    for evaluation, mine in zip(evaluations, keys, strict=True):
        row = {key: s for s, key in enumerate(mine)}
        out.append(evaluation.select(np.array([row[key] for key in order])))
    return out


def _intervals(run: Sequence[Statistics], baseline: Sequence[Statistics], draws: int, level: float, seed: int) -> Intervals:
    counts = {len(statistics) for statistics in (*run, *baseline)}
    if len(counts) != 1 or 0 in counts or not run:
        raise InputError(f"the runs have {sorted(counts)} sequences", expected="the same sequences in all runs, at least one")
    count = counts.pop()
    rng = np.random.default_rng(seed)
    pooled, mean = [], []
    for start in range(0, draws, DRAWS_AT_ONCE):
        chosen = rng.integers(0, count, (min(DRAWS_AT_ONCE, draws - start), count))
        weights = np.stack([np.bincount(row, minlength=count) for row in chosen]).astype(float)
        pooled.append(_difference(run, baseline, lambda s, w=weights: s.resampled(w)["HOTA"]))
        mean.append(_difference(run, baseline, lambda s, w=weights: w @ s.per_sequence()["HOTA"] / count))
    return Intervals(
        _interval(_difference(run, baseline, lambda s: np.array(s.pooled()["HOTA"])), np.concatenate(pooled), level),
        _interval(_difference(run, baseline, lambda s: np.array(s.mean_hota())), np.concatenate(mean), level),
    )


def _difference(run, baseline, score) -> np.ndarray:
    """Mean of a score over the run's seeds less that over the baseline's, 0 to 100."""
    value = np.mean([score(statistics) for statistics in run], axis=0)
    if baseline:
        value = value - np.mean([score(statistics) for statistics in baseline], axis=0)
    return 100 * value


def _interval(value: np.ndarray, resampled: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))
