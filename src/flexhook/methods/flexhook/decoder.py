"""Pairwise correspondence decoder (PCD): does this sentence refer to this window?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.methods.two_stage.layers import AttentionBlock, GroupedTokens, OwnTokens, SharedTokens, TokenSet


@dataclass
class Memory:
    """Keys and values of R sequences of tokens (sentences, or what frames show for them) for every scale of the decoder.

    Computed once however many windows ask; :meth:`select` says which sequences a window's expressions are.

    Attributes:
        key: Per scale (R, K, heads, d), after ``select`` (B or 1, N, K, heads, d).
        value: The same shapes.
        mask: (R, K) bool, False at padding, after ``select`` (B or 1, N, K); None where all tokens count.
    """

    key: list[Tensor]
    value: list[Tensor]
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.key[0])

    def select(self, index: Tensor | slice) -> Memory:
        """As seen from windows: ``index`` (B, N) gives each window its own sequences, a slice shares some among all."""

        def pick(x: Tensor) -> Tensor:
            if isinstance(index, slice):
                return x[index][None]
            return x.index_select(0, index.flatten()).unflatten(0, index.shape)  # its gradient is faster than x[index]'s

        return Memory([pick(k) for k in self.key], [pick(v) for v in self.value],
                      None if self.mask is None else pick(self.mask))

    def at(self, scale: int) -> OwnTokens:
        """The token set of one scale, after ``select``."""
        return OwnTokens(self.key[scale], self.value[scale], self.mask)

    def grouped(self, index: Tensor) -> Memory | GroupedMemory:
        """As :meth:`select` with (B, N) indices, without repeating the sequences of windows that have the same indices."""
        assert self.mask is None
        rows, group = torch.unique(index, dim=0, return_inverse=True)  # (G, N), (B,)
        if len(rows) == len(index):
            return self.select(index)
        count = torch.bincount(group, minlength=len(rows))
        order = torch.argsort(group, stable=True)
        rank = torch.empty_like(group)
        rank[order] = torch.arange(len(group), device=group.device) - (count.cumsum(0) - count)[group[order]]
        size = int(count.max())
        return GroupedMemory(self.select(rows), group * size + rank, size)


@dataclass
class GroupedMemory:
    """Sequences that groups of windows share.

    Attributes:
        own: Of the groups: (G, N, K, heads, d) keys and values per scale.
        slot: (B,) each window's place among G * ``size``.
        size: Windows of the largest group.
    """

    own: Memory
    slot: Tensor
    size: int

    def at(self, scale: int) -> GroupedTokens:
        """The token set of one scale."""
        return GroupedTokens(self.own.key[scale], self.own.value[scale], self.slot, self.size)


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
        with torch.autocast(boxes.device.type, enabled=False):  # in bfloat16 a box would be off by pixels
            return (flat @ self.box_embedding / self.width**0.5)[:, None]

    def text_memory(self, tokens: Tensor, mask: Tensor, position: Tensor) -> Memory:
        """Keys and values of (U, L, D) text tokens, with (L, D) position vectors on the keys."""
        pairs = [block.keys_values(tokens, position) for block in self.blocks]
        return Memory([k for k, _ in pairs], [v for _, v in pairs], mask)

    def reference_memory(self, tokens: Sequence[Tensor]) -> Memory:
        """Keys and values of reference tokens, per scale (R, M, D)."""
        pairs = [block.keys_values(t) for block, t in zip(self.blocks, tokens, strict=True)]
        return Memory([k for k, _ in pairs], [v for _, v in pairs])

    def trajectory_memory(self, trajectory: Sequence[Tensor]) -> list[TokenSet]:
        """Trajectory tokens, per scale (B, h_s * w_s, D), as token sets that all expressions of a window share."""
        first, *others = zip(self.blocks, trajectory, strict=True)
        return [first[0].unmapped(first[1]), *(SharedTokens(*block.keys_values(t)) for block, t in others)]

    def forward(
        self,
        boxes: Tensor,
        trajectory: Sequence[TokenSet],
        text: Memory,
        reference: Memory | GroupedMemory | None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits of every (window, expression) at every scale.

        Args:
            boxes: (B, T, 4) fractions of the frame, not clipped.
            trajectory: Per scale the windows' tokens (:meth:`trajectory_memory`).
            text: The expressions' words, selected for these windows.
            reference: Their reference tokens, selected; None without conditioning.
            last_only: Compute the logits of the last scale only (scoring).

        Returns:
            (B, S, N, 2) logits (no, yes); S = 1 with ``last_only``.
        """
        query, logits = self.first_query(boxes), []
        for s, block in enumerate(self.blocks):
            sets: list[TokenSet] = [text.at(s), trajectory[s]]
            if reference is not None:
                sets.append(reference.at(s))
            query = block(query, sets)
            if not last_only or s == len(self.blocks) - 1:
                logits.append(self.heads[s](query))
        return torch.stack(logits, dim=1)
