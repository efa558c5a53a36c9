"""The trained detector in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import resize
from flexhook.methods.detector.frames import evaluating
from flexhook.methods.detector.method import DetectorMethod
from flexhook.trackers.detections import make_detections
from flexhook.trackers.devices import torch_device
from flexhook.training.build import load_method

if TYPE_CHECKING:
    from supervision import Detections


class EmbeddedDetector:
    """A detector that ``flexhook train experiment=detector_synthetic`` has made.

    Args:
        weights: Its checkpoint, or its run folder, of which the best checkpoint is taken.
        threshold: Detections of a lower score are left out, 0 to 1. A larger value finds fewer objects and invents fewer.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Attributes:
        classes: Names of the classes.

    Raises:
        ConfigError: No weights.
        InputError: They are missing, damaged, those of another method, or name parts that are not trusted.
    """

    sequential = False

    def __init__(self, weights: str | Path | None, threshold: float = 0.4, device: str = "auto") -> None:
        if weights is None or not str(weights).strip():
            raise ConfigError("detector.weights is empty", expected="detector.weights=PATH of a checkpoint",
                              hint="Make one with `flexhook train experiment=detector_synthetic`")
        path = _best(Path(weights).expanduser())
        method, _ = load_method(path)
        if not isinstance(method, DetectorMethod):
            raise InputError("the checkpoint is not a detector's", file=path, expected="one of method=detector",
                             hint="Make one with `flexhook train experiment=detector_synthetic`")
        self.model, self.threshold, self.device = method.network, float(threshold), torch_device(device)
        self.model.to(self.device)
        self.classes: tuple[str, ...] = self.model.classes
        self._fingerprint = weights_fingerprint(self.model)

    def reset(self) -> None:
        """Frames do not depend on each other: nothing to do."""

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame; see :class:`flexhook.structures.protocols.Detector`."""
        height, width = self.model.image_size
        images = np.stack([resize(frame, (height, width)) for frame in frames])
        with evaluating(self.model):
            maps = self.model.encode(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(self.device))
            found = self.model.detect(maps, self.threshold)
        out = []
        for frame, one in zip(frames, found, strict=True):
            scale = np.array([frame.shape[1] / width, frame.shape[0] / height] * 2, np.float32)
            columns = (one[name].cpu().numpy() for name in ("boxes", "scores", "labels"))
            boxes, scores, labels = columns
            out.append(make_detections(boxes * scale, scores, labels))
        return out

    def key(self) -> str:
        """The weights and the threshold."""
        return f"EmbeddedDetector {self._fingerprint} {self.model.image_size} {self.threshold}"


def _best(path: Path) -> Path:
    """A checkpoint as it is; of a run folder the best one by the metric in the name, else the last."""
    if not path.is_dir():
        return path
    found = sorted((path / "checkpoints").glob("*-ap_*.ckpt"), key=lambda p: float(p.stem.rpartition("_")[2]))
    return found[-1] if found else path / "checkpoints" / "last.ckpt"
