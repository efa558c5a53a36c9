"""Boxes (cx, cy, w, h) as fractions of the image, and the inverse of the sigmoid that makes them."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou, generalized_box_iou

EPSILON = 1e-5


def inverse_sigmoid(x: Tensor) -> Tensor:
    """Logits of probabilities, which are clamped to [0, 1] and away from the ends by 1e-5."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=EPSILON) / (1 - x).clamp(min=EPSILON))


def corners(box: Tensor) -> Tensor:
    """(..., 4) boxes (cx, cy, w, h) to (x1, y1, x2, y2)."""
    return box_convert(box, "cxcywh", "xyxy")


def iou_of_pairs(a: Tensor, b: Tensor) -> Tensor:
    """IoU of box k of ``a`` with box k of ``b``: (n, 4), (n, 4) -> (n,)."""
    return box_iou(corners(a), corners(b)).diagonal()


def giou_of_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of box k of ``a`` with box k of ``b``: (n, 4), (n, 4) -> (n,)."""
    return generalized_box_iou(corners(a), corners(b)).diagonal()


def full_precision(x: Tensor) -> Tensor:
    """float32 of a tensor in half precision; others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
