"""Trajectories of one video as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class TrackSet:
    """The observations of one video, one row per (frame, identity), sorted by frame and then identity.

    Attributes:
        frame: (n,) int64, 0-based frame index.
        identity: (n,) int64, identity of the object within its video; unique within a frame.
        box: (n, 4) float64, (x1, y1, x2, y2) in pixels of the *original* frame; may hang over the border.
        category: (n,) int16, index into ``categories``; -1 where unknown.
        confidence: (n,) float32, the detector's or tracker's score; 1 for ground truth.
        categories: Names of the categories, e.g. ``("pedestrian", "car")``.
    """

    frame: np.ndarray
    identity: np.ndarray
    box: np.ndarray
    category: np.ndarray
    confidence: np.ndarray
    categories: tuple[str, ...] = field(default=())

    @classmethod
    def build(
        cls,
        frame: Sequence[int] | np.ndarray,
        identity: Sequence[int] | np.ndarray,
        box: Sequence[Sequence[float]] | np.ndarray,
        category: Sequence[int] | np.ndarray | None = None,
        confidence: Sequence[float] | np.ndarray | None = None,
        categories: Sequence[str] = (),
    ) -> TrackSet:
        """Make a set from columns in any order: types are converted and rows are sorted.

        Raises:
            ValueError: Columns of different length, or two rows with the same frame and identity.
        """
        frame = np.asarray(frame, dtype=np.int64).reshape(-1)
        n = len(frame)
        identity = np.asarray(identity, dtype=np.int64).reshape(-1)
        box = np.asarray(box, dtype=np.float64).reshape(-1, 4)
        category = np.full(n, -1, np.int16) if category is None else np.asarray(category, np.int16).reshape(-1)
        confidence = np.ones(n, np.float32) if confidence is None else np.asarray(confidence, np.float32).reshape(-1)
        lengths = {len(frame), len(identity), len(box), len(category), len(confidence)}
        if len(lengths) > 1:
            raise ValueError(f"columns of one length expected, lengths {sorted(lengths)} found")
        order = np.lexsort((identity, frame))
        frame, identity = frame[order], identity[order]
        same = (np.diff(frame) == 0) & (np.diff(identity) == 0)
        if same.any():
            k = int(np.flatnonzero(same)[0])
            raise ValueError(f"identity {identity[k]} occurs twice in frame {frame[k]}")
        return cls(frame, identity, box[order], category[order], confidence[order], tuple(categories))

    @classmethod
    def empty(cls, categories: Sequence[str] = ()) -> TrackSet:
        """A set without observations."""
        return cls.build([], [], np.zeros((0, 4)), categories=categories)

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, rows: np.ndarray) -> TrackSet:
        """The rows of a boolean mask or an increasing index array, as a set of its own."""
        return TrackSet(
            self.frame[rows], self.identity[rows], self.box[rows], self.category[rows], self.confidence[rows],
            self.categories,
        )

    def tracks(self) -> dict[int, np.ndarray]:
        """Row indices of each identity in the order of time: ``{identity: (k,) int64}``."""
        if not len(self):
            return {}
        order = np.argsort(self.identity, kind="stable")
        ids, starts = np.unique(self.identity[order], return_index=True)
        return {int(i): rows for i, rows in zip(ids, np.split(order, starts[1:]), strict=True)}

    def rows_of(self, frame: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """Row of each (frame, identity) pair, -1 where there is none. Shapes (m,), (m,) -> (m,) int64."""
        frame, identity = np.asarray(frame, np.int64), np.asarray(identity, np.int64)
        out = np.full(len(frame), -1, np.int64)
        if not len(self) or not len(frame):
            return out
        ids, code = np.unique(self.identity, return_inverse=True)
        mine = self.frame * len(ids) + code
        wanted_code = np.minimum(np.searchsorted(ids, identity), len(ids) - 1)
        wanted = frame * len(ids) + wanted_code
        at = np.minimum(np.searchsorted(mine, wanted), len(mine) - 1)
        hit = (mine[at] == wanted) & (ids[wanted_code] == identity)
        out[hit] = at[hit]
        return out
