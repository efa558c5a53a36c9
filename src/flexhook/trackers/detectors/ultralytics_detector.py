"""YOLO and RT-DETR models of ultralytics, where that package is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from supervision import Detections

from flexhook.encoders.hub import first_line
from flexhook.errors import InputError
from flexhook.structures.digests import digest
from flexhook.trackers.detections import class_table, from_result, select_classes


class UltralyticsDetector:
    """A detection model of ultralytics (AGPL-3.0; not installed with this project).

    Args:
        weights: A file such as ``yolo11n.pt``. Such files hold pickled code: use only those that you trust.
        threshold: Detections of a lower score are left out, 0 to 1. A larger value finds fewer objects and invents fewer.
        classes: Names of the classes to keep, in the order of their new numbers; None for all that the model knows.

    Raises:
        InputError: The package is not installed, the weights do not load, or the model does not know a class.
    """

    sequential = False

    def __init__(self, weights: str | Path, threshold: float = 0.1, classes: Sequence[str] | None = None) -> None:
        try:
            from ultralytics import YOLO
        except ImportError:
            raise InputError("the package ultralytics is not installed", expected="pip install ultralytics",
                             hint="Or choose detector=transformers") from None
        try:
            self.model = YOLO(str(weights))
            names = self.model.names
        except Exception as error:
            raise InputError(f"the weights do not load ({first_line(error)})", file=weights) from error
        self.threshold = float(threshold)
        self.classes, self._numbers = class_table([names[k] for k in sorted(names)], classes, "detector.classes")
        path = Path(weights)
        self._fingerprint = digest(path.read_bytes()) if path.is_file() else str(weights)

    def reset(self) -> None:
        """Frames do not depend on each other: nothing to do."""

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame; see :class:`flexhook.structures.protocols.Detector`."""
        pictures = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]  # it takes BGR
        results = self.model.predict(pictures, conf=self.threshold, verbose=False)
        return [select_classes(from_result(result), self._numbers) for result in results]

    def key(self) -> str:
        """Weights, threshold and classes."""
        return f"UltralyticsDetector {self._fingerprint} {self.threshold} {self.classes}"
