"""Sine position vectors of words, pixels and frames. All have the frequencies 10000^(-2 floor(i/2) / width)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_vectors(phase: Tensor, width: int) -> Tensor:
    """Vectors of phases in radians: sine in even channels, cosine in odd ones.

    Args:
        phase: (...,) radians.
        width: Number of channels.

    Returns:
        (..., width).
    """
    channel = torch.arange(width, dtype=phase.dtype, device=phase.device)
    angle = phase[..., None] / 10000 ** (2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


def text_positions(length: int, width: int, like: Tensor) -> Tensor:
    """Vectors of words 1 to L, whose phases end at 2 pi: (L, width), of the type and device of ``like``."""
    word = torch.arange(1, length + 1, dtype=like.dtype, device=like.device)
    return sine_vectors(2 * math.pi * word / (length + 1e-6), width)


def image_positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Vectors of a map's cells: the row in the first half of the channels, the column in the second.

    Args:
        height: Rows.
        width: Columns.
        channels: Channels, even.
        like: Gives type and device.

    Returns:
        (height * width, channels), row-major.
    """
    row, column = (
        sine_vectors(2 * math.pi * (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / (n + 1e-6), channels // 2)
        for n in (height, width)
    )
    both = (row[:, None].expand(-1, width, -1), column[None].expand(height, -1, -1))
    return torch.cat(both, -1).flatten(0, 1)


def time_positions(length: int, width: int, like: Tensor) -> Tensor:
    """Vectors of frames 0 to H - 1, whose phases end at 2 pi: (H, width), of the type and device of ``like``."""
    frame = torch.arange(length, dtype=like.dtype, device=like.device)
    return sine_vectors(2 * math.pi * frame / (length - 1), width)
