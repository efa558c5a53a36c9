"""The replaceable parts of a two-stage model as protocols; the decoder's is a base class, :mod:`.decoder_base`.

Shapes: F frames, C_s channels and an (h, w) map at scale s (0 = finest), U sentences of L tokens with D channels, B windows of
T frames, P boxes, an (h_s, w_s) grid in each box, M reference points, N expressions per window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from flexhook.methods.two_stage.frame_maps import FrameMaps


class VisualEncoder(Protocol):
    """Frames to feature maps.

    Attributes:
        channels: C_s per scale, finest first.
        strides: Pixels of the image per cell of the map, per scale.
        mean: Of each channel, R, G, B, in images of [0, 1].
        std: Standard deviation of each channel.
        map_scale: Factor that the maps are multiplied by, 1 for none: maps that were cached with another are not used.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    map_scale: float

    def __call__(self, images: Tensor) -> list[Tensor]:
        """(F, 3, H, W) normalised images -> per scale (F, C_s, h, w)."""


class TextEncoder(Protocol):
    """Sentences to tokens.

    Attributes:
        width: D.
        length: Tokens per sentence at most.
    """

    width: int
    length: int

    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids (U, length) int64 and mask (U, length) bool, False at padding."""

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(U, L) ids, (U, L) mask -> (U, L, D)."""


class TargetSampling(Protocol):
    """Features inside boxes."""

    def coordinates(self, boxes: Tensor) -> list[Tensor]:
        """(..., 4) boxes (x1, y1, x2, y2) as fractions of the frame -> per scale (..., h_s * w_s, 2) points in [-1, 1]."""

    def __call__(self, maps: FrameMaps, frame: Tensor, boxes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Maps, (P,) frames, (P, 4) boxes -> per scale features (P, h_s * w_s, C_s) and points (P, h_s * w_s, 2)."""


class Conditioning(Protocol):
    """Reference points of sentences and what frames show there."""

    def points(self, tokens: Tensor, mask: Tensor, position: Tensor) -> list[Tensor]:
        """(U, L, D) tokens, (U, L) mask, (L, D) position vectors -> per scale (U, M, 2) points in [-1, 1]."""

    def hidden(self, maps: FrameMaps, frame: Tensor, points: Sequence[Tensor]) -> list[Tensor]:
        """Features of single frames: maps, (P,) frames, per scale (P, M, 2) points -> per scale (P, M, C_s)."""

    def tokens(self, hidden: Sequence[Tensor]) -> list[Tensor]:
        """Means of :meth:`hidden` over the frames of a window, per scale (..., C_s) -> reference tokens (..., D)."""


class Hook(Protocol):
    """Samples features from the maps of whole frames; made from ``channels``, ``width`` and ``grids``."""

    @property
    def target(self) -> TargetSampling:
        """The sampling inside boxes."""

    @property
    def conditioning(self) -> Conditioning | None:
        """The sampling at reference points; None leaves it out."""

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place."""


class TemporalIntegration(Protocol):
    """Features of T frames to trajectory tokens; made from ``channels``, ``width``, ``grids`` and ``num_frames``."""

    def __call__(self, features: Sequence[Tensor], points: Sequence[Tensor]) -> list[Tensor]:
        """Per scale (B, T, h_s * w_s, C_s) features and (B, T, h_s * w_s, 2) points -> per scale (B, h_s * w_s, D)."""

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place."""


class Loss(Protocol):
    """The loss on the logits."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, S, N, 2) logits (no, yes), (B, N) int64 labels (1 referred to, 0 not, -1 left out) -> scalar."""
