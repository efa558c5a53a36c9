"""The deformable transformer: an encoder over the tokens of all levels, a decoder that refines a box per query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.methods.one_stage.deformable import DeformableAttention
from flexhook.methods.one_stage.geometry import full_precision, inverse_sigmoid
from flexhook.methods.one_stage.positions import image_positions


@dataclass
class Decoded:
    """What the decoder says of Q instances after each of its D layers.

    Attributes:
        hidden: (D, Q, d) contents.
        class_logits: (D, Q, 1).
        refer_logits: (D, Q, 1).
        boxes: (D, Q, 4) (cx, cy, w, h); detached they are the references of the next layer.
        init_reference: (Q, 2) where the first layer looks.
    """

    hidden: Tensor
    class_logits: Tensor
    refer_logits: Tensor
    boxes: Tensor
    init_reference: Tensor


class BoxMLP(nn.Module):
    """Three linear layers with ReLU, d - d - d - 4.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 4)])

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., 4)."""
        for layer in self.layers[:2]:
            x = F.relu(layer(x))
        return self.layers[2](x)


class EncoderLayer(nn.Module):
    """Deformable self-attention over the tokens of all levels, then a feed-forward network; norms follow the sums.

    Args:
        width: d.
        heads: Attention heads.
        levels: Feature levels.
        points: Sampling points per head and level.
        ffn: Hidden width of the feed-forward network.
        dropout: Probability; the recipes have 0.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(width, heads, levels, points)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """(S, d) tokens, their positions and own cell centres (S, 2) -> (S, d)."""
        x = self.norm1(x + self.dropout(self.self_attn(x + position, reference, x, shapes)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class DecoderLayer(nn.Module):
    """Self-attention of all queries, deformable attention to the memory, feed-forward network.

    Args:
        width: d.
        heads: Attention heads.
        levels: Feature levels.
        points: Sampling points per head and level.
        ffn: Hidden width of the feed-forward network.
        dropout: Probability; the recipes have 0.
        track_attention: Whether tracks attend to each other before all queries do.
    """

    def __init__(
        self, width: int, heads: int, levels: int, points: int, ffn: int, dropout: float, track_attention: bool
    ) -> None:
        super().__init__()
        self.cross_attn = DeformableAttention(width, heads, levels, points)
        self.norm1 = nn.LayerNorm(width)
        self.self_attn = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.track_attention = track_attention
        if track_attention:
            self.update_attn = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
            self.norm4 = nn.LayerNorm(width)

    def forward(
        self, content: Tensor, position: Tensor, reference: Tensor, memory: Tensor, shapes: Sequence[tuple[int, int]],
        detections: int,
    ) -> Tensor:
        """One layer.

        Args:
            content: (Q, d).
            position: (Q, d) query positions, the same in all layers.
            reference: (Q, 2) or (Q, 4).
            memory: (S, d).
            shapes: (height, width) of each level.
            detections: N: the queries from there on are tracks.

        Returns:
            (Q, d).
        """
        if self.track_attention and len(content) > detections:
            fresh, tracks = content[:detections], content[detections:]
            query = tracks + position[detections:]
            seen = self.update_attn(query, query, tracks, need_weights=False)[0]
            content = torch.cat([fresh, self.norm4(tracks + self.dropout(seen)).to(fresh.dtype)])
        query = content + position
        content = self.norm2(content + self.dropout(self.self_attn(query, query, content, need_weights=False)[0]))
        content = self.norm1(content + self.dropout(self.cross_attn(content + position, reference, memory, shapes)))
        return self.norm3(content + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(content))))))


class Layers(nn.Module):
    """A list of layers under the name that checkpoints have.

    Args:
        layers: The layers.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class DeformableTransformer(nn.Module):
    """Encoder and decoder.

    Args:
        width: d.
        heads: Attention heads.
        encoder_layers: Layers of the encoder.
        decoder_layers: D, layers of the decoder.
        levels: Feature levels.
        encoder_points: Sampling points per head and level of the encoder.
        decoder_points: The same of the decoder.
        ffn: Hidden width of the feed-forward networks.
        dropout: Probability.
        track_attention: Whether decoder layers have the extra attention among tracks.
    """

    def __init__(
        self, width: int, heads: int, encoder_layers: int, decoder_layers: int, levels: int, encoder_points: int,
        decoder_points: int, ffn: int, dropout: float, track_attention: bool,
    ) -> None:
        super().__init__()
        self.encoder = Layers(
            [EncoderLayer(width, heads, levels, encoder_points, ffn, dropout) for _ in range(encoder_layers)])
        self.decoder = Layers([DecoderLayer(width, heads, levels, decoder_points, ffn, dropout, track_attention)
                               for _ in range(decoder_layers)])
        self.level_embed = nn.Parameter(torch.empty(levels, width))
        self.reference_points = nn.Linear(width, 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Matrices Xavier uniform, the deformable attention its own way, level vectors normal."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.reset_parameters()
        nn.init.zeros_(self.reference_points.bias)
        nn.init.normal_(self.level_embed)

    def encoder_position(self, shapes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
        """(S, d) position of every token: that of its cell and the vector of its level."""
        vectors = self.level_embed
        return torch.cat([
            image_positions(h, w, vectors.shape[1], full_precision(like)).to(vectors.dtype) + vectors[level]
            for level, (h, w) in enumerate(shapes)
        ])

    def encode(self, tokens: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Memory of a frame: (S, d) fused tokens, finest level first, each row-major -> (S, d)."""
        position = self.encoder_position(shapes, tokens)
        reference = torch.cat([cell_centres(h, w, full_precision(tokens)) for h, w in shapes])
        for layer in self.encoder.layers:
            tokens = layer(tokens, position, reference, shapes)
        return tokens

    def decode(
        self, query: Tensor, reference: Tensor, memory: Tensor, shapes: Sequence[tuple[int, int]], heads: Heads,
        detections: int,
    ) -> Decoded:
        """Refine a box per query.

        Args:
            query: (Q, 2d) query positions, then contents.
            reference: (Q, 2) logits of where to begin.
            memory: (S, d).
            shapes: (height, width) of each level.
            heads: The heads of each layer.
            detections: N, the number of detection queries, which come first.
        """
        position, content = query.chunk(2, -1)
        first = place = reference.sigmoid()
        hidden, boxes = [], []
        for layer, box_head in zip(self.decoder.layers, heads.box, strict=True):
            content = layer(content, position, place, memory, shapes, detections)
            delta = full_precision(box_head(content))
            start = inverse_sigmoid(place)
            boxes.append((delta + F.pad(start, (0, 4 - start.shape[-1]))).sigmoid())
            place = boxes[-1].detach()
            hidden.append(content)
        logits = (
            torch.stack([full_precision(head(x)) for head, x in zip(kind, hidden, strict=True)])
            for kind in (heads.classes, heads.refer)
        )
        return Decoded(torch.stack(hidden), *logits, torch.stack(boxes), first)


@dataclass
class Heads:
    """The heads of the decoder's layers, one of each kind per layer.

    Attributes:
        classes: Class logits, d -> 1.
        refer: Refer logits, d -> 1.
        box: Box offsets, d -> 4.
    """

    classes: nn.ModuleList
    refer: nn.ModuleList
    box: nn.ModuleList


def cell_centres(height: int, width: int, like: Tensor) -> Tensor:
    """(height * width, 2) centres (x, y) of a map's cells as fractions, row-major."""
    y, x = ((torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n for n in (height, width))
    return torch.stack([x[None].expand(height, -1), y[:, None].expand(-1, width)], -1).flatten(0, 1)
