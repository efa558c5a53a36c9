"""Encoding sentences of different lengths without encoding their padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

BATCH = {"cpu": 32}  #: Sentences that fill a CPU's cores; other devices take more at a time.
LARGE_BATCH = 256


def encode_by_length(
    encode: Callable[[Tensor, Tensor], Tensor], ids: Tensor, mask: Tensor, batch: int | None = None
) -> Tensor:
    """Text tokens of sentences, shorter ones together, so that little padding is encoded and memory stays bounded.

    Args:
        encode: (u, l), (u, l) -> (u, l, D).
        ids: (U, L) int64 token ids.
        mask: (U, L) bool, False at padding.
        batch: Sentences encoded at a time; by default what suits the device. A smaller number wastes less on padding.

    Returns:
        (U, L', D), L' the length of the longest sentence; zeros at padding where nothing was encoded.
    """
    batch = batch or BATCH.get(ids.device.type, LARGE_BATCH)
    lengths, order = torch.sort(mask.sum(1), stable=True)
    ends = lengths.tolist()
    parts = []
    for start in range(0, len(ids), batch):
        chosen = order[start : start + batch]
        length = ends[min(start + batch, len(ids)) - 1]
        tokens = encode(ids[chosen, :length], mask[chosen, :length])
        parts.append(F.pad(tokens, (0, 0, 0, ends[-1] - length)))
    return torch.cat(parts)[torch.argsort(order)]
