"""Temporal integration: a window's sampled features and its motion become trajectory tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flexhook.methods.two_stage.layers import ResidualMLP


def displacements(points: Tensor) -> Tensor:
    """Motion channels of a window.

    Args:
        points: (B, T, K, 2) grid coordinates.

    Returns:
        (B, T, K, 2): p(t+1) - p(t) for t < T-1, the position p(T-1) itself for the last frame.
    """
    return torch.cat([points[:, 1:] - points[:, :-1], points[:, -1:]], dim=1)


def positions_only(points: Tensor) -> Tensor:
    """The motion channels without motion, for the ablation: zeros for t < T-1 and p(T-1). Shapes as :func:`displacements`."""
    return torch.cat([torch.zeros_like(points[:, 1:]), points[:, -1:]], dim=1)


class TemporalIntegration(nn.Module):
    """T frames of grid features and their displacements to h_s * w_s trajectory tokens per window and scale.

    Args:
        channels: C_s per scale.
        width: D.
        grids: Per scale (h_s, w_s).
        num_frames: T. A larger T sees slower motion and costs quadratically in the first map.
        motion: Function from grid coordinates to the two motion channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        grids: Sequence[tuple[int, int]],
        num_frames: int = 4,
        motion=displacements,
    ) -> None:
        super().__init__()
        self.grids, self.motion = [tuple(g) for g in grids], motion
        sizes = [num_frames * (c + 2) for c in channels]
        self.norm = nn.ModuleList(nn.LayerNorm(n) for n in sizes)
        self.mlp = nn.ModuleList(ResidualMLP(n, width) for n in sizes)
        self.reduction = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1), nn.Conv2d(width, width, 1))
            for _ in channels[1:]
        )

    def own_tokens(self, scale: int, features: Tensor, points: Tensor) -> Tensor:
        """Tokens of one scale before the finer scale's are added.

        Args:
            scale: Index of the scale.
            features: (B, T, K, C_s) sampled features.
            points: (B, T, K, 2) where they were sampled.

        Returns:
            (B, K, D).
        """
        x = torch.cat([features, self.motion(points).to(features.dtype)], dim=-1)  # (B, T, K, C + 2)
        x = x.transpose(1, 2).flatten(2)  # (B, K, T * (C + 2)), frame by frame
        return self.mlp[scale](self.norm[scale](x))

    def forward(self, features: Sequence[Tensor], points: Sequence[Tensor]) -> list[Tensor]:
        """Trajectory tokens of all scales.

        Args:
            features: Per scale (B, T, h_s * w_s, C_s).
            points: Per scale (B, T, h_s * w_s, 2).

        Returns:
            Per scale (B, h_s * w_s, D); from the second on with the reduced tokens of the scale before.
        """
        out: list[Tensor] = []
        for s, (f, p) in enumerate(zip(features, points, strict=True)):
            tokens = self.own_tokens(s, f, p)
            if s:
                finer = out[-1].transpose(1, 2).unflatten(2, self.grids[s - 1])  # (B, D, h, w)
                tokens = tokens + self.reduction[s - 1](finer).flatten(2).transpose(1, 2)
            out.append(tokens)
        return out

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place."""
        self.norm, self.mlp, self.reduction = self.norm[:count], self.mlp[:count], self.reduction[: count - 1]
