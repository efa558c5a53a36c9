"""Feature maps of frames as rows, and bilinear samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from flexhook.methods.two_stage.layers import at_least_float32


@dataclass
class FrameMaps:
    """Feature maps of F frames, stored as rows so that any (frame, point) can be sampled without copying a map.

    Attributes:
        rows: Per scale (F * h * w, C).
        shapes: Per scale (h, w).
        images: The frames themselves, (F, 3, H, W) uint8 RGB, for a model that crops them; None where nobody asked.
    """

    rows: list[Tensor]
    shapes: list[tuple[int, int]]
    images: Tensor | None = None

    @classmethod
    def from_maps(cls, maps: Sequence[Tensor], images: Tensor | None = None) -> FrameMaps:
        """From channels-first maps (F, C, h, w), finest scale first; samples are interpolated in float32 at least."""
        rows = [at_least_float32(m.permute(0, 2, 3, 1).reshape(-1, m.shape[1])) for m in maps]
        return cls(rows, [(m.shape[2], m.shape[3]) for m in maps], images)


def sample_rows(rows: Tensor, shape: tuple[int, int], frame: Tensor, points: Tensor, align_corners: bool) -> Tensor:
    """Bilinear samples of feature maps at points; zeros outside the map.

    Args:
        rows: (F * h * w, C) feature rows.
        shape: (h, w).
        frame: (P,) int64, the frame of each group of points.
        points: (P, K, 2), (x, y) in [-1, 1].
        align_corners: True: -1 and 1 are the centres of the border cells; False: the outer edges of the map.

    Returns:
        (P, K, C).
    """
    h, w = shape
    size = points.new_tensor([w, h])
    at = (points + 1) / 2 * (size - 1) if align_corners else ((points + 1) * size - 1) / 2  # in cells
    low = at.detach().floor()
    part = at - low  # (P, K, 2)
    corners = low.long()[..., None, :] + torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], device=points.device)
    weight_x = torch.stack([1 - part[..., 0], part[..., 0]], -1)
    weight_y = torch.stack([1 - part[..., 1], part[..., 1]], -1)
    weight = (weight_y[..., :, None] * weight_x[..., None, :]).flatten(-2)  # (P, K, 4), x runs first
    x, y = corners.unbind(-1)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    weight = weight * inside
    index = (frame[:, None, None] * h + y.clamp(0, h - 1)) * w + x.clamp(0, w - 1)
    flat = F.embedding_bag(
        index.reshape(-1, 4), rows, per_sample_weights=weight.reshape(-1, 4).to(rows.dtype), mode="sum"
    )
    return flat.view(*points.shape[:2], -1)
