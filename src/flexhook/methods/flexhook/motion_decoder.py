"""A pairwise correspondence decoder whose queries know from the start how the object moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.two_stage.layers import at_least_float32


class MotionQueryDecoder(PairwiseCorrespondenceDecoder):
    """The pairwise correspondence decoder with motion queries.

    Whether an object moves is a product of what its box says: of the changes from box to box, its place and its size. The
    published queries are linear in the boxes, which hardly differ from frame to frame, and what the first attention adds to
    them is larger than they are; motion is then learnt in some thousand steps. Here the embedding of the boxes begins with the
    last box and the changes, and passes a residual MLP before the first attention. An alignment
    (:class:`~flexhook.methods.flexhook.alignment.TrajectoryAlignment`) teaches these queries, too.

    Args:
        width: D.
        num_scales: S.
        num_frames: T; the queries start from the T boxes.
        heads: Attention heads.
        gain: Of the changes from box to box, which are some hundredths of the frame, in the embedding's first values. A larger
            one attends more to motion at first.
        expansion: The MLP has this many times D hidden units.

    Raises:
        ConfigError: ``gain`` is no number from 0, or ``expansion`` no whole number from 1.
    """

    def __init__(
        self, width: int, num_scales: int, num_frames: int = 4, heads: int = 8, gain: float = 40.0, expansion: int = 4
    ) -> None:
        super().__init__(width, num_scales, num_frames, heads)
        if type(gain) not in (int, float) or not 0 <= gain < float("inf"):
            raise ConfigError(f"decoder.gain is {gain!r}", expected="a number, 0 or more")
        if type(expansion) is not int or expansion < 1:
            raise ConfigError(f"decoder.expansion is {expansion!r}", expected="a whole number, 1 or more")
        self.query_norm = nn.LayerNorm(width)
        self.query_in, self.query_out = nn.Linear(width, expansion * width), nn.Linear(expansion * width, width)
        self._begin_with_changes(gain)

    @torch.no_grad()
    def _begin_with_changes(self, gain: float) -> None:
        """A normal row for every coordinate of the last box, and one times ``gain`` for every change from box to box."""
        frames = len(self.box_embedding) // 4
        change = gain * torch.randn(frames - 1, 4, self.width)
        rows = torch.zeros(frames, 4, self.width)
        rows[-1] = torch.randn(4, self.width)
        rows[1:] += change
        rows[:-1] -= change
        self.box_embedding.copy_(rows.flatten(0, 1))

    def first_query(self, boxes: Tensor) -> Tensor:
        """As of the parent, then q + MLP(LayerNorm(q)): boxes (B, T, 4) as (x1, y1, x2, y2) fractions -> (B, 1, D)."""
        query = super().first_query(boxes)
        with torch.autocast(query.device.type, enabled=False):
            query = at_least_float32(query)
            return query + self.query_out(F.gelu(self.query_in(self.query_norm(query))))
