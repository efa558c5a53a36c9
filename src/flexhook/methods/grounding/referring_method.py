"""Tracking by referring with a detector that is trained here: a stand-in for pretrained ones where there is no hub."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from supervision import Detections

from flexhook.methods.grounding.sentence_tracking import Repair, SentenceStream, SentenceTracking
from flexhook.methods.one_stage.method import OneStageMethod
from flexhook.methods.one_stage.network import OneStageNetwork, Words
from flexhook.methods.one_stage.online import OnlineTracker, Thresholds, frame_rows
from flexhook.methods.one_stage.pictures import InferenceResize
from flexhook.methods.one_stage.video import encode_picture
from flexhook.structures import Expression, Video
from flexhook.structures.method import PredictionReport, ResultWriter
from flexhook.trackers.detections import make_detections

KEPT = 1024
"""Sentences whose words are kept encoded."""


class NetworkDetector:
    """A one-stage network as a :class:`~flexhook.structures.protocols.SentenceDetector`.

    The visual encoder sees a frame once for all sentences. A detection has a class score and an area above the thresholds and
    a refer probability above ``refer_above``, which is its confidence.

    Args:
        network: The network, in evaluation mode.
        thresholds: What is detected.
        resize: Makes frames of the network's size.
        precision: Makes the context to compute in, such as autocast.
        name: What makes the detections, weights included.
    """

    def __init__(
        self, network: OneStageNetwork, thresholds: Thresholds, resize: InferenceResize,
        precision: Callable[[], AbstractContextManager] = nullcontext, name: str = "",
    ) -> None:
        self.network, self.thresholds, self.resize, self.precision, self.name = network, thresholds, resize, precision, name
        self.threshold = thresholds.refer_above
        self._words: OrderedDict[str, Words] = OrderedDict()

    def to(self, device: Any) -> None:
        """Compute on a device from now on."""
        self.network.to(device)
        self._words.clear()

    def check(self, sentence: str) -> None:
        """It takes every sentence."""

    @torch.no_grad()
    def detect(self, frame: np.ndarray, sentences: Sequence[str]) -> list[Detections]:
        """Detections per sentence, in pixels of the frame."""
        height, width = frame.shape[:2]
        out = []
        with self.precision():
            pyramid = encode_picture(self.network, self.resize(frame))
            for sentence in sentences:
                found = OnlineTracker(self.network, self._encoded(sentence), self.thresholds).update(pyramid).survivors
                rows = frame_rows(found, (height, width), self.thresholds)
                box, refer = (x[rows.accepted].float().cpu().numpy() for x in (rows.box, rows.refer))
                out.append(make_detections(box, refer, size=(height, width)))
        return out

    def key(self) -> str:
        """Weights, thresholds and picture size."""
        return f"NetworkDetector {self.name}"

    def _encoded(self, sentence: str) -> Words:
        if sentence not in self._words:
            self._words[sentence] = self.network.encode_sentence(sentence)
            if len(self._words) > KEPT:
                self._words.popitem(last=False)
        return self._words[sentence]


class ReferringDetectorMethod(OneStageMethod):
    """A small text-conditioned detector and an associator, trained as a one-stage method on clips of one frame.

    Args:
        cfg: The composed configuration.
        module: Network, losses and optimiser.
    """

    keeps_rejected = False
    parts = ("model", "associator")
    cache_dir: str | None = None

    def __init__(self, cfg: Any, module: Any) -> None:
        super().__init__(cfg, module)
        self.repair = Repair(**{f.name: cfg.method[f.name] for f in fields(Repair) if f.name in cfg.method})
        self.associator = instantiate(cfg.associator)
        self._tracking: SentenceTracking | None = None

    @classmethod
    def from_config(cls, cfg: Any, pretrained: Sequence[str] | None = None) -> ReferringDetectorMethod:
        """As of the base class; only in a training the configuration says where the caches are."""
        method = super().from_config(cfg, pretrained)
        assert isinstance(method, cls)
        method.cache_dir = cfg.get("cache_dir") if pretrained is None else None
        return method

    @classmethod
    def thresholds(cls, settings: Any) -> Thresholds:
        """The thresholds of detection; those of track queries, of which there are none, do not count."""
        given = dict(settings.thresholds)
        return Thresholds(birth=given["score_above"], miss_below=0.0, miss_tolerance=1, **given)

    def prepare_inference(self, cfg: Any, device: Any, reader: Any) -> None:
        """As of the base class; the detector is made anew with the weights as they are now."""
        super().prepare_inference(cfg, device, reader)
        detector = NetworkDetector(self.network, self.module.thresholds, self.resize, self.precision, super().key())
        self._tracking = SentenceTracking(detector, self.associator, self.repair, self.cache_dir)

    @property
    def tracking(self) -> SentenceTracking:
        """Detector and associator, after :meth:`prepare_inference`."""
        assert self._tracking is not None
        return self._tracking

    def key(self) -> str:
        """Detector, associator and settings."""
        return self.tracking.key()

    def predict(self, video: Video, expressions: Sequence[Expression], writer: ResultWriter) -> PredictionReport:
        """Detect all missing expressions in every frame, and link the boxes of each."""
        return self.tracking.predict(video, expressions, writer)

    def stream(self, expressions: Sequence[str], frame_size: tuple[int, int]) -> SentenceStream:  # type: ignore[override]
        """Track sentences frame by frame."""
        return self.tracking.stream(expressions, frame_size)
