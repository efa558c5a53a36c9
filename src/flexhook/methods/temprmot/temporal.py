"""TempRMOT's memory: every instance attends to its own past, then to all others; the answers are refined."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.fusion import HEADS, TextFusion
from flexhook.methods.one_stage.geometry import full_precision, inverse_sigmoid
from flexhook.methods.one_stage.network import PRIOR, Refined
from flexhook.methods.one_stage.positions import time_positions
from flexhook.methods.one_stage.tracks import TrackTable
from flexhook.methods.one_stage.transformer import BoxMLP, Layers


class MemoryLayer(nn.Module):
    """Self-attention, attention to a memory, feed-forward network; norms follow the sums.

    Args:
        width: d.
        ffn: Hidden width of the feed-forward network.
        dropout: Probability.
    """

    def __init__(self, width: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, dropout, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(width, HEADS, dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: Tensor, position: Tensor, memory_position: Tensor, empty: Tensor | None = None
    ) -> Tensor:
        """One layer.

        Args:
            x: (B, n, d).
            memory: (B, m, d).
            position: (n, d) or (B, n, d), of ``x``.
            memory_position: The same of ``memory``.
            empty: (B, m) bool, True where the memory holds nothing.

        Returns:
            (B, n, d).
        """
        query = x + position
        x = self.norm2(x + self.dropout(self.self_attn(query, query, x, need_weights=False)[0]))
        seen = self.cross_attn(x + position, memory + memory_position, memory, key_padding_mask=empty, need_weights=False)[0]
        x = self.norm1(x + self.dropout(seen))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class TemporalModule(nn.Module):
    """The temporal refinement; names as in the published checkpoints.

    Args:
        width: d.
        layers: Layers of each of the two transformers.
        ffn: Hidden width of their feed-forward networks.
        dropout: Probability, 0.1 as published.
    """

    def __init__(self, width: int, layers: int = 3, ffn: int = 1024, dropout: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.ts_query_embed = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.hist_transformer = Layers([MemoryLayer(width, ffn, dropout) for _ in range(layers)])
        self.obiect_attention = Layers([MemoryLayer(width, ffn, dropout) for _ in range(layers)])
        self.track_cls, self.track_ref, self.track_box = nn.Linear(width, 1), nn.Linear(width, 1), BoxMLP(width)
        self.fusion_module = TextFusion(width).requires_grad_(False)  # in every checkpoint, and never used
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.constant_(self.track_cls.bias, PRIOR)
        nn.init.constant_(self.track_ref.bias, PRIOR)
        nn.init.zeros_(self.track_box.layers[2].bias)  # type: ignore[arg-type]

    def forward(self, table: TrackTable) -> tuple[Tensor, Tensor, Tensor, Refined]:
        """Refine all Q instances of a table.

        Args:
            table: With this frame's embeddings, boxes and the histories of earlier frames.

        Returns:
            (Q, d) refined embeddings, (Q, H, d) histories with them, (Q, H) where the histories are empty, and the refined
            answers.

        Raises:
            ConfigError: The history has one frame, which has no place in time.
        """
        length = table.history.shape[1]
        if length < 2:
            raise ConfigError(f"the memory has {length} frames", expected="at least 2",
                              hint="Raise model.train_history and model.test_history")
        history = torch.cat([table.history[:, 1:], table.embedding[:, None].to(table.history.dtype)], 1)
        empty = torch.cat([table.empty[:, 1:], torch.zeros_like(table.empty[:, :1])], 1)
        frames = time_positions(length, self.width, full_precision(table.embedding))
        time = self.ts_query_embed(frames.to(table.embedding.dtype))
        x = table.embedding[:, None]  # (Q, 1, d): every instance alone
        for layer in self.hist_transformer.layers:
            x = layer(x, history, time[-1:], time, empty)
        x = memory = x.transpose(0, 1)  # (1, Q, d): all instances together
        position = table.query[:, : self.width]
        for layer in self.obiect_attention.layers:
            x = layer(x, memory, position, position)
        embedding = x[0]
        history = torch.cat([history[:, :-1], embedding.detach()[:, None].to(history.dtype)], 1)
        boxes = (full_precision(self.track_box(embedding)) + inverse_sigmoid(table.boxes)).sigmoid()
        logits = (full_precision(head(embedding)) for head in (self.track_cls, self.track_ref))
        return embedding, history, empty, Refined(*logits, boxes)
