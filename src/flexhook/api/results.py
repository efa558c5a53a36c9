"""What a prediction gives: the tracks that each sentence refers to, as tables, files and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flexhook.datasets.mot import write_mot
from flexhook.errors import InputError
from flexhook.inference.decisions import Decision
from flexhook.structures import Expression, ExpressionResult, TrackSet, Video
from flexhook.structures.boxes import xyxy_to_xywh
from flexhook.structures.files import atomic_write
from flexhook.structures.result_files import read_results

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("frame", "seconds", "identity", "x", "y", "width", "height", "probability")


@dataclass(frozen=True, eq=False, repr=False)
class SentenceResult:
    """What a sentence refers to in a video.

    Attributes:
        expression: The sentence and its file name.
        tracks: All n candidates, frames 0-based, boxes (x1, y1, x2, y2) in pixels.
        score: (n,) floats in [0, 1]: the probability that the sentence refers to the observation.
        accepted: (n,) bool, after threshold, vote and ``top_k``.
        video: The video.
        frame_rate: Its frames per second; None where that is not known.

    Example:
        >>> cars = result["white cars"]  # doctest: +SKIP
        >>> cars.to_dataframe().groupby("identity").seconds.agg(["min", "max"])  # doctest: +SKIP
    """

    expression: Expression
    tracks: TrackSet
    score: np.ndarray
    accepted: np.ndarray
    video: Video
    frame_rate: float | None = None

    def __repr__(self) -> str:
        chosen = self.chosen
        return f"SentenceResult(“{self.sentence}”: {len(chosen.tracks())} tracks, {len(chosen)} boxes)"

    @property
    def sentence(self) -> str:
        """The sentence."""
        return self.expression.sentence

    @property
    def chosen(self) -> TrackSet:
        """The accepted observations."""
        return self.tracks.select(self.accepted)

    def closest(self, count: int = 3) -> list[tuple[int, float]]:
        """The tracks with the largest mean probability, accepted or not: (identity, mean probability), the largest first."""
        means = [(identity, float(self.score[rows].mean())) for identity, rows in self.tracks.tracks().items()]
        return sorted(means, key=lambda pair: (-pair[1], pair[0]))[:count]

    def to_dataframe(self, rejected: bool = False) -> pd.DataFrame:
        """A row per observation.

        Args:
            rejected: Give the observations that were not accepted, too, with a column ``accepted``.

        Returns:
            Columns ``frame`` (0-based), ``seconds`` from the video's begin (NaN where its frame rate is not known),
            ``identity``, ``x``, ``y`` (top-left corner), ``width``, ``height`` in pixels, and ``probability``; sorted by frame
            and identity.
        """
        import pandas as pd

        rows = np.ones(len(self.tracks), bool) if rejected else self.accepted
        tracks = self.tracks.select(rows)
        seconds = self._seconds(tracks.frame)
        values = (tracks.frame, seconds, tracks.identity, *xyxy_to_xywh(tracks.box).T, self.score[rows])
        table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
        return table.assign(accepted=self.accepted[rows]) if rejected else table

    def _seconds(self, frames: np.ndarray) -> np.ndarray:
        """When frames are shown: by the video's timestamps, unless another frame rate was given."""
        if not self.frame_rate:
            return np.full(len(frames), np.nan)
        if self.frame_rate != self.video.frames.frame_rate:
            return frames / self.frame_rate
        return np.array([self.video.frames.seconds(int(frame)) for frame in frames], float)

    def to_mot(self, path: str | Path, first_frame: int = 1) -> Path:
        """Write the accepted observations as a MOT file.

        Args:
            path: The file, or a folder for a file named after the sentence.
            first_frame: Number to give to the first frame.

        Returns:
            The file: rows ``frame,id,x,y,w,h,confidence,-1,-1,-1`` in pixels.
        """
        path = self._file(path, ".txt")
        write_mot(path, self.chosen, first_frame=first_frame)
        return path

    def to_csv(self, path: str | Path) -> Path:
        """Write :meth:`to_dataframe` as a CSV file.

        Args:
            path: The file, or a folder for a file named after the sentence.
        """
        path = self._file(path, ".csv")
        table = self.to_dataframe().round({"seconds": 3, "x": 2, "y": 2, "width": 2, "height": 2, "probability": 4})
        with atomic_write(path) as temporary:
            table.to_csv(temporary, index=False)
        return path

    def render(self, path: str | Path, frame_rate: float | None = None, *, frames: Iterable[int] | None = None) -> Path:
        """Write an overlay video: the accepted boxes with identity and probability, a colour per identity.

        Args:
            path: The mp4 file, or a folder for a file named after the sentence.
            frame_rate: Frames per second; None is the video's, 10 where that is not known.
            frames: The frames to show, for example behind a progress bar; all of them by default.
        """
        from flexhook.visualization.outcomes import ScoredExpression
        from flexhook.visualization.overlay import write_overlay

        result = ExpressionResult(self.expression, self.tracks, self.score, self.accepted)
        return write_overlay(self._file(path, ".mp4"), ScoredExpression.of(self.video, result), frames=frames,
                             frame_rate=frame_rate or self.frame_rate or 10.0)

    def _file(self, path: str | Path, suffix: str) -> Path:
        path = Path(path).expanduser()
        return path if path.suffix.lower() == suffix else path / f"{self.expression.slug}{suffix}"


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Mapping[str, SentenceResult]):
    """The results of a video by sentence, in the order in which the sentences were given.

    Attributes:
        video: The video.
        results: Sentence -> result.

    Example:
        >>> result = model.predict("clip.mp4", ["white cars", "people"], tracks="tracks.txt")  # doctest: +SKIP
        >>> result["people"].accepted.sum()  # doctest: +SKIP
        >>> result.to_mot("out/"); result.render("out.mp4")  # doctest: +SKIP
    """

    video: Video
    results: dict[str, SentenceResult] = field(default_factory=dict)

    def __getitem__(self, sentence: str) -> SentenceResult:
        try:
            return self.results[sentence.strip()]
        except KeyError:
            raise KeyError(f"“{sentence}” was not asked; the sentences are {list(self.results)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        lines = [f"  {result!r}" for result in self.values()]
        return "\n".join([f"Prediction of {self.video.name}, {self.video.num_frames} frames:", *lines])

    def to_dataframe(self, rejected: bool = False) -> pd.DataFrame:
        """The tables of all sentences below each other, with a first column ``sentence``."""
        import pandas as pd

        tables = [result.to_dataframe(rejected) for result in self.values()]
        for table, sentence in zip(tables, self, strict=True):
            table.insert(0, "sentence", sentence)
        return pd.concat(tables, ignore_index=True)

    def to_mot(self, folder: str | Path, first_frame: int = 1) -> dict[str, Path]:
        """Write a MOT file per sentence, ``<sentence with hyphens>.txt``; returns sentence -> file."""
        _refuse_file(folder)
        return {sentence: result.to_mot(Path(folder), first_frame) for sentence, result in self.items()}

    def to_csv(self, folder: str | Path) -> dict[str, Path]:
        """Write a CSV file per sentence, ``<sentence with hyphens>.csv``; returns sentence -> file."""
        _refuse_file(folder)
        return {sentence: result.to_csv(Path(folder)) for sentence, result in self.items()}

    def render(
        self, path: str | Path, frame_rate: float | None = None, *, frames: Iterable[int] | None = None
    ) -> list[Path]:
        """Write overlay videos.

        Args:
            path: An mp4 file for one video with all sentences, or a folder for one each.
            frame_rate: Frames per second; None is the video's, 10 where that is not known.
            frames: The frames to show; all of them by default.

        Returns:
            The files.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() != ".mp4":
            _refuse_file(path)
            return [result.render(path, frame_rate, frames=frames) for result in self.values()]
        if len(self) == 1:
            return [result.render(path, frame_rate, frames=frames) for result in self.values()]
        from flexhook.visualization.sentences_overlay import write_sentences_overlay

        results = [ExpressionResult(r.expression, r.tracks, r.score, r.accepted) for r in self.values()]
        rate = next(iter(self.values())).frame_rate
        return [write_sentences_overlay(path, self.video, results, frames=frames, frame_rate=frame_rate or rate or 10.0)]


def _refuse_file(folder: str | Path) -> None:
    if Path(folder).expanduser().is_file():
        raise InputError("a file is where a folder is expected", file=folder, expected="a folder, or one that is not there yet")


def read_prediction(folder: str | Path, video: Video, decision: Decision, frame_rate: float | None = None) -> Prediction:
    """The results of a video from a folder of scores.

    Args:
        folder: The folder.
        video: The video.
        decision: How sentences are accepted.
        frame_rate: Frames per second; None for the video's own.
    """
    rate = frame_rate or video.frames.frame_rate
    return Prediction(video, {
        r.expression.sentence: SentenceResult(r.expression, r.tracks, r.score, decision.accepted(r), video, rate)
        for r in read_results(folder, video.name)
    })
