"""Object detection models of transformers, such as D-FINE and RT-DETR, by name on the hub or from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from supervision import Detections
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from flexhook.encoders.hub import address, first_line, hub, local_or_hub
from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import InputError
from flexhook.trackers.detections import class_table, make_detections, select_classes
from flexhook.trackers.devices import torch_device


class TransformersDetector:
    """Any model of ``AutoModelForObjectDetection`` with its own image processor.

    Args:
        model: A name on the hub, such as ``ustc-community/dfine-small-coco`` or ``PekingU/rtdetr_v2_r18vd``, or a folder that
            ``save_pretrained`` made of model and image processor. Weights are read from safetensors files; no code of the
            repository runs.
        threshold: Detections of a lower score are left out, 0 to 1. A larger value finds fewer objects and invents fewer.
        classes: Names of the classes to keep, in the order of their new numbers; None for all that the model knows.
        image_size: (height, width) that frames are resized to; None for what the image processor says. Larger finds smaller
            objects and is slower.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Attributes:
        classes: Names of the classes.

    Raises:
        InputError: The model cannot be had, is not one for object detection, or does not know a class.
    """

    sequential = False

    def __init__(
        self,
        model: str,
        threshold: float = 0.1,
        classes: Sequence[str] | None = None,
        image_size: Sequence[int] | None = None,
        device: str = "auto",
    ) -> None:
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        self.name, self.threshold, self.device = model, float(threshold), torch_device(device)
        self.processor, self.model = load_pretrained(model, AutoImageProcessor, AutoModelForObjectDetection)
        self.model.to(self.device)
        self.image_size = None if image_size is None else (int(image_size[0]), int(image_size[1]))
        names: dict[int, str] = self.model.config.id2label
        known = [names.get(k, str(k)) for k in range(max(names, default=-1) + 1)]
        self.classes, self._numbers = class_table(known, classes, "detector.classes")
        self._fingerprint = weights_fingerprint(self.model)

    def reset(self) -> None:
        """Frames do not depend on each other: nothing to do."""

    @torch.inference_mode()
    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame; see :class:`flexhook.structures.protocols.Detector`."""
        more: dict[str, Any] = {}
        if self.image_size is not None:
            more["size"] = {"height": self.image_size[0], "width": self.image_size[1]}
        inputs = self.processor(images=list(frames), return_tensors="pt", **more).to(self.device)
        outputs = self.model(**inputs)
        sizes = [frame.shape[:2] for frame in frames]
        found = self.processor.post_process_object_detection(outputs, threshold=self.threshold, target_sizes=sizes)
        out = []
        for one, size in zip(found, sizes, strict=True):
            boxes, scores, labels = (one[name].float().cpu().numpy() for name in ("boxes", "scores", "labels"))
            out.append(select_classes(make_detections(boxes, scores, labels, size=size), self._numbers))
        return out

    def key(self) -> str:
        """Weights, image processor and settings."""
        settings = (self.threshold, self.classes, self.image_size, self.processor.to_json_string())
        return f"TransformersDetector {self._fingerprint} {settings}"


def load_pretrained(
    model: str, processor_class: Any, model_class: Any, option: str = "detector.model",
    advice: str = "; detector=background and detector=embedded need no hub", types: Sequence[str] = (),
) -> tuple[Any, Any]:
    """A processor and a model in evaluation mode.

    Args:
        model: A name on the hub, or a folder.
        processor_class: The processor's class of transformers.
        model_class: The model's class of transformers.
        option: The option that names the model, for messages.
        advice: What else can be done where it cannot be had, for the message.
        types: The model's ``model_type`` is one of these; empty for any.

    Raises:
        InputError: They cannot be had, or are of another kind.
    """
    if not str(model or "").strip():
        raise InputError(f"{option} is empty", expected="a name on the hub, or a folder")
    name = local_or_hub(str(model), option)
    transformers_logging.disable_progress_bar()
    is_local = name != str(model) or "/" not in name or name.startswith("/")
    try:
        with hub(needed=not is_local):
            kind = AutoConfig.from_pretrained(name, trust_remote_code=False).model_type if types else ""
            if types and kind not in types:
                raise InputError(f"the model '{model}' is of the type {kind}", expected=" or ".join(types),
                                 hint=f"Set {option} to a model that finds boxes of words")
            return processor_class.from_pretrained(name), model_class.from_pretrained(name, use_safetensors=True).eval()
    except InputError:
        raise
    except Exception as error:
        where = "" if is_local else f", and the hub in reach or its files in the cache ({address(name)})"
        raise InputError(f"the detector '{model}' cannot be had ({first_line(error)})",
                         expected=f"a model with config.json, preprocessor_config.json and model.safetensors{where}",
                         hint=f"Fetch them on another machine, put them into a folder here and set {option}=FOLDER"
                         f"{advice}") from error
