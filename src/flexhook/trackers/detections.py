"""Detections of one frame, as supervision has them: made, checked, converted from other libraries' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.errors import InputError


def make_detections(
    boxes: Any, scores: Any = None, classes: Any = None, identities: Any = None, size: tuple[int, int] | None = None
) -> Detections:
    """Detections with all columns, whatever their number. Boxes that are not finite or have no area are left out.

    Args:
        boxes: (n, 4), xyxy in pixels.
        scores: (n,), 0 to 1; None for 1.
        classes: (n,) class numbers from 0; None for 0.
        identities: (n,) identities of tracked objects; None for untracked ones.
        size: (height, width) of the frame, to which boxes are clipped; None leaves them as they are.

    Returns:
        ``xyxy`` float32, ``confidence`` float32, ``class_id`` int64 and, of tracked objects, ``tracker_id`` int64.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    n = len(boxes)
    scores = np.ones(n, np.float32) if scores is None else np.asarray(scores, np.float32).reshape(-1)
    classes = np.zeros(n, np.int64) if classes is None else np.asarray(classes, np.int64).reshape(-1)
    identities = None if identities is None else np.asarray(identities, np.int64).reshape(-1)
    if size is not None:
        boxes = boxes.clip(0, np.array([size[1], size[0]] * 2, np.float32))
    keep = np.isfinite(boxes).all(1) & np.isfinite(scores) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Detections(
        xyxy=boxes[keep], confidence=scores[keep], class_id=classes[keep],
        tracker_id=None if identities is None else identities[keep],
    )  # fmt: skip


def complete(detections: Detections) -> Detections:
    """Detections from elsewhere with all columns of :func:`make_detections`; masks and other data are dropped."""
    found = detections
    return make_detections(found.xyxy, found.confidence, found.class_id, found.tracker_id)


def from_result(result: Any) -> Detections:
    """One frame's result of another library as detections.

    Args:
        result: supervision ``Detections``; an ultralytics result (with ``boxes``); a mapping with ``boxes``, ``scores`` and
            ``labels``, as torchvision's and transformers' post-processing give; or an (n, 4), (n, 5) or (n, 6) array of
            xyxy, score and class.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(result, Detections):
        return complete(result)
    boxes = getattr(result, "boxes", None)
    if boxes is not None and hasattr(boxes, "xyxy"):
        identities = getattr(boxes, "id", None)
        xyxy, scores, classes = (_array(getattr(boxes, name)) for name in ("xyxy", "conf", "cls"))
        return make_detections(xyxy, scores, classes, _array(identities))
    if isinstance(result, Mapping) and "boxes" in result:
        return make_detections(*(_array(result.get(name)) for name in ("boxes", "scores", "labels")))
    table = _array(result)
    if isinstance(table, np.ndarray) and table.ndim == 2 and table.shape[1] in (4, 5, 6) and table.dtype != object:
        width = table.shape[1]
        return make_detections(table[:, :4], table[:, 4] if width > 4 else None, table[:, 5] if width > 5 else None)
    raise InputError(f"a frame's detections are {type(result).__name__}",
                     expected="supervision Detections, an ultralytics result, a mapping with boxes, scores and labels, or an"
                     " array of 4 to 6 columns")


def select_classes(found: Detections, numbers: np.ndarray) -> Detections:
    """Detections with classes renumbered; those of other classes are left out.

    Args:
        found: Detections with ``class_id``.
        numbers: (k,) int64, the new number of each old one, -1 for classes that do not count.
    """
    assert found.class_id is not None
    inside = (found.class_id >= 0) & (found.class_id < len(numbers))
    new = np.where(inside, numbers[found.class_id.clip(0, len(numbers) - 1)] if len(numbers) else -1, -1)
    kept: Any = found[new >= 0]
    kept.class_id = new[new >= 0]
    return kept


def class_table(known: Sequence[str], wanted: Sequence[str] | None, option: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes to keep of those that a detector knows, and the new number of each known one, -1 for none.

    Args:
        known: Names by class number.
        wanted: Names to keep, in the order of their new numbers; None for all.
        option: Name of the option, for the message.

    Raises:
        InputError: The detector does not know a wanted one.
    """
    if wanted is None:
        return tuple(known), np.arange(len(known), dtype=np.int64)
    names = tuple(str(name) for name in wanted)
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise InputError(f"{option} names {missing[0]!r}" if missing else f"{option} is empty",
                         expected=f"some of {', '.join(known)}")
    return names, np.array([names.index(name) if name in names else -1 for name in known], np.int64)


def _array(value: Any) -> Any:
    """A tensor of any library as an array; None stays None."""
    if value is None:
        return None
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "cpu"):
        value = value.cpu()
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)
