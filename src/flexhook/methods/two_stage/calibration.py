"""Calibration of scores by how often similar sentences referred to something in training (iKUN's)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flexhook.errors import InputError
from flexhook.structures import Video
from flexhook.structures.digests import digest

Embed = Callable[[Sequence[str]], Tensor]


def box_shares(videos: Sequence[Video]) -> dict[str, float]:
    """Of every sentence of some videos its boxes as a share of all sentences' boxes.

    Raises:
        InputError: No sentence refers to anything.
    """
    counts: dict[str, float] = {}
    for video in videos:
        boxes = np.asarray(video.labels.sum(axis=0)).reshape(-1)
        for expression, count in zip(video.expressions, boxes.tolist(), strict=True):
            counts[expression.sentence] = counts.get(expression.sentence, 0.0) + count
    total = sum(counts.values())
    if not total:
        raise InputError("the training videos have no expression that refers to anything",
                         expected="training data for the calibration", hint="scoring.calibration=null")
    return {sentence: count / total for sentence, count in counts.items()}


class SentenceFrequency:
    """What is added to the score (the cosine) of a sentence: ``weight`` * p + ``offset``.

    p is the mean of the training sentences' box shares, weighted by a softmax over their similarity to the sentence:
    cosines of the sentences' features, scaled to [0, 1] between the least and the most similar, times ``sharpness``.

    Args:
        weight: A larger value accepts more of what is often referred to.
        offset: Accepted for a sentence like no frequent one. A larger value accepts more of everything.
        sharpness: A larger value lets only the most similar training sentences count.
    """

    def __init__(self, weight: float = 8.0, offset: float = -0.1, sharpness: float = 100.0) -> None:
        self.weight, self.offset, self.sharpness = weight, offset, sharpness
        self._features: Tensor | None = None
        self._shares: Tensor | None = None
        self._digest = ""  # of the sentences and their shares: scores of another calibration are not taken for this one's

    def __repr__(self) -> str:
        return f"SentenceFrequency({self.weight}, {self.offset}, {self.sharpness}, {self._digest})"

    def fit(self, videos: Sequence[Video], embed: Embed) -> SentenceFrequency:
        """Learn the frequencies.

        Args:
            videos: Training videos.
            embed: Sentences to (U, D) features.
        """
        shares = box_shares(videos)
        self._digest = digest(json.dumps(shares))
        self._features = F.normalize(embed(list(shares)), dim=-1)
        self._shares = torch.tensor(list(shares.values()), dtype=self._features.dtype, device=self._features.device)
        return self

    def __call__(self, features: Tensor) -> Tensor:
        """What is added for sentences with (U, D) features: (U,)."""
        assert self._features is not None and self._shares is not None
        cosine = F.normalize(features.to(self._features.dtype), dim=-1) @ self._features.T  # (U, training sentences)
        low, high = cosine.amin(1, keepdim=True), cosine.amax(1, keepdim=True)
        scaled = (cosine - low) / (high - low).clamp(min=1e-12)
        return self.weight * (self.sharpness * scaled).softmax(1) @ self._shares + self.offset
