"""Words into the pyramid: the text map and the attention of every cell to the words, shared by all levels."""

from __future__ import annotations

from torch import Tensor, nn

HEADS = 8
"""Heads of the fusion, of query interaction and of the temporal module, whatever the transformer has."""


class TextProjection(nn.Module):
    """Word features to the width of the pyramid, normalised.

    Args:
        text_width: Width of the text encoder.
        width: d.
    """

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(text_width, width)
        self.layer_norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, words: Tensor) -> Tensor:
        """(L, text width) -> (L, d)."""
        return self.layer_norm(self.fc(words))


class TextFusion(nn.Module):
    """Every cell of a map attends to the words; the answer is added. Cells have no position here, words do.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, batch_first=True)

    def forward(self, cells: Tensor, words: Tensor, position: Tensor) -> Tensor:
        """Fuse.

        Args:
            cells: (n, d).
            words: (L, d) text tokens.
            position: (L, d) their position vectors.

        Returns:
            (n, d).
        """
        return cells + self.multihead_attn(cells, words + position, words, need_weights=False)[0]
