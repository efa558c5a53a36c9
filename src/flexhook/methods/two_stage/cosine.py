"""Matching by the cosine of projected features: iKUN's, and what C-Hook's trajectory tokens are matched by without PCD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.decoder_base import Decoder, TextTokens


@dataclass
class SentenceVectors:
    """One vector per sentence, in place of keys and values of its words.

    Attributes:
        pooled: (R, D) mean of the sentence's words, after ``select`` (B or 1, N, D).
        projected: (R, D) what visual features are compared with, of length 1; likewise.
        points: None: a sentence has no reference points.
    """

    pooled: Tensor
    projected: Tensor
    points: None = None

    def __len__(self) -> int:
        return len(self.pooled)

    def select(self, index: Tensor | slice) -> SentenceVectors:
        """As seen from windows: ``index`` (B, N) gives each window its own sentences, a slice shares some among all."""
        one, two = self.pooled[index], self.projected[index]
        return SentenceVectors(one[None], two[None]) if isinstance(index, slice) else SentenceVectors(one, two)

    def join(self, other: SentenceVectors) -> SentenceVectors:
        """The sentences of both."""
        return SentenceVectors(torch.cat([self.pooled, other.pooled]), torch.cat([self.projected, other.projected]))

    def keep(self, rows: Tensor) -> SentenceVectors:
        """The sentences of some rows (V,)."""
        return SentenceVectors(self.pooled[rows], self.projected[rows])


class CosineMatcher(nn.Module):
    """The cosine of projected visual and sentence features, as two logits whose difference it is.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.sentence = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def sentences(self, tokens: Tensor, mask: Tensor) -> SentenceVectors:
        """Sentences as the mean of their words: (R, L, D) tokens, (R, L) mask."""
        share = mask.to(tokens.dtype) / mask.sum(1, keepdim=True)
        pooled = torch.einsum("rl,rld->rd", share, tokens)
        return SentenceVectors(pooled, F.normalize(self.sentence(pooled), dim=-1))

    def forward(self, visual: Tensor, sentences: SentenceVectors) -> Tensor:
        """Compare (B, N or 1, D) visual features with selected sentences: (B, N, 2) logits (no, yes) = (-cos / 2, cos / 2)."""
        cosine = (F.normalize(self.visual(visual), dim=-1) * sentences.projected).sum(-1)
        return torch.stack([-cosine, cosine], -1) / 2


class CosineDecoder(Decoder):
    """In place of the pairwise correspondence decoder: the mean of the last scale's trajectory tokens against the sentence.

    The step "+ C-Hook" from iKUN to FlexHook. It has no place for reference tokens, so it goes with M = 0.

    Args:
        width: D.
        num_scales: Not needed: the last scale holds the finer ones' tokens.
        num_frames: Not needed: the trajectory tokens hold all frames.
    """

    box_queries, every_scale = False, False

    def __init__(self, width: int, num_scales: int, num_frames: int = 4) -> None:
        super().__init__(width, num_scales, num_frames)
        self.match = CosineMatcher(width)

    def forward(
        self, queries: Tensor, text: TextTokens, reference: Sequence[Tensor] | None, trajectory: Sequence[Tensor]
    ) -> Tensor:
        """The cosine (B, 1, N, 2) of every (window, expression); C-Hook's displacements hold the motion, not the queries."""
        if reference is not None:
            self.reference_memory(reference)
        words, mask = (text.tokens + text.position).flatten(0, 1), text.mask.flatten(0, 1)
        index = torch.arange(len(words), device=words.device).view(text.mask.shape[:2])
        return self.match(trajectory[-1].mean(1, keepdim=True), self.match.sentences(words, mask).select(index))[:, None]

    def text_memory(self, tokens: Tensor, mask: Tensor, position: Tensor) -> SentenceVectors:
        """Sentence vectors of (U, L, D) tokens with the (L, D) position vectors added."""
        return self.match.sentences(tokens + position, mask)

    def reference_memory(self, tokens: Sequence[Tensor]) -> None:
        """Refuse reference tokens."""
        raise ConfigError("the cosine decoder has no place for reference tokens",
                          expected="num_reference_points: 0 with this decoder")

    def trajectory_memory(self, trajectory: Sequence[Tensor]) -> Tensor:
        """(B, 1, D): the mean of the last scale's (B, h * w, D) trajectory tokens."""
        return trajectory[-1].mean(1, keepdim=True)

    def decode(
        self, boxes: Tensor, trajectory: Tensor, text: SentenceVectors, reference: None, last_only: bool = False
    ) -> Tensor:
        """As of the parent; there is one scale, and boxes are not needed."""
        return self.match(trajectory, text)[:, None]
