"""C-Hook: target features and language-conditioned features, both sampled from one encoding of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.frame_maps import FrameMaps, sample_rows
from flexhook.methods.two_stage.layers import AttentionBlock, ResidualMLP, SharedTokens, at_least_float32


class NeighbouringGridSampling(nn.Module):
    """Target features: a grid of cell centres inside a box, the same number of points whatever the box's size.

    Args:
        grids: Per scale (h_s, w_s) grid points; the first is the finest, coarser ones are means of it over equal cells.
        finest: (h, w) of the grid that all of them are means of.
    """

    def __init__(self, grids: Sequence[tuple[int, int]], finest: tuple[int, int] = (16, 48)) -> None:
        super().__init__()
        for h, w in grids:
            if finest[0] % h or finest[1] % w:
                raise ConfigError(f"a grid of {h}x{w} does not divide the finest, {finest[0]}x{finest[1]}, into equal cells",
                                  expected="sides that divide those of the finest grid", hint="Change grid")
        self.grids, self.finest = [tuple(g) for g in grids], tuple(finest)

    def coordinates(self, boxes: Tensor) -> list[Tensor]:
        """Grid points of boxes.

        Args:
            boxes: (..., 4), (x1, y1, x2, y2) as fractions of the frame, not clipped.

        Returns:
            Per scale (..., h_s * w_s, 2), (x, y) in [-1, 1] (beyond it where the box hangs over the border), row-major.
        """
        h, w = self.finest
        centres = [(torch.arange(n, dtype=boxes.dtype, device=boxes.device) + 0.5) / n for n in (w, h)]
        x1, y1, x2, y2 = boxes.unbind(-1)
        x = 2 * (x1[..., None] + (x2 - x1)[..., None] * centres[0]) - 1  # (..., w)
        y = 2 * (y1[..., None] + (y2 - y1)[..., None] * centres[1]) - 1  # (..., h)
        out = []
        for gh, gw in self.grids:
            coarse_x = x.unflatten(-1, (gw, w // gw)).mean(-1)
            coarse_y = y.unflatten(-1, (gh, h // gh)).mean(-1)
            grid = torch.stack(
                [coarse_x[..., None, :].expand(*coarse_x.shape[:-1], gh, gw),
                 coarse_y[..., :, None].expand(*coarse_y.shape[:-1], gh, gw)], -1)
            out.append(grid.flatten(-3, -2))
        return out

    def forward(self, maps: FrameMaps, frame: Tensor, boxes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features inside boxes.

        Args:
            maps: Maps of F frames.
            frame: (P,) int64, the frame of each box.
            boxes: (P, 4) fractions of the frame.

        Returns:
            Per scale features (P, h_s * w_s, C_s) and coordinates (P, h_s * w_s, 2).
        """
        points = self.coordinates(boxes)
        features = [
            sample_rows(rows, shape, frame, p, align_corners=False)
            for rows, shape, p in zip(maps.rows, maps.shapes, points, strict=True)
        ]
        return features, points


class ConditioningEnhancement(nn.Module):
    """Language-conditioned features: M reference points decoded from the sentence, and what the frames show there.

    Args:
        channels: C_s per scale.
        width: D, width of the text tokens.
        num_points: M. More points look at more places of the frame for each sentence and cost proportionally.
        heads: Attention heads.
    """

    position_parameters = frozenset({"queries"})  # without weight decay

    def __init__(self, channels: Sequence[int], width: int, num_points: int = 10, heads: int = 8) -> None:
        super().__init__()
        self.num_points = num_points
        self.queries = nn.Parameter(torch.randn(num_points, width) * 0.02)
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in channels)
        self.coordinate = nn.ModuleList(nn.Linear(width, 2) for _ in channels)
        self.norm = nn.ModuleList(nn.LayerNorm(c) for c in channels)
        self.mlp = nn.ModuleList(ResidualMLP(c, width) for c in channels)

    def points(self, tokens: Tensor, mask: Tensor, position: Tensor) -> list[Tensor]:
        """Reference points of sentences, which depend on the sentence alone.

        Args:
            tokens: (U, L, D) text tokens.
            mask: (U, L) bool, False at padding.
            position: (L, D) position vectors for the keys.

        Returns:
            Per scale (U, M, 2), (x, y) in [-1, 1].
        """
        x = self.queries / self.queries.detach().norm()
        x = x.expand(len(tokens), -1, -1)  # (U, M, D)
        out = []
        for block, coordinate in zip(self.blocks, self.coordinate, strict=True):
            x = block(x, [SharedTokens(*block.keys_values(tokens, position), mask)])
            with torch.autocast(x.device.type, enabled=False):  # in bfloat16 a point would be off by pixels
                out.append(coordinate(at_least_float32(x)).sigmoid() * 2 - 1)
        return out

    def hidden(self, maps: FrameMaps, frame: Tensor, points: Sequence[Tensor]) -> list[Tensor]:
        """What one frame shows at reference points, up to the last linear map.

        Args:
            maps: Maps of F frames.
            frame: (P,) int64.
            points: Per scale (P, M, 2).

        Returns:
            Per scale (P, M, C_s).
        """
        return [
            mlp.hidden(norm(sample_rows(rows, shape, frame, p, align_corners=True)))
            for rows, shape, p, norm, mlp in zip(maps.rows, maps.shapes, points, self.norm, self.mlp, strict=True)
        ]

    def tokens(self, hidden: Sequence[Tensor]) -> list[Tensor]:
        """Reference tokens from the mean over a window's frames of :meth:`hidden`: per scale (..., C_s) -> (..., D)."""
        return [mlp.project(h) for mlp, h in zip(self.mlp, hidden, strict=True)]

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place."""
        self.blocks, self.coordinate = self.blocks[:count], self.coordinate[:count]
        self.norm, self.mlp = self.norm[:count], self.mlp[:count]


class CHook(nn.Module):
    """Both hooks into one encoding of the frame.

    Args:
        channels: C_s per scale, finest first.
        width: D.
        grids: Per scale (h_s, w_s).
        num_reference_points: M; 0 leaves the conditioning out.
        heads: Attention heads of the conditioning.
        finest: (h, w) of the grid that all grids are means of, that of stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        grids: Sequence[tuple[int, int]],
        num_reference_points: int = 10,
        heads: int = 8,
        finest: tuple[int, int] = (16, 48),
    ) -> None:
        super().__init__()
        self.target = NeighbouringGridSampling(grids, finest)
        self.conditioning = (
            ConditioningEnhancement(channels, width, num_reference_points, heads) if num_reference_points else None
        )

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place."""
        self.target.grids = self.target.grids[:count]
        if self.conditioning is not None:
            self.conditioning.keep_scales(count)
