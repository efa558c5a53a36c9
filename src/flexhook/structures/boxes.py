"""Box arithmetic on NumPy arrays; boxes are (x1, y1, x2, y2) unless a name says otherwise."""

from __future__ import annotations

import numpy as np


def xywh_to_xyxy(box: np.ndarray) -> np.ndarray:
    """(..., 4) boxes (x, y, w, h), top-left corner and size, to (x1, y1, x2, y2)."""
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def xyxy_to_xywh(box: np.ndarray) -> np.ndarray:
    """(..., 4) boxes (x1, y1, x2, y2) to (x, y, w, h), top-left corner and size."""
    return np.concatenate([box[..., :2], box[..., 2:] - box[..., :2]], axis=-1)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: (n, 4), (m, 4) -> (n, m) float64 in [0, 1]; 0 where both areas are 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=-1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=-1)
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
