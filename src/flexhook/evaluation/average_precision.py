"""Average precision of detections, as COCO defines it for one IoU threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flexhook.structures.boxes import iou

#: The IoU thresholds of COCO's mean average precision.
COCO_THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class FrameDetections:
    """Detections and true objects of one frame.

    Attributes:
        boxes: (n, 4), xyxy.
        scores: (n,).
        labels: (n,) class numbers.
        true_boxes: (m, 4), xyxy.
        true_labels: (m,) class numbers.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    true_boxes: np.ndarray
    true_labels: np.ndarray


def average_precision(frames: Iterable[FrameDetections], thresholds: Sequence[float] = (0.5, 0.75)) -> dict[float, float]:
    """Mean over the classes that occur in the truth of the average precision, 0 to 1, by IoU threshold.

    Per class all detections are taken by falling score; each takes the true object of its frame that it overlaps most and
    that none has taken, if it overlaps it by the threshold. Precision, made monotonous, is averaged over 101 values of
    recall (COCO, https://cocodataset.org/#detection-eval). NaN where there are no true objects.

    Args:
        frames: Detections and truth, frame by frame.
        thresholds: IoU thresholds. A larger one asks for more exact boxes.
    """
    frames = list(frames)
    classes = np.unique(np.concatenate([np.asarray(f.true_labels) for f in frames])).tolist() if frames else []
    values: dict[float, list[float]] = {t: [] for t in thresholds}
    for label in classes:
        scores: list[np.ndarray] = []
        hits: dict[float, list[np.ndarray]] = {t: [] for t in thresholds}
        objects = 0
        for frame in frames:
            truth = frame.true_boxes[frame.true_labels == label]
            mine = np.flatnonzero(frame.labels == label)
            order = mine[np.argsort(-frame.scores[mine], kind="stable")]
            overlap = iou(frame.boxes[order], truth)
            objects += len(truth)
            scores.append(frame.scores[order])
            for t in thresholds:
                hits[t].append(_matched(overlap, t))
        every = np.concatenate(scores)
        order = np.argsort(-every, kind="stable")
        for t in thresholds:
            values[t].append(_area(np.concatenate(hits[t])[order], objects))
    return {t: float(np.mean(v)) if v else float("nan") for t, v in values.items()}


def _matched(overlap: np.ndarray, threshold: float) -> np.ndarray:
    """Which detections, best first, take a true object: (n, m) IoU -> (n,) bool."""
    left, hit = overlap.copy(), np.zeros(len(overlap), bool)
    for k in range(len(left) if left.shape[1] else 0):
        best = int(left[k].argmax())
        if left[k, best] >= threshold:
            hit[k] = True
            left[:, best] = -1
    return hit


def _area(hit: np.ndarray, objects: int) -> float:
    """Mean precision over 101 recalls of detections by falling score."""
    true = np.cumsum(hit)
    recall, precision = true / objects, true / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())
