"""The interface of a decoder: does this sentence refer to this window? A decoder of one's own subclasses :class:`Decoder`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError


def select_rows(x: Tensor, index: Tensor | slice) -> Tensor:
    """Rows of x for windows.

    Args:
        x: (R, ...).
        index: (B, N) int64, each window's own rows; or a slice of rows that all windows share.

    Returns:
        (B, N, ...), for a slice (1, N, ...).
    """
    if isinstance(index, slice):
        return x[index][None]
    return x.index_select(0, index.flatten()).unflatten(0, index.shape)  # its gradient is faster than x[index]'s


def join_rows(first: Tensor, second: Tensor) -> Tensor:
    """Rows of both: (R, K, ...) and (S, L, ...) -> (R + S, max(K, L), ...), the shorter ones filled with zeros (False)."""
    length = max(first.shape[1], second.shape[1])

    def filled(x: Tensor) -> Tensor:
        return F.pad(x, (*(0, 0) * (x.dim() - 2), 0, length - x.shape[1])) if x.shape[1] < length else x

    return torch.cat([filled(first), filled(second)])


@dataclass
class TextTokens:
    """Words of sentences.

    Attributes:
        tokens: (U, L, D) of U sentences; (B, N, L, D) in :meth:`Decoder.forward`, N sentences per window.
        mask: (U, L) bool, False at padding; (B, N, L) in :meth:`Decoder.forward`.
        position: (L, D) learned position vectors, the same for all sentences.
    """

    tokens: Tensor
    mask: Tensor
    position: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def select(self, index: Tensor | slice) -> TextTokens:
        """Sentences of windows, ``index`` as for :func:`select_rows`."""
        return TextTokens(select_rows(self.tokens, index), select_rows(self.mask, index), self.position)

    def join(self, other: TextTokens) -> TextTokens:
        """The sentences of both, padded to one length."""
        position = self.position if len(self.position) >= len(other.position) else other.position
        return TextTokens(join_rows(self.tokens, other.tokens), join_rows(self.mask, other.mask), position)

    def keep(self, rows: Tensor) -> TextTokens:
        """The sentences of some rows (V,)."""
        return TextTokens(self.tokens[rows], self.mask[rows], self.position)


@dataclass
class ReferenceTokens:
    """What frames show at the reference points of sentences.

    Attributes:
        tokens: Per scale (R, M, D) of R (T frames, sentence) pairs; after ``select`` (B or 1, N, M, D).
    """

    tokens: list[Tensor]

    def select(self, index: Tensor | slice) -> ReferenceTokens:
        """Pairs of windows, ``index`` as for :func:`select_rows`."""
        return ReferenceTokens([select_rows(t, index) for t in self.tokens])

    def grouped(self, index: Tensor) -> ReferenceTokens:
        """As :meth:`select` with (B, N) indices; a faster decoder may keep the rows of windows with equal indices once."""
        return self.select(index)


class Decoder(nn.Module):
    """Scores (window, expression) pairs: a subclass writes :meth:`forward`, and trains, scores and exits early with it.

    The model calls the memories and :meth:`decode`, which here pass plain tokens on to :meth:`forward`. A decoder that computes
    parts of its work once per sentence, per frame or per window overrides them
    (:class:`~flexhook.methods.flexhook.decoder.PairwiseCorrespondenceDecoder`). Such a memory has ``select``, that of sentences
    ``len()``, ``join`` and ``keep`` (streams add and remove sentences), and that of reference tokens ``grouped``, too.

    Several processes (DDP) refuse parameters without gradient: ``forward`` has to use ``text.position`` (without conditioning
    nothing else does) and, with :attr:`box_queries`, ``queries``.

    Args:
        width: D.
        num_scales: S.
        num_frames: T.

    Attributes:
        box_queries: Whether queries are made of the windows' boxes by a learned embedding. False: ``queries`` are zeros.
        every_scale: Whether :meth:`forward` gives logits for every scale, each from this scale and finer ones alone. False: one
            row of logits, S = 1, from all scales; such a decoder has no early exit.
    """

    box_queries: ClassVar[bool] = True
    every_scale: ClassVar[bool] = True

    def __init__(self, width: int, num_scales: int, num_frames: int = 4) -> None:
        super().__init__()
        self.width, self.num_scales = width, num_scales
        if self.box_queries:
            self.box_embedding = nn.Parameter(torch.randn(4 * num_frames, width))

    def forward(
        self, queries: Tensor, text: TextTokens, reference: Sequence[Tensor] | None, trajectory: Sequence[Tensor]
    ) -> Tensor:
        """Logits of N expressions for each of B windows. The number of scales is ``len(trajectory)``: fewer with an early exit.

        Args:
            queries: (B, N, D), those of a window equal (:meth:`first_query`).
            text: Each expression's own words: ``tokens`` (B, N, L, D), ``mask`` (B, N, L), ``position`` (L, D).
            reference: Per scale (B, N, M, D), each expression's own; None without conditioning.
            trajectory: Per scale (B, h_s * w_s, D), of the window.

        Returns:
            (B, S, N, 2) logits (no, yes).
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(queries, text, reference, trajectory)")

    def first_query(self, boxes: Tensor) -> Tensor:
        """The query all expressions of a window start from: boxes (B, T, 4) as (x1, y1, x2, y2) fractions -> (B, 1, D)."""
        if not self.box_queries:
            return boxes.new_zeros(len(boxes), 1, self.width)
        centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        flat = torch.cat([centre, size], -1).flatten(1).to(self.box_embedding.dtype)  # (B, 4T), frame by frame
        with torch.autocast(boxes.device.type, enabled=False):  # in bfloat16 a box would be off by pixels
            return (flat @ self.box_embedding / self.width**0.5)[:, None]

    def text_memory(self, tokens: Tensor, mask: Tensor, position: Tensor) -> Any:
        """What is kept of U sentences: tokens (U, L, D), mask (U, L), position (L, D)."""
        return TextTokens(tokens, mask, position)

    def reference_memory(self, tokens: Sequence[Tensor]) -> Any:
        """What is kept of R (T frames, sentence) pairs: per scale (R, M, D)."""
        return ReferenceTokens(list(tokens))

    def trajectory_memory(self, trajectory: Sequence[Tensor]) -> Any:
        """What is kept of B windows: per scale (B, h_s * w_s, D)."""
        return list(trajectory)

    def decode(self, boxes: Tensor, trajectory: Any, text: Any, reference: Any, last_only: bool = False) -> Tensor:
        """Logits from memories.

        Args:
            boxes: (B, T, 4) fractions of the frame, not clipped.
            trajectory: The windows' :meth:`trajectory_memory`.
            text: The :meth:`text_memory`, selected for these windows.
            reference: The :meth:`reference_memory`, selected; None without conditioning.
            last_only: Give the last scale's logits only (scoring).

        Returns:
            (B, S, N, 2) logits (no, yes); S = 1 with ``last_only``.

        Raises:
            ConfigError: :meth:`forward` gave another shape.
        """
        count, number = len(boxes), text.mask.shape[1]

        def own(x: Tensor) -> Tensor:  # what all windows share, for each of them, without copying
            return x.expand(count, *x.shape[1:])

        logits = self(
            self.first_query(boxes).expand(-1, number, -1),
            TextTokens(own(text.tokens), own(text.mask), text.position),
            None if reference is None else [own(t) for t in reference.tokens],
            trajectory,
        )
        expected = (count, len(trajectory) if self.every_scale else 1, number, 2)
        if logits.shape != expected:
            raise ConfigError(f"{type(self).__name__} gives logits of shape {tuple(logits.shape)}",
                              expected=f"{expected}: windows, scales, expressions, (no, yes)",
                              hint="Set every_scale = False in a decoder that decides once, at its end")
        return logits[:, -1:] if last_only else logits

    def keep_scales(self, count: int) -> None:
        """Leave out the scales from ``count`` on, in place: :meth:`forward` gets the first ``count`` from now on.

        Raises:
            ConfigError: The decoder has no logits of an earlier scale.
        """
        if not self.every_scale:
            raise ConfigError("scoring.exit_scale is set for a model that decides once, at its end",
                              expected="a decoder with logits at every scale", hint="scoring.exit_scale=null")
        self.num_scales = count
