"""Multi-scale deformable attention (Zhu et al., ICLR 2021) in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.methods.one_stage.geometry import full_precision


class DeformableAttention(nn.Module):
    """Every query samples a few points around its reference on every level and averages them with weights of its own.

    Args:
        width: d, channels of queries and source.
        heads: Attention heads.
        levels: Levels of the source.
        points: Points per head and level. More see more and cost in proportion.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Point j of head k starts j + 1 cells from the reference, in direction 2 pi k / heads; all weights are equal."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)[:, None]
        offsets = (direction[:, None, None] * steps).expand(-1, self.levels, -1, -1)  # (heads, levels, points, 2)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, reference: Tensor, source: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Attend.

        Args:
            query: (Q, d), positions included.
            reference: (Q, 2) points or (Q, 4) boxes (cx, cy, w, h), as fractions of the image.
            source: (S, d) tokens of all levels, each level row-major.
            shapes: (height, width) of each level.

        Returns:
            (Q, d).
        """
        grid = (self.heads, self.levels, self.points)
        offsets = full_precision(self.sampling_offsets(query)).unflatten(-1, (*grid, 2))
        weights = self.attention_weights(query).unflatten(-1, (self.heads, -1)).softmax(-1).unflatten(-1, grid[1:])
        centre = reference[:, None, None, None, :2]
        if reference.shape[-1] == 2:
            sizes = offsets.new_tensor([(w, h) for h, w in shapes])  # (levels, 2)
            location = centre + offsets / sizes[:, None]
        else:
            location = centre + offsets / self.points * reference[:, None, None, None, 2:] * 0.5
        return self.output_proj(sample(self.value_proj(source), shapes, location, weights))


def sample(value: Tensor, shapes: Sequence[tuple[int, int]], location: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples, zeros outside the maps.

    Args:
        value: (S, d) tokens of all levels, channels by head.
        shapes: (height, width) of each level.
        location: (Q, heads, levels, points, 2), (x, y) as fractions of the image.
        weights: (Q, heads, levels, points).

    Returns:
        (Q, d).
    """
    heads = location.shape[1]
    grid = 2 * location - 1
    sampled = []
    for level, part in enumerate(value.to(grid.dtype).split([h * w for h, w in shapes])):
        maps = part.unflatten(-1, (heads, -1)).permute(1, 2, 0).unflatten(-1, shapes[level])  # (heads, d / heads, h, w)
        at = grid[:, :, level].transpose(0, 1)  # (heads, Q, points, 2)
        sampled.append(F.grid_sample(maps, at, mode="bilinear", padding_mode="zeros", align_corners=False))
    values = torch.stack(sampled, -2)  # (heads, d / heads, Q, levels, points)
    return torch.einsum("hcqlp,qhlp->qhc", values, weights.to(values.dtype)).flatten(1)
