"""Pairwise correspondence decoder (PCD): does this sentence refer to this window?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.methods.two_stage.decoder_base import Decoder, TextTokens, join_rows, select_rows
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
        return Memory([select_rows(k, index) for k in self.key], [select_rows(v, index) for v in self.value],
                      None if self.mask is None else select_rows(self.mask, index))

    def join(self, other: Memory) -> Memory:
        """The sentences of both, padded to one length."""
        assert self.mask is not None and other.mask is not None
        return Memory([join_rows(a, b) for a, b in zip(self.key, other.key, strict=True)],
                      [join_rows(a, b) for a, b in zip(self.value, other.value, strict=True)],
                      join_rows(self.mask, other.mask))

    def keep(self, rows: Tensor) -> Memory:
        """The sequences of some rows (V,)."""
        return Memory([k[rows] for k in self.key], [v[rows] for v in self.value],
                      None if self.mask is None else self.mask[rows])

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


class PairwiseCorrespondenceDecoder(Decoder):
    """One query per (window, expression), refined scale by scale by the window's tokens and its own sentence's.

    :meth:`forward` is the method as the paper writes it. The model calls :meth:`decode`, which gives the same numbers from keys
    and values that are computed once per sentence, once per (frames, sentence) pair and once per window.

    Args:
        width: D.
        num_scales: S.
        num_frames: T; the queries start from the T boxes.
        heads: Attention heads.
    """

    def __init__(self, width: int, num_scales: int, num_frames: int = 4, heads: int = 8) -> None:
        super().__init__(width, num_scales, num_frames)
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in range(num_scales))
        self.heads = nn.ModuleList(Head(width) for _ in range(num_scales))

    def forward(
        self, queries: Tensor, text: TextTokens, reference: Sequence[Tensor] | None, trajectory: Sequence[Tensor]
    ) -> Tensor:
        """One attention per scale over the words, the window's trajectory tokens and the reference tokens, in one softmax."""
        logits = []
        for s, (block, head) in enumerate(zip(self.blocks, self.heads, strict=True)):
            window = trajectory[s][:, None].expand(-1, queries.shape[1], -1, -1)  # (B, N, K, D)
            visual = window if reference is None else torch.cat([window, reference[s]], 2)
            tokens = torch.cat([text.tokens, visual], 2)  # (B, N, L + K + M, D)
            position = F.pad(text.position, (0, 0, 0, visual.shape[2]))  # of the words only
            mask = F.pad(text.mask, (0, visual.shape[2]), value=True)
            queries = block(queries, [OwnTokens(*block.keys_values(tokens, position), mask)])
            logits.append(head(queries))
        return torch.stack(logits, dim=1)

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

    def decode(
        self,
        boxes: Tensor,
        trajectory: Sequence[TokenSet],
        text: Memory,
        reference: Memory | GroupedMemory | None,
        last_only: bool = False,
    ) -> Tensor:
        """As of the parent; with ``last_only`` the earlier scales' heads are left out."""
        query, logits = self.first_query(boxes), []
        for s, block in enumerate(self.blocks):
            sets: list[TokenSet] = [text.at(s), trajectory[s]]
            if reference is not None:
                sets.append(reference.at(s))
            query = block(query, sets)
            if not last_only or s == len(self.blocks) - 1:
                logits.append(self.heads[s](query))
        return torch.stack(logits, dim=1)

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place."""
        super().keep_scales(count)
        self.blocks, self.heads = self.blocks[:count], self.heads[:count]
