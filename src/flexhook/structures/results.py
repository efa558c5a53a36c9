"""Results of any method: the tracks of each expression of one video, read one expression at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Expression


@dataclass(frozen=True, eq=False)
class ExpressionResult:
    """What a method answers for one expression of one video.

    Attributes:
        expression: The expression.
        tracks: All n candidates, also those that were not accepted where the method keeps them. Identities are of tracks
            within this expression; frames are 0-based, boxes pixels of the original frame.
        score: (n,) floats in [0, 1], how sure the method is that the expression refers to the observation.
        accepted: (n,) bool, True where the method answers yes.
    """

    expression: Expression
    tracks: TrackSet
    score: np.ndarray
    accepted: np.ndarray


class Results(ABC):
    """The results of one video, an iterable over its expressions. Items are made when they are asked for.

    Attributes:
        video: Name of the video within its dataset.
        expressions: The E expressions, in the order of the items.
        keeps_rejected: Whether candidates that were not accepted are among the tracks. Without them there is neither an
            oracle nor accept-all.
        file: The file that they were read from, for messages; None where they were not.
    """

    video: str
    expressions: tuple[Expression, ...]
    keeps_rejected: bool
    file: Path | None = None

    def __len__(self) -> int:
        return len(self.expressions)

    def __iter__(self) -> Iterator[ExpressionResult]:
        return (self[k] for k in range(len(self)))

    @abstractmethod
    def __getitem__(self, index: int) -> ExpressionResult:
        """The result of expression ``index``. Items whose candidates are the same share one ``TrackSet`` object."""


class PairResults(Results):
    """Results of a method that scores every (observation, expression) pair of given tracks.

    Args:
        video: Name of the video.
        tracks: The n scored observations, the candidates of every expression.
        expressions: The E expressions.
        logits: (n, E, 2) float32, (no, yes); may be mapped from a file.
        file: The file, if they are from one.

    Raises:
        ValueError: The logits' shape is not (n, E, 2).
    """

    keeps_rejected = True

    def __init__(
        self, video: str, tracks: TrackSet, expressions: Sequence[Expression], logits: np.ndarray, file: Path | None = None
    ) -> None:
        wanted = (len(tracks), len(expressions), 2)
        if logits.shape != wanted:
            raise ValueError(f"logits of shape {wanted} expected, {logits.shape} found")
        self.video, self.tracks, self.expressions, self.logits, self.file = video, tracks, tuple(expressions), logits, file

    def __getitem__(self, index: int) -> ExpressionResult:
        """The result of expression ``index``: accepted where logit(yes) > logit(no), scored by their softmax."""
        logits = np.asarray(self.logits[:, index], np.float64)
        with np.errstate(over="ignore"):
            score = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        return ExpressionResult(self.expressions[index], self.tracks, score, logits[:, 1] > logits[:, 0])

    @property
    def accepted(self) -> np.ndarray:
        """(n, E) bool: logit(yes) > logit(no), of all expressions together."""
        return self.logits[..., 1] > self.logits[..., 0]

    @property
    def probability(self) -> np.ndarray:
        """(n, E) float32 in [0, 1]: softmax of the two logits at "yes", of all expressions together."""
        return 1 / (1 + np.exp(np.clip(self.logits[..., 0] - self.logits[..., 1], -80, 80)))


class RowResults(Results):
    """Results of a method with tracks of its own for every expression.

    Args:
        video: Name of the video.
        expressions: The E expressions.
        expression: (r,) index of each row's expression, increasing.
        columns: ``frame``, ``identity``, ``box``, ``category``, ``score`` and ``accepted`` of the r rows, within an
            expression sorted by frame and identity; may be mapped from a file.
        categories: Names of the categories.
        keeps_rejected: Whether rows that were not accepted are among them.
        file: The file, if they are from one.
    """

    def __init__(
        self,
        video: str,
        expressions: Sequence[Expression],
        expression: np.ndarray,
        columns: dict[str, np.ndarray],
        categories: Sequence[str] = (),
        keeps_rejected: bool = True,
        file: Path | None = None,
    ) -> None:
        self.video, self.expressions, self.keeps_rejected = video, tuple(expressions), keeps_rejected
        self.columns, self.categories, self.file = columns, tuple(categories), file
        self.starts = np.searchsorted(expression, np.arange(len(self.expressions) + 1))

    def __getitem__(self, index: int) -> ExpressionResult:
        """The result of expression ``index``."""
        rows = slice(int(self.starts[index]), int(self.starts[index + 1]))
        part = {name: np.array(column[rows]) for name, column in self.columns.items()}
        score, accepted = part.pop("score"), part.pop("accepted")
        tracks = TrackSet.build(**part, confidence=score, categories=self.categories)
        return ExpressionResult(self.expressions[index], tracks, score, accepted)
