"""Losses over the (no, yes) logits of every scale and the regulariser of the reference points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.methods.two_stage.layers import at_least_float32


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy at every scale, positives times w+, negatives times 1 - w+, plain mean over windows, scales, pairs.

    Args:
        positive_weight: w+ in (0, 1). A larger value accepts more.
        gamma: Power of the focusing factor. A larger value attends more to uncertain (or wrong) pairs; without effect here.
    """

    def __init__(self, positive_weight: float = 0.7, gamma: float = 1.0) -> None:
        super().__init__()
        self.positive_weight, self.gamma = positive_weight, gamma

    def factor(self, log_p: Tensor, labels: Tensor) -> Tensor | float:
        """Focusing factor, without gradient: (..., 2) log-probabilities and (...) labels -> (...)."""
        return 1.0

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss.

        Args:
            logits: (B, S, N, 2).
            labels: (B, N) int64, 1 or 0; -1 leaves the pair out of the mean.

        Returns:
            A scalar.
        """
        logits = at_least_float32(logits)  # on a CPU autocast leaves log_softmax in bfloat16
        log_p = logits.log_softmax(-1)
        labels = labels[:, None].expand(logits.shape[:3])
        judged = labels >= 0
        target = labels.clamp(min=0)
        cross_entropy = -log_p.gather(-1, target[..., None])[..., 0]
        positive, negative = logits.new_tensor([self.positive_weight, 1 - self.positive_weight])
        weight = torch.where(target == 1, positive, negative)
        loss = weight * self.factor(log_p.detach(), target) * cross_entropy * judged
        return loss.sum() / judged.sum().clamp(min=1)


class EntropyWeightedCrossEntropy(WeightedCrossEntropy):
    """The factor is the entropy (nats) of the predicted distribution to the power gamma: the published code's loss."""

    def factor(self, log_p: Tensor, labels: Tensor) -> Tensor:
        """Entropy to the power gamma."""
        return (-(log_p.exp() * log_p).sum(-1)) ** self.gamma


class FocalLoss(WeightedCrossEntropy):
    """The factor is (1 - p_t)^gamma, p_t the probability of the true answer: the loss as the paper writes it."""

    def factor(self, log_p: Tensor, labels: Tensor) -> Tensor:
        """(1 - p_t)^gamma."""
        return (1 - log_p.gather(-1, labels[..., None])[..., 0].exp()) ** self.gamma


class CosineFocalLoss(FocalLoss):
    """The focal loss on a cosine, whose range of [-1, 1] leaves no answer certain by itself.

    Args:
        positive_weight: w+ in (0, 1). A larger value accepts more.
        gamma: Power of the focusing factor. A larger value attends more to wrong pairs.
        scale: The logits, whose difference is the cosine, are multiplied by it. A larger value pushes less far: a cosine
            of 3 / scale is then already taken for certain.
    """

    def __init__(self, positive_weight: float = 0.7, gamma: float = 2.0, scale: float = 10.0) -> None:
        super().__init__(positive_weight, gamma)
        self.scale = scale

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss, arguments as for the others."""
        return super().forward(self.scale * logits, labels)


def spread(points: Tensor, margin: float = 0.1) -> Tensor:
    """R of groups of points: mutual repulsion plus half the border penalty.

    Args:
        points: (..., n, 2) in [-1, 1].
        margin: Distance to the border under which the penalty sets in.

    Returns:
        (...) r of each group; a group of one point has no repulsion.
    """
    n = points.shape[-2]
    edge = F.softplus(30 * (margin - (1 - points.abs()).amin(-1))).mean(-1)
    if n == 1:
        return 0.5 * edge
    tau2 = 0.64 * (2 * (1 - margin)) ** 2 / n
    square = (points[..., :, None, :] - points[..., None, :, :]).square().sum(-1)  # (..., n, n)
    others = 1 - torch.eye(n, dtype=points.dtype, device=points.device)
    repulsion = (torch.exp(-square / tau2) * others).sum((-2, -1)) / (n * (n - 1))
    return repulsion + 0.5 * edge


class ReferencePointRegulariser(nn.Module):
    """Spreads the reference points of one sentence over the frame, and those of a window's different sentences apart.

    Args:
        weight: Factor of the whole term. A larger value spreads the points more evenly, against what they should find.
    """

    def __init__(self, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, points: Sequence[Tensor]) -> Tensor:
        """Sum over scales.

        Args:
            points: Per scale (B, N, M, 2).

        Returns:
            A scalar: weight * sum over scales of the mean of (r over a sentence's M points, r over a window's N sentences).
        """
        terms = [(spread(p).mean() + spread(p.transpose(1, 2)).mean()) / 2 for p in points]
        return self.weight * torch.stack(terms).sum()
