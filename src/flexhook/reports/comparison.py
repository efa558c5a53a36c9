"""Means over seeds and differences between runs: how large they are and whether they are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flexhook.errors import InputError
from flexhook.evaluation.bootstrap import Interval, aligned, paired_difference
from flexhook.reports.runs import Group

#: HOTA that one seed may gain or lose by itself, where a run has no second one to measure it by.
ONE_SEED = 0.5
PREVIOUS = "previous"


@dataclass(frozen=True)
class Spread:
    """A metric over seeds.

    Attributes:
        mean: Mean.
        deviation: Standard deviation (n - 1); None with fewer than two seeds.
        count: Number of seeds.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> Spread | None:
        """Of some values; None of none."""
        if not len(values):
            return None
        return cls(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None, len(values))

    def text(self, digits: int = 2, plus_minus: str = "±") -> str:
        """``mean ± deviation``."""
        mean = f"{self.mean:.{digits}f}"
        return mean if self.deviation is None else f"{mean} {plus_minus} {self.deviation:.{digits}f}"


@dataclass(frozen=True)
class Difference:
    """A run's score less another's.

    Attributes:
        baseline: Name of the other run.
        interval: The difference with its bootstrap interval over expressions.
        spread: Standard deviation that the difference of two seeds has, from both runs' seeds; 0.5 with one seed.
    """

    baseline: str
    interval: Interval
    spread: float

    @property
    def resolved(self) -> bool:
        """More than the seeds' spread, and an interval without 0: only then is it an ordering."""
        return self.interval.resolved and abs(self.interval.value) > self.spread

    @property
    def verdict(self) -> str:
        """``higher``, ``lower`` or ``not resolved``."""
        if not self.resolved:
            return "not resolved"
        return "higher" if self.interval.value > 0 else "lower"

    def text(self) -> str:
        """``+1.20 [0.30, 2.10]``."""
        return f"{self.interval.value:+.2f} [{self.interval.low:.2f}, {self.interval.high:.2f}]"


@dataclass(frozen=True)
class Comparison:
    """A run beside its baseline.

    Attributes:
        pooled: Difference of pooled HOTA.
        mean_over_expressions: Difference of the mean over expressions.
        sequences: Number of (video, expression) sequences that it is taken on: those that all runs of both were tested on.
    """

    pooled: Difference
    mean_over_expressions: Difference
    sequences: int


def compare(group: Group, baseline: Group, draws: int = 2000) -> Comparison | None:
    """The differences between two runs on the expressions that both were tested on; None where there are none.

    Args:
        group: The run.
        baseline: What it is compared with.
        draws: Number of resamples.
    """
    ours, theirs = group.evaluations, baseline.evaluations
    try:
        together = [evaluation.model for evaluation in aligned([*ours, *theirs])] if ours and theirs else []
    except InputError:
        return None
    if not together:
        return None
    intervals = paired_difference(together[: len(ours)], together[len(ours) :], draws=draws)
    pooled, mean = (
        Difference(baseline.name, interval, spread_of_difference(group, baseline, metric))
        for interval, metric in (
            (intervals.pooled, "test/HOTA"), (intervals.mean_over_expressions, "test/HOTA_mean_over_expressions"))
    )
    return Comparison(pooled, mean, len(together[0]))


def spread_of_difference(one: Group, two: Group, metric: str) -> float:
    """Standard deviation of the difference of two single seeds; at least 0.5 where a run has one seed only."""
    deviations = [spread.deviation for group in (one, two) if (spread := Spread.of(group.values(metric)))]
    measured = float(np.sqrt(sum(d**2 for d in deviations if d is not None)))
    return max(measured, ONE_SEED) if None in deviations or len(deviations) < 2 else measured


def comparisons(
    groups: Sequence[Group], baseline: str | Mapping[str, str] | None, draws: int = 2000
) -> dict[str, Comparison]:
    """The comparison of every run with its baseline, by name.

    Args:
        groups: The runs.
        baseline: Name of the run that all others are compared with; or ``previous``: each with the one before it; or the
            names of the runs that are compared with the name of the one each is compared with. None compares none.
        draws: Number of resamples.

    Raises:
        InputError: There is no run of that name.
    """
    names = [group.name for group in groups]
    if baseline is None:
        pairs: Mapping[str, str] = {}
    elif isinstance(baseline, Mapping):
        pairs = baseline
    elif baseline == PREVIOUS:
        pairs = dict(zip(names[1:], names, strict=False))
    else:
        pairs = {name: baseline for name in names if name != baseline} or {baseline: baseline}
    for name in (*pairs, *pairs.values()):
        if name not in names:
            raise InputError(f"there is no run '{name}' to compare with", expected=f"{PREVIOUS}, or one of {', '.join(names)}")
    found = {one: compare(groups[names.index(one)], groups[names.index(other)], draws)
             for one, other in pairs.items() if one != other}
    return {name: comparison for name in names if (comparison := found.get(name))}
