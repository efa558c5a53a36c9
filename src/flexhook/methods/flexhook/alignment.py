"""Trajectories and sentences brought into one space in training: an auxiliary loss that the model itself does not need."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.cosine import CosineMatcher
from flexhook.methods.two_stage.layers import at_least_float32
from flexhook.methods.two_stage.referring_model import Prediction, WindowBatch


class TrajectoryAlignment(nn.Module):
    """Binary cross-entropy of the cosine between a window's mean trajectory token and a sentence's mean word.

    The decoder has to find out that trajectory tokens and words speak of the same things before it can compare them; a
    cosine learns that in few steps. What a window looks like and how it moves are told apart: where the decoder's first queries
    are known, their cosine with the sentence is added. The projections are trained with the model and left behind: scores do
    not use them.

    Args:
        width: D of the model.
        first_query: Makes the decoder's first queries, (B, T, 4) boxes -> (B, 1, D); None where it does not tell.
        queries: Whether to add the cosine of the first queries. Sentences about motion are then learnt sooner.
        weight: Factor of the term. A larger value learns the common space sooner, against what the decoder asks of the tokens.
        positive_weight: w+ in (0, 1), as in the matching loss. A larger value pulls together more than it pushes apart.
        scale: Initial factor of each cosine, learned. A larger value is certain earlier.
        offset: Initial logit of a cosine of 0, learned; negative since most sentences do not refer to most windows.
    """

    def __init__(
        self,
        width: int,
        first_query: Callable[[Tensor], Tensor] | None = None,
        queries: bool = True,
        weight: float = 1.0,
        positive_weight: float = 0.7,
        scale: float = 10.0,
        offset: float = -2.0,
    ) -> None:
        super().__init__()
        self.weight, self.positive_weight = weight, positive_weight
        self.match = CosineMatcher(width)
        self.scale, self.offset = nn.Parameter(torch.tensor(float(scale))), nn.Parameter(torch.tensor(float(offset)))
        self.first_query = first_query if queries else None
        if self.first_query is not None:
            self.query_match = CosineMatcher(width)
            self.query_scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, prediction: Prediction, batch: WindowBatch) -> Tensor:
        """The term of a batch.

        Args:
            prediction: A prediction that keeps the trajectories' and sentences' tokens.
            batch: The batch, for the expressions of its windows and the labels; -1 leaves a pair out of the mean.

        Returns:
            A scalar, ``weight`` included.

        Raises:
            ConfigError: The model has no trajectory tokens.
        """
        if prediction.trajectory is None or prediction.words is None:
            raise ConfigError("the model has no trajectory tokens to align with sentences", expected="alignment=none")
        assert batch.labels is not None
        words, heard = prediction.words, slice(None) if batch.expression is None else batch.expression

        def cosine(match: CosineMatcher, visual: Tensor) -> Tensor:
            no, yes = at_least_float32(match(visual, match.sentences(*words).select(heard))).unbind(-1)
            return yes - no

        logits = self.scale * cosine(self.match, prediction.trajectory.mean(1, keepdim=True)) + self.offset
        if self.first_query is not None:
            logits = logits + self.query_scale * cosine(self.query_match, self.first_query(batch.boxes))
        judged, target = batch.labels >= 0, (batch.labels == 1).to(logits.dtype)
        weight = (target * self.positive_weight + (1 - target) * (1 - self.positive_weight)) * judged
        loss = F.binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
        return self.weight * loss / judged.sum().clamp(min=1)
