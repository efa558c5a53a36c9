"""Moving objects before a fixed camera, by background subtraction: no weights, no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from supervision import Detections

from flexhook.errors import ConfigError
from flexhook.trackers.detections import make_detections

#: Value that OpenCV gives to pixels of the foreground; shadows have 127.
FOREGROUND = 255
#: Share of its box that a whole object fills; people fill less than cars. From there on the score is 1.
FILLED = 2 / 3


class BackgroundSubtraction:
    """What differs from the background that a mixture of Gaussians per pixel has learnt (MOG2, of OpenCV).

    For fixed cameras only. An object that stands still becomes background after about a tenth of ``history`` frames, and
    the place that it leaves is found for as long.

    Args:
        history: Frames that the background is learnt from; 1 / history is the learning rate. A larger value lets objects
            stand longer before they are absorbed, and follows changes of light more slowly.
        variance_threshold: Squared distance from the background, in variances, from which a pixel is foreground. A larger
            value finds less and is disturbed less by noise.
        detect_shadows: Leave out shadows, where OpenCV tells them. Slower.
        min_area: Smallest area of an object, as a share of the frame. A larger value leaves out more noise and small objects.
        max_area: Largest area of an object, as a share of the frame; what is larger is a change of light.
        join: Gaps of so many pixels within an object are closed, at 480 pixels of height and in proportion elsewhere. A
            larger value joins the parts of an object, and neighbouring objects, too.
        match_exposure: Bring every frame to the brightness of the background before it is compared: cameras with automatic
            exposure darken the whole picture when something bright comes in. Slower.
        warmup: Frames at the beginning in which the background is learnt and nothing is found.
        name: Name of the one class.

    Raises:
        ConfigError: A setting is out of its range.
    """

    sequential = True

    def __init__(
        self,
        history: int = 1000,
        variance_threshold: float = 25.0,
        detect_shadows: bool = True,
        min_area: float = 0.003,
        max_area: float = 0.5,
        join: int = 9,
        match_exposure: bool = True,
        warmup: int = 3,
        name: str = "object",
    ) -> None:
        if history < 1 or variance_threshold <= 0 or not 0 <= min_area < max_area <= 1 or join < 0 or warmup < 0:
            raise ConfigError("a setting of the background subtraction is out of its range",
                              expected="history >= 1, variance_threshold > 0, 0 <= min_area < max_area <= 1, join >= 0 and"
                              " warmup >= 0", hint="Correct detector")
        self.history, self.variance_threshold, self.detect_shadows = history, variance_threshold, detect_shadows
        self.min_area, self.max_area, self.join, self.warmup = min_area, max_area, join, warmup
        self.match_exposure = match_exposure
        self.classes: tuple[str, ...] = (name,)
        self.reset()

    def reset(self) -> None:
        """Forget the background."""
        self._model: Any = cv2.createBackgroundSubtractorMOG2(self.history, self.variance_threshold, self.detect_shadows)
        self._seen = 0

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame, in order; the score is the share of a box that is foreground, over 2/3 and at most 1."""
        return [self._detect(frame) for frame in frames]

    def key(self) -> str:
        """The settings and the version of OpenCV."""
        settings = (self.history, self.variance_threshold, self.detect_shadows, self.min_area, self.max_area, self.join,
                    self.match_exposure, self.warmup, self.classes)
        return f"BackgroundSubtraction {cv2.__version__} {settings}"

    def _exposed(self, frame: np.ndarray) -> np.ndarray:
        """The frame at the brightness of the background: a camera darkens the whole picture when something bright comes in.

        The gain of each channel is the median over the picture, of which objects cover less than half.
        """
        if not self.match_exposure or self._seen <= 1:
            return np.ascontiguousarray(frame)
        step = max(1, frame.shape[0] // 120)
        background = self._model.getBackgroundImage()[::step, ::step].astype(np.float32)
        seen = frame[::step, ::step].astype(np.float32)
        valid = ((seen > 8) & (seen < 247) & (background > 8) & (background < 247)).all(2)  # neither black nor overexposed
        if valid.mean() < 0.1:
            return np.ascontiguousarray(frame)
        gain = np.clip(np.median(background[valid] / seen[valid], axis=0), 0.5, 2.0)
        table = np.clip(np.arange(256)[:, None] * gain, 0, 255).round().astype(np.uint8)[:, None]  # (256, 1, 3)
        return cv2.LUT(np.ascontiguousarray(frame), table.transpose(1, 0, 2))

    def _detect(self, frame: np.ndarray) -> Detections:
        self._seen += 1
        rate = -1.0 if self._seen <= self.warmup else 1 / self.history  # MOG2's own rate begins with absorbing everything
        mask = (self._model.apply(self._exposed(frame[..., ::-1]), learningRate=rate) == FOREGROUND).astype(np.uint8)
        if self._seen <= self.warmup:
            return make_detections([])
        raw = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        width = round(self.join * frame.shape[0] / 480) // 2 * 2 + 1  # an even kernel moves what it closes
        closed = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, np.ones((width, width), np.uint8)) if width > 1 else raw
        _, _, parts, _ = cv2.connectedComponentsWithStats(closed)
        x, y, w, h = parts[1:, :4].T  # the first one is the background
        area = w * h / mask.size
        keep = (area >= self.min_area) & (area <= self.max_area)
        boxes = np.stack([x, y, x + w, y + h], 1)[keep]
        scores = [min(1.0, float(raw[y1:y2, x1:x2].mean()) / FILLED) for x1, y1, x2, y2 in boxes]
        return make_detections(boxes, scores)
