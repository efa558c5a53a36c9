"""What must be counted of a sequence to know its metrics, and what adds up when sequences are pooled.

A *sequence* is one (video, expression): the true boxes that the expression refers to against the boxes accepted for
it. The formulas, and what they give where a denominator is 0, are those of TrackEval (the field's fork gives the
same).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""The 19 localisation thresholds of HOTA."""

METRICS = ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr", "MOTA", "IDF1")
"""Names of the metrics in the order of tables; the first eight are means over the thresholds."""

CURVES = METRICS[:8]
"""The metrics that have a value at every threshold."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over the frames of S sequences; a pooled score comes from their sums over sequences.

    Attributes:
        matches: (S, 19) number of matched pairs (true positives of HOTA) at each threshold.
        overlap: (S, 19) sum of the matched pairs' IoU.
        association: (S, 19) sum over matched pairs of the Jaccard index of their two trajectories' matches.
        association_recall: (S, 19) sum over matched pairs of matches / length of the true trajectory.
        association_precision: (S, 19) sum over matched pairs of matches / length of the predicted trajectory.
        truth: (S,) number of true boxes.
        predicted: (S,) number of predicted boxes.
        clear_matches: (S,) true positives of CLEAR (IoU of at least 0.5).
        switches: (S,) identity switches of CLEAR.
        identity_matches: (S,) true positives of the identity scores.
    """

    matches: np.ndarray
    overlap: np.ndarray
    association: np.ndarray
    association_recall: np.ndarray
    association_precision: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    clear_matches: np.ndarray
    switches: np.ndarray
    identity_matches: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    @classmethod
    def zeros(cls, count: int) -> Statistics:
        """Statistics of ``count`` sequences with nothing in them, to be filled in."""
        return cls(*(np.zeros((count, len(ALPHAS))) for _ in range(5)), *(np.zeros(count) for _ in range(5)))

    @classmethod
    def concatenate(cls, parts: Iterable[Statistics]) -> Statistics:
        """The sequences of several sets, one after the other."""
        parts = [cls.zeros(0), *parts]
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def select(self, rows: np.ndarray) -> Statistics:
        """The sequences of a boolean mask or an index array."""
        return Statistics(*(getattr(self, f.name)[rows] for f in fields(self)))

    def sums(self, weights: np.ndarray | None = None) -> Statistics:
        """Pool the sequences: R weighted sums over them.

        Args:
            weights: (R, S) how often each sequence counts; by default once each, R = 1.
        """
        weights = np.ones((1, len(self))) if weights is None else weights
        return Statistics(*(weights @ getattr(self, f.name) for f in fields(self)))

    def curves(self) -> dict[str, np.ndarray]:
        """``{metric: (S, 19)}``: every metric of :data:`CURVES` at every threshold, from 0 to 1."""
        truth, predicted, tp = self.truth[:, None], self.predicted[:, None], self.matches
        scores = {
            "DetA": tp / np.maximum(1, truth + predicted - tp),
            "AssA": self.association / np.maximum(1, tp),
            "LocA": np.maximum(1e-10, self.overlap) / np.maximum(1e-10, tp),  # 1 where nothing is matched
            "DetRe": tp / np.maximum(1, truth),
            "DetPr": tp / np.maximum(1, predicted),
            "AssRe": self.association_recall / np.maximum(1, tp),
            "AssPr": self.association_precision / np.maximum(1, tp),
        }
        return {"HOTA": np.sqrt(scores["DetA"] * scores["AssA"]), **scores}

    def per_sequence(self) -> dict[str, np.ndarray]:
        """``{metric: (S,)}`` of every sequence by itself, fractions; MOTA may be negative.

        A sequence without predictions or without truth has HOTA 0 (also one without both: an expression that refers
        to nothing cannot be answered well), LocA 1, MOTA 0.
        """
        return self._scores() | {"MOTA": np.where(self.truth > 0, self._mota(), 0.0)}

    def pooled(self) -> dict[str, float]:
        """``{metric: score}`` over all sequences together, the field's main numbers: sums first, then the formulas."""
        return {name: float(values[0]) for name, values in self.sums()._scores().items()}

    def resampled(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """``{metric: (R,)}``: the pooled scores when sequence s counts ``weights[r, s]`` times, for the bootstrap."""
        return self.sums(weights)._scores()

    def mean_hota(self) -> float:
        """Mean of the sequences' HOTA, which no large or easy expression dominates; NaN where there is no sequence."""
        return float(self.per_sequence()["HOTA"].mean()) if len(self) else float("nan")

    def zero_hota(self) -> int:
        """Number of sequences with HOTA 0: nothing that the expression refers to was found."""
        return int((self.matches[:, 0] == 0).sum())

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Every column under ``<prefix>/<name>``, for :func:`numpy.savez`."""
        return {f"{prefix}/{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Statistics:
        """The inverse of :meth:`arrays`.

        Raises:
            KeyError: A column is missing.
        """
        return cls(*(arrays[f"{prefix}/{f.name}"] for f in fields(cls)))

    def _mota(self) -> np.ndarray:
        false = (self.predicted - self.clear_matches) + self.switches
        return (self.clear_matches - false) / np.maximum(1, self.truth)

    def _scores(self) -> dict[str, np.ndarray]:
        scores = {name: values.mean(axis=1) for name, values in self.curves().items()}
        scores["MOTA"] = self._mota()
        scores["IDF1"] = self.identity_matches / np.maximum(1, (self.truth + self.predicted) / 2)
        return {name: scores[name] for name in METRICS}
