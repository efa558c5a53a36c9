"""Grounding DINO: boxes of whatever the prompts name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from supervision import Detections
from torch import Tensor
from torchvision.ops import batched_nms, box_convert

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError
from flexhook.trackers.detections import make_detections
from flexhook.trackers.detectors.transformers_detector import load_pretrained
from flexhook.trackers.devices import torch_device


class GroundingDino:
    """Open-vocabulary detection (https://arxiv.org/abs/2303.05499, as transformers has it): a class per prompt.

    Args:
        prompts: Names of the classes in words, such as ``[car, person on a bicycle]``. They are put to the model as one
            caption; a box gets the class whose words score highest.
        model: A name on the hub, or a folder that ``save_pretrained`` made of model and processor.
        threshold: Detections of a lower score are left out, 0 to 1. A larger value finds fewer objects and invents fewer.
        iou_threshold: Of two boxes of one class that overlap more, the one of lower score is dropped.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Attributes:
        classes: The prompts.

    Raises:
        ConfigError: No prompts, or one with a full stop.
        InputError: The model cannot be had.
    """

    sequential = False

    def __init__(
        self,
        prompts: Sequence[str],
        model: str = "IDEA-Research/grounding-dino-tiny",
        threshold: float = 0.25,
        iou_threshold: float = 0.7,
        device: str = "auto",
    ) -> None:
        from transformers import AutoProcessor, GroundingDinoForObjectDetection

        given = [prompts] if isinstance(prompts, str) else list(prompts or ())
        self.classes = tuple(str(prompt).strip().lower() for prompt in given)
        if not self.classes or not all(self.classes) or any("." in prompt for prompt in self.classes):
            raise ConfigError(f"detector.prompts is {given!r}", expected="a list of class names without full stops",
                              hint="Write 'detector.prompts=[car, person]'")
        self.threshold, self.iou_threshold, self.device = float(threshold), float(iou_threshold), torch_device(device)
        self.processor, self.model = load_pretrained(model, AutoProcessor, GroundingDinoForObjectDetection)
        self.model.to(self.device)
        self.caption = " ".join(f"{prompt}." for prompt in self.classes)
        self._words = caption_words(self.processor.tokenizer, self.classes).to(self.device)
        self._fingerprint = weights_fingerprint(self.model)

    def reset(self) -> None:
        """Frames do not depend on each other: nothing to do."""

    @torch.inference_mode()
    def detect(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """Detections per frame; see :class:`flexhook.structures.protocols.Detector`."""
        texts = [self.caption] * len(frames)
        inputs = self.processor(images=list(frames), text=texts, return_tensors="pt").to(self.device)
        outputs = self.model(**inputs)
        length = self._words.shape[1]
        words = outputs.logits.sigmoid()[..., None, :length]  # (B, Q, 1, L)
        per_class = torch.where(self._words, words, 0.0).amax(-1)  # (B, Q, K)
        scores, labels = per_class.max(-1)
        out = []
        for frame, score, label, box in zip(frames, scores, labels, outputs.pred_boxes, strict=True):
            out.append(self._select(frame.shape[:2], score, label, box))
        return out

    def key(self) -> str:
        """Weights, prompts, image processor and settings."""
        images = self.processor.image_processor.to_json_string()
        return f"GroundingDino {self._fingerprint} {(self.classes, self.threshold, self.iou_threshold, images)}"

    def _select(self, size: Any, scores: Tensor, labels: Tensor, boxes: Tensor) -> Detections:
        keep = scores >= self.threshold
        xyxy = box_convert(boxes[keep], "cxcywh", "xyxy") * boxes.new_tensor([size[1], size[0]] * 2)
        best = batched_nms(xyxy, scores[keep], labels[keep], self.iou_threshold)
        found, score, label = (column[best].cpu().numpy() for column in (xyxy, scores[keep], labels[keep]))
        return make_detections(found, score, label, size=size)


def caption_words(tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """Which tokens of the caption are a prompt's: (prompts, tokens) bool."""
    caption = " ".join(f"{prompt}." for prompt in prompts)
    spans = tokenizer(caption, return_offsets_mapping=True)["offset_mapping"]
    mine = torch.zeros(len(prompts), len(spans), dtype=torch.bool)
    begin = 0
    for k, prompt in enumerate(prompts):
        end = begin + len(prompt)
        mine[k] = torch.tensor([begin <= a < b <= end for a, b in spans])
        begin = end + 2
    return mine
