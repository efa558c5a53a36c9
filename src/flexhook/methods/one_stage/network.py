"""The network of one-stage methods: encoders -> fusion of the words -> deformable transformer with track queries -> heads."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.fusion import TextFusion, TextProjection
from flexhook.methods.one_stage.geometry import full_precision
from flexhook.methods.one_stage.interaction import QueryInteraction
from flexhook.methods.one_stage.positions import text_positions
from flexhook.methods.one_stage.tracks import TrackTable
from flexhook.methods.one_stage.transformer import BoxMLP, Decoded, DeformableTransformer, Heads

PRIOR = -math.log(99)
"""Bias of class and refer heads: they begin with a probability of 0.01."""
GROUPS = 32
LEVELS = 4


@dataclass
class Words:
    """A sentence as the fusion takes it.

    Attributes:
        tokens: (L, d).
        position: (L, d).
    """

    tokens: Tensor
    position: Tensor


@dataclass
class Refined:
    """What a memory makes of the decoder's answers for Q instances.

    Attributes:
        class_logits: (Q, 1).
        refer_logits: (Q, 1).
        boxes: (Q, 4) (cx, cy, w, h).
    """

    class_logits: Tensor
    refer_logits: Tensor
    boxes: Tensor


class OneStageNetwork(nn.Module, ABC):
    """The trunk that TransRMOT and TempRMOT share. A subclass says who continues to the next frame and with which query.

    Names of the parts are those of the published checkpoints.

    Args:
        visual: Visual encoder with maps at strides 8, 16, 32, of images of any size: convolutional. Its batch normalisation
            is frozen: statistics, weights and biases are constants.
        text: Text encoder.
        width: d, a multiple of 32.
        heads: Heads of the transformer.
        encoder_layers: Layers of the encoder.
        decoder_layers: D, layers of the decoder.
        encoder_points: Sampling points per head and level of the encoder.
        decoder_points: The same of the decoder.
        ffn: Hidden width of all feed-forward networks but the memory's.
        num_queries: N, detection queries: no more objects can be found in a frame.
        dropout: In transformer and query interaction; the recipes have 0.
        track_attention: The extra attention among tracks, which the published test scripts turn on.
        fixed: Beginnings of names of parameters that are not trained.

    Attributes:
        fresh_iou: The overlap that a fresh instance counts as having.
        train_history: H, frames of the memory in training; 0 without a memory.
        test_history: H at run time.

    Raises:
        ConfigError: A width that the norms or heads cannot divide, or encoders that do not fit.
    """

    visual: Any
    text: Any
    fresh_iou: ClassVar[float] = 0.0
    train_history: int = 0
    test_history: int = 0

    def __init__(
        self,
        visual: Any,
        text: Any,
        width: int = 256,
        heads: int = 8,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        encoder_points: int = 4,
        decoder_points: int = 4,
        ffn: int = 1024,
        num_queries: int = 300,
        dropout: float = 0.0,
        track_attention: bool = False,
        fixed: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if width % GROUPS or width % heads:
            raise ConfigError(f"model.width is {width}", expected=f"a multiple of {GROUPS} and of the {heads} heads")
        if len(visual.channels) != LEVELS - 1:
            raise ConfigError(f"the visual encoder has {len(visual.channels)} maps", expected="three, at strides 8, 16, 32",
                              hint="Set visual.strides=[8,16,32]")
        if min(encoder_layers, decoder_layers, num_queries) < 1:
            raise ConfigError("the transformer has no layers or no queries", expected="at least one of each")
        self.visual, self.text = freeze_batch_norm_2d(visual), text
        self.width, self.num_queries = width, num_queries
        self.txt_proj, self.fusion_module = TextProjection(text.width, width), TextFusion(width)
        self.input_proj = nn.ModuleList(
            [_projection(c, width, 1) for c in visual.channels] + [_projection(visual.channels[-1], width, 3)])
        self.query_embed = nn.Embedding(num_queries, 2 * width)
        self.transformer = DeformableTransformer(width, heads, encoder_layers, decoder_layers, LEVELS, encoder_points,
                                                 decoder_points, ffn, dropout, track_attention)
        self.class_embed, self.refer_embed = _copies(_logit(width), decoder_layers), _copies(_logit(width), decoder_layers)
        self.bbox_embed = _copies(_offsets(width), decoder_layers)
        with torch.no_grad():
            first: Any = self.bbox_embed[0]
            first.layers[2].bias[2:] = -2.0
        self.track_embed = QueryInteraction(width, ffn, dropout)
        self._fix(fixed)

    def _fix(self, prefixes: Sequence[str]) -> None:
        parameters = dict(self.named_parameters())
        for prefix in prefixes:
            chosen = [p for name, p in parameters.items() if name.startswith(prefix)]
            if not chosen and prefix:
                raise ConfigError(f"model.fixed names {prefix}", expected="the beginning of a parameter's name",
                                  hint=f"Names are such as {next(iter(parameters))}; [] fixes none")
            for parameter in chosen:
                parameter.requires_grad_(False)

    @property
    def heads(self) -> Heads:
        """The heads of all layers."""
        return Heads(self.class_embed, self.refer_embed, self.bbox_embed)

    def normalise(self, images: Tensor) -> Tensor:
        """(F, 3, H, W) uint8 RGB to what the visual encoder takes."""
        x = images.to(self.query_embed.weight.dtype) / 255
        mean, std = (x.new_tensor(v)[:, None, None] for v in (self.visual.mean, self.visual.std))
        return (x - mean) / std

    def encode_frames(self, images: Tensor) -> list[Tensor]:
        """What no sentence has part in: (F, 3, H, W) uint8 RGB -> the projected pyramid, per level (F, d, h, w)."""
        return self.project(self.visual(self.normalise(images)))

    def project(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the visual encoder, per scale (F, C_s, h, w), to width d; the fourth level is made of the last map."""
        return [project(m) for project, m in zip(self.input_proj, [*maps, maps[-1]], strict=True)]

    def encode_sentence(self, sentence: str) -> Words:
        """A sentence, its words encoded."""
        ids, mask = (x.to(self.query_embed.weight.device) for x in self.text.tokenize([sentence]))
        return self.words(self.text(ids[:, mask[0]], mask[:, mask[0]])[0])

    def words(self, features: Tensor) -> Words:
        """Word features (L, text width) as the fusion takes them."""
        tokens = self.txt_proj(features)
        return Words(tokens, text_positions(len(tokens), self.width, full_precision(tokens)).to(tokens.dtype))

    def fuse(self, level: Tensor, words: Words) -> Tensor:
        """A projected level (d, h, w) with the words in it: (d, h, w)."""
        cells = self.fusion_module(level.flatten(1).T, words.tokens, words.position)
        return cells.T.unflatten(1, level.shape[1:])

    def encode(self, pyramid: Sequence[Tensor], words: Words) -> tuple[Tensor, list[tuple[int, int]]]:
        """Memory of a frame and a sentence.

        Args:
            pyramid: Per level (d, h, w), projected.
            words: The sentence.

        Returns:
            (S, d) and the (height, width) of each level.
        """
        shapes = [(level.shape[1], level.shape[2]) for level in pyramid]
        fused = torch.cat([self.fuse(level, words).flatten(1).T for level in pyramid])
        return self.transformer.encode(fused, shapes), shapes

    def fresh_table(self, history: int = 0) -> TrackTable:
        """The N detection queries, with a history of H frames."""
        query = self.query_embed.weight
        reference = full_precision(self.transformer.reference_points(query[:, : self.width]))
        return TrackTable.fresh(query, reference, history, self.fresh_iou)

    def decode(self, pyramid: Sequence[Tensor], words: Words, table: TrackTable) -> Decoded:
        """Decode all Q instances of a table in a frame (arguments as :meth:`encode`)."""
        memory, shapes = self.encode(pyramid, words)
        return self.transformer.decode(table.query, table.reference, memory, shapes, self.heads, self.num_queries)

    def observe(self, table: TrackTable, decoded: Decoded) -> TrackTable:
        """The table with the last layer's answers."""
        logits = decoded.class_logits[-1]
        return replace(table, embedding=decoded.hidden[-1], class_logits=logits, refer_logits=decoded.refer_logits[-1],
                       boxes=decoded.boxes[-1], scores=logits.detach().sigmoid()[:, 0])

    def refine(self, table: TrackTable) -> tuple[TrackTable, Refined | None]:
        """The table with refined answers, and those; without a memory the table as it is."""
        return table, None

    @abstractmethod
    def continue_training(self, table: TrackTable, generator: torch.Generator | None) -> TrackTable:
        """The instances of a training frame that go on, with the queries that they had.

        Args:
            table: The matched table.
            generator: For random choices; None to leave them out.
        """

    def continue_tracking(self, table: TrackTable) -> TrackTable:
        """The tracks that go on at run time."""
        return table.select(table.identity >= 0)

    @abstractmethod
    def interact(self, survivors: TrackTable) -> TrackTable:
        """The survivors with their queries for the next frame."""

    def next_table(self, survivors: TrackTable) -> TrackTable:
        """The table of the next frame: fresh detection queries, then the survivors."""
        return TrackTable.cat([self.fresh_table(survivors.history.shape[1]), survivors])


def _projection(channels: int, width: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, kernel, stride=1 if kernel == 1 else 2, padding=kernel // 2)
    nn.init.xavier_uniform_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, width))


def _logit(width: int) -> nn.Linear:
    head = nn.Linear(width, 1)
    nn.init.constant_(head.bias, PRIOR)
    return head


def _offsets(width: int) -> BoxMLP:
    mlp = BoxMLP(width)
    nn.init.zeros_(mlp.layers[2].weight)  # type: ignore[arg-type]
    nn.init.zeros_(mlp.layers[2].bias)  # type: ignore[arg-type]
    return mlp


def _copies(module: nn.Module, count: int) -> nn.ModuleList:
    return nn.ModuleList([copy.deepcopy(module) for _ in range(count)])
