"""FCOS on the feature maps of a visual encoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from flexhook.errors import ConfigError

#: Group normalisation of torchvision's heads has as many groups.
GROUPS = 32


class Pyramid(nn.Module):
    """A feature pyramid over the maps of a visual encoder, in the form that torchvision's detectors take as backbone.

    Args:
        channels: Channels of the encoder's maps, finest first.
        width: Channels of every level of the pyramid.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.out_channels = width
        self.fpn = FeaturePyramidNetwork(list(channels), width)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_s, h_s, w_s) per scale -> (B, width, h_s, w_s) per scale."""
        return list(self.fpn(OrderedDict((str(k), m) for k, m in enumerate(maps))).values())


class DetectorNetwork(nn.Module):
    """Fully convolutional one-stage detection (FCOS, https://arxiv.org/abs/2006.09214, as torchvision has it).

    Args:
        visual: A visual encoder with maps at several strides; as a rule frozen.
        classes: Names of the classes.
        width: Channels of pyramid and heads, a multiple of 32. A larger value is slower and learns more.
        num_convs: Convolutions of each head before its last one.
        center_radius: A point is positive within so many strides of a box's centre. A larger value gives more positives.
        iou_threshold: Of two boxes of one class that overlap more, the one of lower score is dropped.
        max_detections: Detections kept per frame.

    Raises:
        ConfigError: No classes, or a width that is no multiple of 32.
    """

    def __init__(
        self,
        visual: Any,
        classes: Sequence[str],
        width: int = 64,
        num_convs: int = 2,
        center_radius: float = 1.5,
        iou_threshold: float = 0.6,
        max_detections: int = 100,
    ) -> None:
        super().__init__()
        if width < GROUPS or width % GROUPS:
            raise ConfigError(f"the detector's width is {width}", expected=f"a multiple of {GROUPS}", hint="Set model.width")
        if not classes:
            raise ConfigError("the detector has no classes", expected="a list of names", hint="Set model.classes")
        self.classes = tuple(str(name) for name in classes)
        self.visual = visual
        anchors = AnchorGenerator(tuple((int(s),) for s in visual.strides), ((1.0,),) * len(visual.strides))
        self.fcos = FCOS(
            Pyramid(visual.channels, width),
            num_classes=len(self.classes),
            anchor_generator=anchors,
            head=FCOSHead(width, 1, len(self.classes), num_convs),
            center_sampling_radius=center_radius,
            nms_thresh=iou_threshold,
            detections_per_img=max_detections,
        )

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return self.visual.image_size

    def encode(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) uint8 RGB -> the encoder's maps (B, C_s, h_s, w_s), finest first."""
        mean, std = (images.new_tensor(v, dtype=torch.float32)[:, None, None] for v in (self.visual.mean, self.visual.std))
        return list(self.visual((images.float() / 255 - mean) / std))

    def loss(self, maps: Sequence[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The losses of FCOS: focal loss of the classes, GIoU loss of the boxes, cross-entropy of the centre-ness.

        Args:
            maps: The encoder's maps.
            targets: Per image ``boxes`` (n, 4), xyxy in pixels of the image, and ``labels`` (n,) int64.
        """
        features, outputs, anchors = self._heads(maps)
        return self.fcos.compute_loss(targets, outputs, anchors, [f.shape[2] * f.shape[3] for f in features])

    def detect(self, maps: Sequence[Tensor], threshold: float) -> list[dict[str, Tensor]]:
        """Detections per image, best first: ``boxes`` (n, 4), xyxy in pixels of the image, ``scores`` and ``labels`` (n,).

        Args:
            maps: The encoder's maps.
            threshold: Detections of a lower score are left out. A larger value finds fewer objects and invents fewer.
        """
        features, outputs, anchors = self._heads(maps)
        sizes = [f.shape[2] * f.shape[3] for f in features]
        split = {name: list(output.float().split(sizes, dim=1)) for name, output in outputs.items()}
        self.fcos.score_thresh = threshold
        by_level = [list(a.split(sizes)) for a in anchors]
        return self.fcos.postprocess_detections(split, by_level, [self.image_size] * len(anchors))

    def _heads(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], dict[str, Tensor], list[Tensor]]:
        features = self.fcos.backbone(maps)
        count = len(features[0])
        blank = ImageList(torch.empty((count, 3, *self.image_size), device="meta"), [self.image_size] * count)
        return features, self.fcos.head(features), self.fcos.anchor_generator(blank, features)
