"""The referring model: encoders -> C-Hook -> temporal integration -> pairwise correspondence decoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.decoder_base import Decoder
from flexhook.methods.two_stage.frame_maps import FrameMaps
from flexhook.methods.two_stage.model_parts import Hook, TemporalIntegration, TextEncoder, VisualEncoder
from flexhook.methods.two_stage.referring_model import Prediction, ReferringModel, WindowBatch

STRIDES = (4, 8, 16, 32)


@dataclass
class SentenceState:
    """Sentences as the scoring engine keeps them.

    Attributes:
        memory: Their words as the decoder keeps them (:meth:`~flexhook.methods.two_stage.decoder_base.Decoder.text_memory`).
        points: Per scale (U, M, 2) reference points; None without conditioning.
    """

    memory: Any
    points: list[Tensor] | None

    def __len__(self) -> int:
        return len(self.memory)

    def join(self, other: SentenceState) -> SentenceState:
        """The sentences of both, those of ``other`` behind."""
        points = None
        if self.points is not None and other.points is not None:
            points = [torch.cat(pair) for pair in zip(self.points, other.points, strict=True)]
        return SentenceState(self.memory.join(other.memory), points)

    def keep(self, rows: Tensor) -> SentenceState:
        """The sentences of some rows (V,)."""
        return SentenceState(self.memory.keep(rows), None if self.points is None else [p[rows] for p in self.points])


class FirstMaps(nn.Module):
    """A visual encoder without its coarsest maps.

    Args:
        visual: The encoder, which still runs whole.
        count: How many maps are kept, the finest ones.
    """

    def __init__(self, visual: VisualEncoder, count: int) -> None:
        super().__init__()
        self.visual, self.count = visual, count
        self.channels, self.strides = tuple(visual.channels)[:count], tuple(visual.strides)[:count]
        self.mean, self.std, self.map_scale = visual.mean, visual.std, visual.map_scale

    def forward(self, images: Tensor) -> list[Tensor]:
        """(F, 3, H, W) -> the first maps, finest first."""
        return self.visual(images)[: self.count]


class FlexHook(ReferringModel):
    """The model of the paper, with each part given from outside.

    The parts are those of :mod:`~flexhook.methods.two_stage.model_parts` and
    :class:`~flexhook.methods.two_stage.decoder_base.Decoder`.

    Args:
        visual: Visual encoder.
        text: Text encoder.
        hook: Makes the hook from ``channels``, ``width`` and ``grids``, e.g. a partial of
            :class:`~flexhook.methods.flexhook.hook.CHook`.
        temporal: Makes the temporal integration from ``channels``, ``width``, ``grids``, ``num_frames``.
        decoder: Makes the decoder from ``width``, ``num_scales``, ``num_frames``.
        num_frames: T, frames of a window.
        grid: (h, w) grid points in a box at stride 4, halved at each further scale. A finer one costs in proportion.

    Raises:
        ConfigError: The visual encoder's scales do not halve one after the other, or the grid does not.
    """

    hook: Hook
    temporal: TemporalIntegration
    decoder: Decoder
    position_parameters = frozenset({"text_position"})  # without weight decay

    def __init__(
        self,
        visual: VisualEncoder,
        text: TextEncoder,
        hook: Callable[..., Hook],
        temporal: Callable[..., TemporalIntegration],
        decoder: Callable[..., Decoder],
        num_frames: int = 4,
        grid: tuple[int, int] = (16, 48),
    ) -> None:
        super().__init__(visual, text, num_frames)
        strides = list(self.visual.strides)
        if any(s not in STRIDES for s in strides) or any(b != 2 * a for a, b in pairwise(strides)):
            raise ConfigError(f"the visual encoder's maps have strides {strides}",
                              expected="consecutive ones among 4, 8, 16, 32", hint="Choose them with visual.strides")
        if any(side * 4 % strides[-1] for side in grid):
            raise ConfigError(f"grid {grid[0]}x{grid[1]} cannot be halved down to stride {strides[-1]}",
                              expected=f"multiples of {strides[-1] // 4}")
        grids = [(grid[0] * 4 // s, grid[1] * 4 // s) for s in strides]
        self.num_scales, self.grids = len(strides), grids
        self.hook = hook(channels=self.visual.channels, width=self.text.width, grids=grids)
        self.temporal = temporal(channels=self.visual.channels, width=self.text.width, grids=grids, num_frames=num_frames)
        self.decoder = decoder(width=self.text.width, num_scales=len(strides), num_frames=num_frames)
        self.text_position = nn.Parameter(torch.zeros(self.text.length, self.text.width))

    def trajectory_tokens(self, maps: FrameMaps, frame: Tensor, boxes: Tensor) -> list[Tensor]:
        """Trajectory tokens of windows; no sentence is involved.

        Args:
            maps: Maps of F frames.
            frame: (B, T) int64.
            boxes: (B, T, 4) fractions.

        Returns:
            Per scale (B, h_s * w_s, D).
        """
        features, points = self.hook.target(maps, frame.flatten(), boxes.flatten(0, 1))
        shape = frame.shape
        return self.temporal([f.unflatten(0, shape) for f in features], [p.unflatten(0, shape) for p in points])

    def reference_points(self, tokens: Tensor, mask: Tensor) -> list[Tensor] | None:
        """Reference points of sentences, per scale (U, M, 2) in [-1, 1]; None without conditioning."""
        if self.hook.conditioning is None:
            return None
        return self.hook.conditioning.points(tokens, mask, self.text_position[: tokens.shape[1]])

    def reference_tokens(
        self, maps: FrameMaps, frame: Tensor, points: list[Tensor], expression: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Reference tokens of (window frames, sentence) pairs; no trajectory is involved.

        A (frame, sentence) pair, and a (T frames, sentence) pair, that several windows ask for is computed once.

        Args:
            maps: Maps of F frames.
            frame: (B, T) int64.
            points: Per scale (U, M, 2).
            expression: (B, N) int64 into U.

        Returns:
            Per scale (R, M, D) tokens of the R different (T frames, sentence) pairs, and (B, N) which pair is whose.
        """
        conditioning, num_sentences = self.hook.conditioning, len(points[0])
        assert conditioning is not None
        frame, group = torch.unique(frame, dim=0, return_inverse=True)  # windows with the same frames
        asked, place = torch.unique(group[:, None] * num_sentences + expression, return_inverse=True)
        code = frame[asked // num_sentences] * num_sentences + (asked % num_sentences)[:, None]  # (R, T)
        pair, member = torch.unique(code, return_inverse=True)
        sentence = pair % num_sentences
        hidden = conditioning.hidden(maps, pair // num_sentences, [p[sentence] for p in points])
        means = [F.embedding_bag(member, h.flatten(1), mode="mean").unflatten(1, h.shape[1:]) for h in hidden]
        return conditioning.tokens(means), place

    def prepare_sentences(self, tokens: Tensor, mask: Tensor) -> SentenceState:
        """Everything the model needs of sentences, for scoring many windows: encoded (U, L, D) tokens, (U, L) mask."""
        memory = self.decoder.text_memory(tokens, mask, self.text_position[: tokens.shape[1]])
        return SentenceState(memory, self.reference_points(tokens, mask))

    def observe(self, maps: FrameMaps, frame: Tensor, boxes: Tensor) -> list[Tensor]:
        """What is kept of observations, each sampled once: (P,), (P, 4) fractions -> per scale (P, h_s * w_s, C_s)."""
        return self.hook.target(maps, frame, boxes)[0]

    def look(self, maps: FrameMaps, frame: int, sentences: SentenceState) -> list[Tensor]:
        """What is kept of a frame for sentences: per scale (U, M, C_s); empty without conditioning."""
        if sentences.points is None or self.hook.conditioning is None:
            return []
        index = torch.full((len(sentences.points[0]),), frame, device=sentences.points[0].device)
        return self.hook.conditioning.hidden(maps, index, sentences.points)

    def judge(
        self,
        boxes: Tensor,
        observed: list[Tensor],
        looked: list[Tensor],
        sentences: SentenceState,
        max_pairs: int,
        group: Tensor | None = None,
    ) -> Tensor:
        """Last-scale logits of windows against all sentences.

        Args:
            boxes: (B, T, 4) fractions.
            observed: Per scale (B, T, h_s * w_s, C_s) from :meth:`observe`.
            looked: Per scale (U, M, C_s), the mean over the windows' frames of :meth:`look`, where all windows look at the same
                T frames; (G, U, M, C_s) of G groups of windows; empty without conditioning.
            sentences: The U sentences.
            max_pairs: (window, expression) pairs decoded at a time.
            group: (B,) int64, each window's group; None where all look at the same frames.

        Returns:
            (B, U, 2) logits (no, yes).
        """
        points = [p.unflatten(0, boxes.shape[:2]) for p in self.hook.target.coordinates(boxes.flatten(0, 1))]
        trajectory = self.decoder.trajectory_memory(self.temporal(observed, points))
        conditioning = self.hook.conditioning
        reference = None
        if conditioning is not None:
            tokens = conditioning.tokens(looked)
            reference = self.decoder.reference_memory(tokens if group is None else [t.flatten(0, 1) for t in tokens])
        count, step = len(sentences.memory), max(max_pairs // len(boxes), 1)
        index = None if group is None else group[:, None] * count + torch.arange(count, device=group.device)  # (B, U)
        parts = []
        for start in range(0, count, step):
            part, seen = slice(start, start + step), None
            if reference is not None:
                seen = reference.select(part) if index is None else reference.grouped(index[:, part])
            words = sentences.memory.select(part)
            parts.append(self.decoder.decode(boxes, trajectory, words, seen, last_only=True)[:, 0])
        return torch.cat(parts, dim=1)

    def forward(self, batch: WindowBatch) -> Prediction:
        """Score every window of a batch against its sentences."""
        maps, tokens, mask = self.encode_batch(batch)
        expression = batch.expression
        if expression is None:  # every window hears all sentences
            expression = torch.arange(len(tokens), device=tokens.device).expand(len(batch.frame), -1)
        points, reference = self.reference_points(tokens, mask), None
        if points is not None:
            reference_tokens, place = self.reference_tokens(maps, batch.frame, points, expression)
            reference = self.decoder.reference_memory(reference_tokens).grouped(place)
            points = [p[expression] for p in points]
        words = self.decoder.text_memory(tokens, mask, self.text_position[: tokens.shape[1]])
        trajectory = self.trajectory_tokens(maps, batch.frame, batch.boxes)
        logits = self.decoder.decode(
            batch.boxes,
            self.decoder.trajectory_memory(trajectory),
            words.select(slice(None) if batch.expression is None else expression),
            reference,
        )
        return Prediction(logits, points, trajectory[-1], (tokens, mask))

    def first_scales(self, count: int) -> FlexHook:
        """A copy that ends at a scale: every scale has its own logits, so those of an earlier one can be taken.

        The visual encoder still runs whole; sampling, temporal integration, conditioning and decoding of the later scales
        are saved.

        Args:
            count: Scales kept, from the finest on: 1 to S. More are slower and decide later.

        Raises:
            ConfigError: The model has no such scale, or its decoder does not decide at every scale.
        """
        if not 1 <= count <= self.num_scales:
            raise ConfigError(f"scoring.exit_scale is {count}", expected=f"1 to {self.num_scales}, the model's scales")
        cut = copy.deepcopy(self)
        cut.num_scales, cut.visual = count, FirstMaps(cut.visual, count)
        cut.hook.keep_scales(count)
        cut.temporal.keep_scales(count)
        cut.decoder.keep_scales(count)
        return cut

    def make_alignment(self, make: Callable[..., nn.Module]) -> nn.Module:
        """The auxiliary loss on trajectory tokens and, where the decoder starts from such, first queries."""
        return make(width=self.text.width, first_query=self.decoder.first_query if self.decoder.box_queries else None)
