"""Pairwise correspondence decoder (PCD): does this sentence refer to this window?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.model.layers import AttentionBlock, OwnTokens, SharedTokens


@dataclass
class TextMemory:
    """Keys and values of sentences for every scale of the decoder; computed once however many windows ask.

    Attributes:
        key: Per scale (U, L, heads, d).
        value: Per scale (U, L, heads, d).
        mask: (U, L) bool, False at padding.
    """

    key: list[Tensor]
    value: list[Tensor]
    mask: Tensor

    def select(self, index: Tensor | slice | None) -> TextMemory:
        """As seen from windows: ``index`` (B, N) gives each window its own sentences, None or a slice shares them."""
        if index is None:
            index = slice(None)
        if isinstance(index, slice):
            return TextMemory([k[index][None] for k in self.key], [v[index][None] for v in self.value],
                              self.mask[index][None])
        return TextMemory([k[index] for k in self.key], [v[index] for v in self.value], self.mask[index])


class Head(nn.Module):
    """Bias-free MLP D -> D -> 2: logits (no, yes)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, width, bias=False), nn.Linear(width, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., 2)."""
        return self.fc2(F.gelu(self.fc1(x)))


class PairwiseCorrespondenceDecoder(nn.Module):
    """One query per (window, expression), refined scale by scale by the window's tokens and its own sentence's.

    Args:
        width: D.
        num_scales: S.
        num_frames: T; the queries start from the T boxes.
        heads: Attention heads.
    """

    def __init__(self, width: int, num_scales: int, num_frames: int = 4, heads: int = 8) -> None:
        super().__init__()
        self.width = width
        self.box_embedding = nn.Parameter(torch.randn(4 * num_frames, width))
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in range(num_scales))
        self.heads = nn.ModuleList(Head(width) for _ in range(num_scales))

    def first_query(self, boxes: Tensor) -> Tensor:
        """The query all expressions of a window start from: boxes (B, T, 4) as (x1, y1, x2, y2) fractions -> (B, 1, D)."""
        centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        flat = torch.cat([centre, size], -1).flatten(1).to(self.box_embedding.dtype)  # (B, 4T), frame by frame
        return (flat @ self.box_embedding / self.width**0.5)[:, None]

    def text_memory(self, tokens: Tensor, mask: Tensor, position: Tensor) -> TextMemory:
        """Keys and values of (U, L, D) text tokens, with (L, D) position vectors on the keys."""
        pairs = [block.keys_values(tokens, position) for block in self.blocks]
        return TextMemory([k for k, _ in pairs], [v for _, v in pairs], mask)

    def trajectory_memory(self, trajectory: Sequence[Tensor]) -> list[SharedTokens]:
        """Keys and values of trajectory tokens, per scale (B, h_s * w_s, D), shared by all expressions of a window."""
        return [SharedTokens(*block.keys_values(t)) for block, t in zip(self.blocks, trajectory, strict=True)]

    def forward(
        self, boxes: Tensor, trajectory: Sequence[Tensor], text: TextMemory, reference: Sequence[Tensor] | None
    ) -> Tensor:
        """Logits (B, S, N, 2) of every (window, expression) at every scale; arguments as :meth:`decode`, with
        ``trajectory`` the trajectory tokens themselves, per scale (B, h_s * w_s, D).
        """
        return self.decode(boxes, self.trajectory_memory(trajectory), text, reference)

    def decode(
        self,
        boxes: Tensor,
        trajectory: Sequence[SharedTokens],
        text: TextMemory,
        reference: Sequence[Tensor] | None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits from what windows and sentences have prepared.

        Args:
            boxes: (B, T, 4) fractions of the frame, not clipped.
            trajectory: Per scale the windows' keys and values (:meth:`trajectory_memory`).
            text: Memory selected for these windows (:meth:`TextMemory.select`): keys (B or 1, N, L, heads, d).
            reference: Per scale (B or 1, N, M, D) reference tokens; None without conditioning.
            last_only: Compute the logits of the last scale only (scoring).

        Returns:
            (B, S, N, 2) logits (no, yes); S = 1 with ``last_only``.
        """
        query, logits = self.first_query(boxes), []
        for s, block in enumerate(self.blocks):
            sets: list[OwnTokens | SharedTokens] = [OwnTokens(text.key[s], text.value[s], text.mask)]
            if reference is not None:
                sets.append(OwnTokens(*block.keys_values(reference[s])))
            sets.append(trajectory[s])
            query = block(query, sets)
            if not last_only or s == len(self.blocks) - 1:
                logits.append(self.heads[s](query))
        return torch.stack(logits, dim=1)
