"""The losses of a frame's answers: class and refer by focal loss, boxes by L1 and generalised IoU, all as sums."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from flexhook.methods.one_stage.geometry import giou_of_pairs
from flexhook.methods.one_stage.matching import ALPHA, GAMMA, FrameTruth


@dataclass
class LossWeights:
    """Weights of the four terms, the same in every layer and frame.

    Attributes:
        ce: Of the class loss.
        bbox: Of the L1 distance of the boxes.
        giou: Of 1 - generalised IoU.
        refer: Of the refer loss. A larger one favours the sentence over detection.
    """

    ce: float = 2.0
    bbox: float = 5.0
    giou: float = 2.0
    refer: float = 2.0

    def of(self, name: str) -> float:
        """Weight of a loss by its name, such as ``frame_0_aux1_loss_giou``."""
        return float(getattr(self, name.rpartition("_")[2]))


def frame_losses(
    class_logits: Tensor, refer_logits: Tensor, boxes: Tensor, matched: Tensor, truth: FrameTruth
) -> dict[str, Tensor]:
    """The four sums for one layer's answers in one frame.

    Args:
        class_logits: (Q, 1).
        refer_logits: (Q, 1).
        boxes: (Q, 4) (cx, cy, w, h).
        matched: (Q,) int64 row of each instance's truth, -1 for none. Those without one, also tracks whose object is gone,
            are to be background; they have no other loss.
        truth: The frame's objects.

    Returns:
        ``ce``, ``bbox``, ``giou``, ``refer``.
    """
    rows = torch.nonzero(matched >= 0)[:, 0]
    target = matched[rows]
    referred = truth.referred[target].to(refer_logits.dtype)[:, None]
    rated = truth.identity[target] >= 0
    box, true_box = boxes[rows[rated]], truth.boxes[target[rated]].to(boxes.dtype)
    return {
        "ce": _focal(class_logits, (matched >= 0).to(class_logits.dtype)[:, None]),
        "bbox": (box - true_box).abs().sum(),
        "giou": (1 - giou_of_pairs(box, true_box)).sum(),
        "refer": _focal(refer_logits[rows], referred),
    }


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    return sigmoid_focal_loss(logits, target, ALPHA, GAMMA, reduction="sum")
