"""The query interaction module (MOTR, Zeng et al., ECCV 2022): surviving instances become the next frame's track queries."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.methods.one_stage.fusion import HEADS


class QueryInteraction(nn.Module):
    """Self-attention among the survivors' output embeddings, then new query positions and contents.

    Args:
        width: d.
        ffn: Hidden width of the feed-forward networks.
        dropout: Probability; the recipes have 0.
    """

    def __init__(self, width: int, ffn: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.linear_pos1, self.linear_pos2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm_pos = nn.LayerNorm(width)
        self.linear_feat1, self.linear_feat2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm_feat = nn.LayerNorm(width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width).requires_grad_(False)  # in every checkpoint, and never used
        self.dropout = nn.Dropout(dropout)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, embedding: Tensor, query: Tensor) -> Tensor:
        """New query vectors.

        Args:
            embedding: (K, d) output embeddings of all survivors.
            query: (K, 2d) their query vectors.

        Returns:
            (K, 2d).
        """
        if not len(embedding):
            return query
        position, content = query.chunk(2, -1)
        q = embedding + position
        x = self.norm1(embedding + self.dropout(self.self_attn(q, q, embedding, need_weights=False)[0]))
        x = self.norm2(x + self._feed_forward(x, self.linear1, self.linear2))
        position = self.norm_pos(position + self._feed_forward(x, self.linear_pos1, self.linear_pos2))
        content = self.norm_feat(content + self._feed_forward(x, self.linear_feat1, self.linear_feat2))
        return torch.cat([position, content], -1)

    def _feed_forward(self, x: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
        return self.dropout(second(self.dropout(F.relu(first(x)))))
