"""Counts what papers report of a dataset: videos, boxes, trajectories, sentences, and how they refer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexhook.datasets.attributes import ATTRIBUTES, attributes
from flexhook.structures import Video


@dataclass(frozen=True, eq=False)
class SplitStats:
    """Numbers of one split.

    Attributes:
        videos: Names of its videos.
        frames: Frames of all videos.
        boxes: True boxes.
        track_length: (number of trajectories,) observations of each.
        box_height: (boxes,) heights in pixels of the original frame.
        sentences: The sentence of every expression.
        referents: (expressions,) identities that each refers to.
        referent_boxes: (expressions,) observations that each refers to.
        pairs: Number of (observation, expression) pairs of the same video.
    """

    videos: tuple[str, ...]
    frames: int
    boxes: int
    track_length: np.ndarray
    box_height: np.ndarray
    sentences: tuple[str, ...]
    referents: np.ndarray
    referent_boxes: np.ndarray
    pairs: int

    @property
    def words(self) -> list[int]:
        """Words of every expression."""
        return [len(_words(sentence)) for sentence in self.sentences]

    @property
    def vocabulary(self) -> set[str]:
        """The words that occur, in lower case."""
        return {word for sentence in self.sentences for word in _words(sentence)}

    @property
    def positives(self) -> float:
        """Share of the (observation, expression) pairs in which the expression refers to the observation."""
        return float(self.referent_boxes.sum() / self.pairs) if self.pairs else 0.0

    @property
    def groups(self) -> dict[str, int]:
        """Number of expressions that name each attribute."""
        named = [attributes(sentence) for sentence in self.sentences]
        return {attribute: sum(attribute in a for a in named) for attribute in ATTRIBUTES}

    def values(self, attribute: str) -> dict[str, int]:
        """Number of expressions per value of an attribute, the most frequent first."""
        found = (attributes(sentence).get(attribute) for sentence in self.sentences)
        return dict(Counter(value for value in found if value is not None).most_common())

    def to_dict(self) -> dict[str, Any]:
        """The numbers for JSON and tables."""
        sentences = {s.lower() for s in self.sentences}
        return {
            "videos": len(self.videos),
            "frames": self.frames,
            "tracks": len(self.track_length),
            "boxes": self.boxes,
            "boxes per frame": _ratio(self.boxes, self.frames),
            "track length, mean": _mean(self.track_length),
            "track length, median": float(np.median(self.track_length)) if len(self.track_length) else 0.0,
            "expressions": len(self.sentences),
            "expressions per video": _ratio(len(self.sentences), len(self.videos)),
            "distinct sentences": len(sentences),
            "words": sum(self.words),
            "words per expression": _mean(self.words),
            "distinct words": len(self.vocabulary),
            "referents per expression": _mean(self.referents),
            "referent boxes per expression": _mean(self.referent_boxes),
            "expressions without referents": int((self.referents == 0).sum()),
            "share of positives": self.positives,
            **{f"expressions naming {attribute}": count for attribute, count in self.groups.items()},
        }


def split_stats(videos: Sequence[Video]) -> SplitStats:
    """Count the videos of a split."""
    lengths, heights, referents, referent_boxes, sentences = [], [], [], [], []
    for video in videos:
        lengths += [len(rows) for rows in video.truth.tracks().values()]
        heights.append(video.truth.box[:, 3] - video.truth.box[:, 1])
        sentences += [expression.sentence for expression in video.expressions]
        column = video.labels.tocsc()
        for start, stop in zip(column.indptr[:-1], column.indptr[1:], strict=True):
            referents.append(len(np.unique(video.truth.identity[column.indices[start:stop]])))
            referent_boxes.append(int(stop - start))
    return SplitStats(
        tuple(video.name for video in videos),
        sum(video.num_frames for video in videos),
        sum(len(video.truth) for video in videos),
        np.array(lengths, np.int64),
        np.concatenate([np.zeros(0), *heights]),
        tuple(sentences),
        np.array(referents, np.int64),
        np.array(referent_boxes, np.int64),
        sum(len(video.truth) * len(video.expressions) for video in videos),
    )


def unseen_share(train: SplitStats, other: SplitStats) -> float:
    """Share of a split's expressions whose sentence (case apart) does not occur in training; 0 without expressions."""
    known = {sentence.lower() for sentence in train.sentences}
    return _mean([sentence.lower() not in known for sentence in other.sentences])


def table(columns: dict[str, dict[str, Any]]) -> str:
    """Numbers side by side: a row per number, a column per split.

    Args:
        columns: ``{split: {name: number}}``; a number that a column lacks is left blank.
    """
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    first = max([*map(len, names), 0])
    lines = [" " * first + "".join(f"{split:>14}" for split in columns)]
    for name in names:
        cells = (_cell(column[name]) if name in column else "" for column in columns.values())
        lines.append(f"{name:<{first}}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def _cell(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:,.1f}"


def _words(sentence: str) -> list[str]:
    return re.findall(r"[\w']+", sentence.lower())


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0
