"""What every referring model is to training and scoring: its two encoders, the batches it takes, what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.frame_maps import FrameMaps
from flexhook.methods.two_stage.model_parts import TextEncoder, VisualEncoder

BATCH = {"cpu": 32}  #: Sentences that fill a CPU's cores; other devices take more at a time.
LARGE_BATCH = 256


@dataclass
class WindowBatch:
    """B windows, the F frames they look at and the U sentences they hear, each frame and sentence once.

    Attributes:
        frame: (B, T) int64 into the frames.
        boxes: (B, T, 4) float, (x1, y1, x2, y2) as fractions of the frame, not clipped.
        expression: (B, N) int64 into the sentences; None when every window hears all U (then N = U).
        images: (F, 3, H, W) uint8 RGB; None when ``maps`` are given.
        maps: Cached feature maps, per scale (F, C_s, h, w).
        ids: (U, L) int64 token ids; None when ``tokens`` are given.
        mask: (U, L) bool, False at padding.
        tokens: Cached text tokens (U, L, D).
        labels: (B, N) int64: 1 referred to, 0 not, -1 not to be judged.
    """

    frame: Tensor
    boxes: Tensor
    mask: Tensor
    expression: Tensor | None = None
    images: Tensor | None = None
    maps: list[Tensor] | None = None
    ids: Tensor | None = None
    tokens: Tensor | None = None
    labels: Tensor | None = None

    def to(self, device, non_blocking: bool = False) -> WindowBatch:
        """A copy on another device."""

        def move(value):
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=non_blocking)
            return [move(v) for v in value] if isinstance(value, list) else value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def pin_memory(self) -> WindowBatch:
        """A copy in pinned memory, for asynchronous transfers."""

        def pin(value):
            if isinstance(value, Tensor):
                return value.pin_memory()
            return [pin(v) for v in value] if isinstance(value, list) else value

        return replace(self, **{f.name: pin(getattr(self, f.name)) for f in fields(self)})


@dataclass
class Prediction:
    """What the model says of a batch.

    Attributes:
        logits: (B, S, N, 2), (no, yes), one per scale.
        points: Per scale (B, N, M, 2) reference points in [-1, 1]; None without conditioning.
        trajectory: (B, K, D) the last scale's trajectory tokens; None where a model has none.
        words: Tokens (U, L', D) of the batch's sentences and their mask (U, L'); None where a model does not keep them.
    """

    logits: Tensor
    points: list[Tensor] | None = None
    trajectory: Tensor | None = None
    words: tuple[Tensor, Tensor] | None = None


class ReferringModel(nn.Module):
    """The encoders of a referring model and how a batch passes through them, shared by FlexHook and its baselines.

    A model gives ``forward(batch) -> Prediction`` to training and to the scoring engine ``prepare_sentences``,
    ``observe``, ``look`` and ``judge`` (see :class:`~flexhook.methods.flexhook.network.FlexHook`).

    Args:
        visual: Visual encoder.
        text: Text encoder.
        num_frames: T, frames of a window.

    Attributes:
        grids: Per scale (h_s, w_s) points sampled in a box; empty where a model samples none.
        needs_images: Whether the model looks at the images themselves too, also where their maps are cached.
    """

    visual: Any
    text: Any
    grids: Sequence[tuple[int, int]] = ()
    needs_images = False

    def __init__(self, visual: VisualEncoder, text: TextEncoder, num_frames: int) -> None:
        super().__init__()
        self.visual, self.text, self.num_frames = visual, text, num_frames

    def encode_frames(self, images: Tensor, visual: Any = None) -> list[Tensor]:
        """Feature maps of unique frames: (F, 3, H, W) uint8 RGB -> per scale (F, C_s, h, w).

        Args:
            images: The frames.
            visual: A copy of the visual encoder to use instead of the model's own.
        """
        x = images.to(next(self.parameters()).dtype) / 255
        mean, std = (x.new_tensor(v)[:, None, None] for v in (self.visual.mean, self.visual.std))
        return (self.visual if visual is None else visual)((x - mean) / std)

    def encode_expressions(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Text tokens of unique sentences, padding cut off after the longest: (U, L), (U, L) -> (U, L', D), (U, L')."""
        tokens = encode_by_length(self.text, ids, mask)
        return tokens, mask[:, : tokens.shape[1]]

    def encode_batch(self, batch: WindowBatch) -> tuple[FrameMaps, Tensor, Tensor]:
        """Maps of a batch's frames, and tokens (U, L', D) and mask (U, L') of its sentences, cached ones where it has them."""
        if batch.maps is None:
            assert batch.images is not None
            maps = self.encode_frames(batch.images)
        else:
            maps = batch.maps
        if batch.tokens is None:
            assert batch.ids is not None
            tokens, mask = self.encode_expressions(batch.ids, batch.mask)
        else:
            length = int(batch.mask.sum(1).max())
            tokens, mask = batch.tokens[:, :length], batch.mask[:, :length]
        return FrameMaps.from_maps(maps, batch.images), tokens, mask

    def first_scales(self, count: int) -> ReferringModel:
        """A copy that ends at a scale, for an early exit.

        Args:
            count: Scales kept, from the finest on.

        Raises:
            ConfigError: The model does not decide at every scale.
        """
        raise ConfigError("scoring.exit_scale is set for a model that decides once, at its end",
                          expected="a model with logits at every scale", hint="scoring.exit_scale=null")

    def make_alignment(self, make: Callable[..., nn.Module]) -> nn.Module:
        """The auxiliary loss that ``make`` makes for this model from ``width`` and ``first_query``.

        Args:
            make: A partial of :class:`~flexhook.methods.flexhook.alignment.TrajectoryAlignment`.

        Raises:
            ConfigError: The model has no trajectory tokens.
        """
        raise ConfigError("the model has no trajectory tokens to align with sentences",
                          expected="alignment=none with this model")


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
