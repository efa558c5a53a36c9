"""The track table: the instances that go from frame to frame, detection queries first, tracks after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass
class TrackTable:
    """Q instances as columns.

    Attributes:
        query: (Q, 2d) query positions, then contents.
        reference: (Q, 2) logits of the reference points.
        embedding: (Q, d) output embeddings, of the decoder or refined.
        class_logits: (Q, 1).
        refer_logits: (Q, 1).
        boxes: (Q, 4) (cx, cy, w, h), fractions of the image.
        scores: (Q,) class probabilities, without gradient.
        identity: (Q,) int64; -1 for none.
        disappear_time: (Q,) int64, frames that a track was missed.
        iou: (Q,) overlap with the truth that an instance last had.
        history: (Q, H, d) embeddings of the last frames, the newest last; H = 0 without a memory.
        empty: (Q, H) bool, True where the history holds nothing.
    """

    query: Tensor
    reference: Tensor
    embedding: Tensor
    class_logits: Tensor
    refer_logits: Tensor
    boxes: Tensor
    scores: Tensor
    identity: Tensor
    disappear_time: Tensor
    iou: Tensor
    history: Tensor
    empty: Tensor

    @classmethod
    def fresh(cls, query: Tensor, reference: Tensor, history: int, iou: float) -> TrackTable:
        """Instances that have seen nothing yet.

        Args:
            query: (N, 2d).
            reference: (N, 2) logits.
            history: H.
            iou: What their overlap counts as.
        """
        n, d = query.shape[0], query.shape[1] // 2

        def zeros(*shape: int) -> Tensor:
            return reference.new_zeros(n, *shape)

        whole = torch.zeros(n, dtype=torch.int64, device=query.device)
        empty = torch.ones(n, history, dtype=torch.bool, device=query.device)
        return cls(query, reference, zeros(d), zeros(1), zeros(1), zeros(4), zeros(), whole - 1, whole.clone(), zeros() + iou,
                   zeros(history, d), empty)

    def __len__(self) -> int:
        return len(self.query)

    def select(self, rows: Tensor) -> TrackTable:
        """The rows of a mask or an index."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @staticmethod
    def cat(tables: Sequence[TrackTable]) -> TrackTable:
        """Several tables, one after the other."""
        return TrackTable(**{f.name: torch.cat([getattr(t, f.name) for t in tables]) for f in fields(TrackTable)})
