"""Which sequences of a split count: those of a list, and those without predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flexhook.datasets.reader import Reader
from flexhook.datasets.sequence_list import SequenceList, few
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Expression, ExpressionResult, Results, TrackSet, Video
from flexhook.structures.result_files import AGAIN, read_results, result_file

#: What may be done with sequences that have no predictions.
MISSING = ("error", "empty")


class SelectedResults(Results):
    """Results for some expressions, in an order of their own; those that are not among the results have no predictions.

    Args:
        video: Name of the video.
        expressions: The expressions.
        results: The results; None where there are none at all.
    """

    def __init__(self, video: str, expressions: Sequence[Expression], results: Results | None) -> None:
        self.video, self.expressions, self.results = video, tuple(expressions), results
        self.keeps_rejected = results is None or results.keeps_rejected
        self.file = None if results is None else results.file
        self._index = {} if results is None else {e.slug: k for k, e in enumerate(results.expressions)}
        self._nothing = TrackSet.empty()

    def __getitem__(self, index: int) -> ExpressionResult:
        """The result of expression ``index``."""
        expression = self.expressions[index]
        if self.results is None or expression.slug not in self._index:
            return ExpressionResult(expression, self._nothing, np.zeros(0), np.zeros(0, bool))
        return self.results[self._index[expression.slug]]


class Selection:
    """The videos of a split with their results, and what was left out or is missing.

    Args:
        reader: The dataset.
        scores: The folder of scores.
        names: The videos of the split.
        sequences: The sequences that count; None for all.
        missing: What to do with videos and expressions without scores: ``"error"``, or ``"empty"``: nothing is predicted.

    Attributes:
        left_out: ``video+expression`` of the sequences that the list leaves out, of the videos so far.
        absent: Those that count as empty.

    Raises:
        ConfigError: An unknown choice.
        InputError: The list names another video, or videos have no scores.
    """

    def __init__(
        self, reader: Reader, scores: Path, names: Sequence[str], sequences: SequenceList | None = None, missing: str = "error"
    ) -> None:
        if missing not in MISSING:
            raise ConfigError(f"missing is {missing!r}", expected=" or ".join(MISSING))
        self.reader, self.scores, self.sequences, self.missing = reader, scores, sequences, missing
        self.all_names = list(names)
        self.names = self.all_names if sequences is None else sequences.videos(self.all_names)
        self.left_out: list[str] = []
        self.absent: list[str] = []
        lacking = [name for name in self.names if not result_file(scores, name).is_file()]
        if lacking and missing == "error":
            raise InputError(
                f"{len(lacking)} of {len(self.names)} videos have no scores: {few(lacking, 20)}",
                file=result_file(scores, lacking[0]), expected="scores of every video of the split",
                hint=f"{AGAIN}; `flexhook evaluate ... missing=empty` counts them as nothing predicted")
        self._lacking = set(lacking)

    def __iter__(self) -> Iterator[tuple[Video, Results]]:
        """Each video with its results, of the sequences that count."""
        self.left_out, self.absent = [], []
        for name in self.all_names:
            if name in self.names:
                yield self._pair(name)
            else:
                self.left_out += [f"{name}+{expression.slug}" for expression in self.reader.read_expressions(name)]

    def say(self, say: Callable[[str], object]) -> None:
        """Tell what was left out and what counts as empty."""
        if self.sequences is not None:
            rest = f": {few(self.left_out)}" if self.left_out else ""
            say(f"{self.sequences.file} lists {len(self.sequences)} sequences and leaves out {len(self.left_out)}{rest}")
        if self.absent:
            say(f"{len(self.absent)} sequences without predictions count as empty: {few(self.absent)}")

    def _pair(self, name: str) -> tuple[Video, Results]:
        video = self.reader.read(name)
        results = None if name in self._lacking else read_results(self.scores, name)
        if self.sequences is not None:
            columns = self.sequences.chosen(name, video.expressions)
            kept = tuple(video.expressions[k] for k in columns)
            self.left_out += [f"{name}+{e.slug}" for k, e in enumerate(video.expressions) if k not in set(columns)]
            video = replace(video, expressions=kept, labels=video.labels.tocsc()[:, columns].tocsr())
        if self.sequences is None and self.missing == "error":
            return video, results  # type: ignore[return-value]
        known = {e.slug for e in video.expressions}
        scored = {} if results is None else {e.slug: e for e in results.expressions}
        absent = [e for e in video.expressions if e.slug not in scored] if self.missing == "empty" else []
        self.absent += [f"{name}+{e.slug}" for e in absent]
        unknown = [e for e in scored.values() if e.slug not in known] if self.sequences is None else []  # refused later
        wanted = [*(scored[e.slug] for e in video.expressions if e.slug in scored), *absent, *unknown]
        return video, SelectedResults(name, wanted, results)
