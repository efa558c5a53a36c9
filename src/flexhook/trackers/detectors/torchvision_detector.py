"""The detection models of torchvision, such as Faster R-CNN, RetinaNet and FCOS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torchvision.models
from supervision import Detections

from flexhook.encoders.hub import first_line
from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError, InputError
from flexhook.trackers.detections import class_table, make_detections, select_classes
from flexhook.trackers.devices import torch_device


class TorchvisionDetector:
    """A model of ``torchvision.models.detection`` with torchvision's COCO weights, or weights of your own.

    Args:
        model: Name of the model, such as ``fasterrcnn_resnet50_fpn_v2``.
        weights: ``"DEFAULT"`` for torchvision's, which are downloaded once; or a file with a state dict.
        threshold: Detections of a lower score are left out, 0 to 1. A larger value finds fewer objects and invents fewer.
        classes: Names of the classes to keep, in the order of their new numbers; None for all that the model knows.
        labels: With weights of your own, the names that they were trained with, the background first; None for COCO's.
        image_size: Pixels that the shorter side of a frame is resized to; None for the model's own choice. Larger finds
            smaller objects and is slower.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        ConfigError: torchvision has no such detection model.
        InputError: The weights cannot be had or do not fit, or the model does not know a class.
    """

    sequential = False

    def __init__(
        self,
        model: str = "fasterrcnn_resnet50_fpn_v2",
        weights: str | Path = "DEFAULT",
        threshold: float = 0.1,
        classes: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        image_size: int | None = None,
        device: str = "auto",
    ) -> None:
        models = torchvision.models.list_models(module=torchvision.models.detection)
        if model not in models:
            raise ConfigError(f"detector.model is {model!r}", expected=f"one of {', '.join(models)}")
        self.threshold, self.device = float(threshold), torch_device(device)
        published = torchvision.models.get_model_weights(model)["DEFAULT"]
        self.labels = tuple(map(str, published.meta["categories"] if labels is None else labels))
        more = {} if image_size is None else {"min_size": int(image_size)}
        own = {"weights": None, "weights_backbone": None, "num_classes": len(self.labels)}
        try:
            if str(weights) == "DEFAULT":
                self.model = torchvision.models.get_model(model, weights=published, **more)
            else:
                self.model = torchvision.models.get_model(model, **own, **more)
                self.model.load_state_dict(torch.load(Path(weights).expanduser(), map_location="cpu", weights_only=True))
        except Exception as error:
            file = None if str(weights) == "DEFAULT" else weights
            raise InputError(f"the weights of {model} cannot be had ({first_line(error)})", file=file,
                             expected="a state dict of this model with as many classes as detector.labels",
                             hint=f"Fetch {published.url} on another machine and set detector.weights=FILE") from error
        self.model.eval().to(self.device)
        self.classes, self._numbers = class_table(self.labels, classes, "detector.classes")
        self._settings = (model, self.threshold, self.classes, image_size)
        self._fingerprint = weights_fingerprint(self.model)

    def reset(self) -> None:
        """Frames do not depend on each other: nothing to do."""

    @torch.inference_mode()
    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame; see :class:`flexhook.structures.protocols.Detector`."""
        images = [torch.from_numpy(np.ascontiguousarray(f)).permute(2, 0, 1).to(self.device).float() / 255 for f in frames]
        out = []
        for one in self.model(images):
            keep = one["scores"] >= self.threshold
            columns = (one[name][keep].cpu().numpy() for name in ("boxes", "scores", "labels"))
            out.append(select_classes(make_detections(*columns), self._numbers))
        return out

    def key(self) -> str:
        """Weights and settings."""
        return f"TorchvisionDetector {self._fingerprint} {self._settings}"
