"""From scores to answers: a threshold, a vote along each track, and the k best tracks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from flexhook.errors import ConfigError
from flexhook.structures import ExpressionResult, TrackSet


@dataclass(frozen=True)
class Decision:
    """How an expression is accepted for an observation. The steps come in the order of the arguments.

    Args:
        threshold: Probability from which an observation is accepted, 0 to 1; None takes the method's own answer. A larger
            value accepts fewer.
        vote: Along each track, so that it does not flicker: True gives a whole track the answer of more than half of its
            observations, a number n each observation that of more than half of the n around it (in a stream, of all or of the
            last n so far). A larger number is steadier and later to follow a change.
        top_k: Tracks that are accepted at most: those with the largest mean probability. None for all.

    Raises:
        ConfigError: An option is out of its range.
    """

    threshold: float | None = None
    vote: bool | int = False
    top_k: int | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not (_is_number(self.threshold) and 0 <= self.threshold <= 1):
            raise ConfigError(f"threshold is {self.threshold!r}", expected="a probability, 0 to 1")
        if not isinstance(self.vote, bool) and not (isinstance(self.vote, int) and self.vote >= 1):
            raise ConfigError(f"vote is {self.vote!r}", expected="True, False, or a number of observations, 1 or more")
        if self.top_k is not None and (isinstance(self.top_k, bool) or not isinstance(self.top_k, int) or self.top_k < 1):
            raise ConfigError(f"top_k is {self.top_k!r}", expected="a whole number of tracks, 1 or more")

    def at_threshold(self, result: ExpressionResult) -> np.ndarray:
        """(n,) bool: the answers before vote and ``top_k``."""
        return result.accepted.copy() if self.threshold is None else result.score >= self.threshold

    def accepted(self, result: ExpressionResult) -> np.ndarray:
        """(n,) bool: the answers for a whole video's observations."""
        accepted = self.at_threshold(result)
        tracks = result.tracks.tracks()
        if self.vote:
            for rows in tracks.values():
                accepted[rows] = majority(accepted[rows], len(rows) if self.vote is True else self.vote)
        if self.top_k is not None:
            means = {identity: result.score[rows].mean() for identity, rows in tracks.items() if accepted[rows].any()}
            best = sorted(means, key=lambda identity: (-means[identity], identity))[: self.top_k]
            accepted &= np.isin(result.tracks.identity, best)
        return accepted


def majority(accepted: np.ndarray, length: int) -> np.ndarray:
    """The answer of more than half of the observations around each one.

    Args:
        accepted: (n,) bool, a track's observations in the order of time.
        length: Observations that count, half of them before and half after, near the track's ends those that there are;
            n or more is the whole track.

    Returns:
        (n,) bool.
    """
    count = len(accepted)
    if length >= count:
        return np.full(count, 2 * accepted.sum() > count)
    row = np.arange(count)
    first, stop = np.maximum(row - length // 2, 0), np.minimum(row + (length + 1) // 2, count)
    total = np.concatenate([[0], np.cumsum(accepted)])
    return 2 * (total[stop] - total[first]) > stop - first


@dataclass
class _Tally:
    """What is known of one track and one sentence so far."""

    frame: int = 0  # of the last observation
    count: int = 0
    yes: int = 0
    probability: float = 0.0  # sum
    recent: deque[bool] = field(default_factory=deque)


class LiveDecision:
    """The answers of a :class:`Decision` frame by frame, from what was seen so far.

    Args:
        decision: How to decide.
        forget_after: Frames after which a track that was not seen is forgotten.
    """

    def __init__(self, decision: Decision, forget_after: int) -> None:
        self.decision, self.forget_after = decision, forget_after
        self._tallies: dict[str, dict[int, _Tally]] = {}

    def forget(self, sentence: str) -> None:
        """Forget a sentence."""
        self._tallies.pop(sentence, None)

    def accepted(self, result: ExpressionResult, frame: int) -> np.ndarray:
        """(n,) bool: the answers of a sentence for one frame's observations."""
        decision = self.decision
        accepted = decision.at_threshold(result)
        if not decision.vote and decision.top_k is None:
            return accepted
        tallies = self._tallies.setdefault(result.expression.sentence, {})
        for identity in [i for i, tally in tallies.items() if tally.frame < frame - self.forget_after]:
            del tallies[identity]
        means = self._count(tallies, result.tracks, result.score, accepted, frame)
        if decision.top_k is not None:
            order = np.lexsort((result.tracks.identity, -means, ~accepted))  # accepted ones first, the likeliest of them first
            accepted[order[decision.top_k :]] = False
        return accepted

    def _count(
        self, tallies: dict[int, _Tally], tracks: TrackSet, score: np.ndarray, accepted: np.ndarray, frame: int
    ) -> np.ndarray:
        """Count a frame, let the vote change ``accepted``, and give each track's mean probability (n,)."""
        vote, means = self.decision.vote, np.zeros(len(tracks))
        for row, identity in enumerate(tracks.identity.tolist()):
            tally = tallies.setdefault(identity, _Tally())
            tally.frame, tally.count = frame, tally.count + 1
            tally.probability += float(score[row])
            tally.yes += bool(accepted[row])
            means[row] = tally.probability / tally.count
            if vote is True:
                accepted[row] = 2 * tally.yes > tally.count
            elif vote:
                tally.recent.append(bool(accepted[row]))
                if len(tally.recent) > vote:
                    tally.recent.popleft()
                accepted[row] = 2 * sum(tally.recent) > len(tally.recent)
        return means


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
