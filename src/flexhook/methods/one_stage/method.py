"""One-stage referring-by-tracking as a method: one network detects, tracks and refers, a sentence at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.clips import ClipCollator, ClipItems, ValidationClips, read_frame
from flexhook.methods.one_stage.initial import load_initial
from flexhook.methods.one_stage.losses import LossWeights
from flexhook.methods.one_stage.matching import MatchCost
from flexhook.methods.one_stage.module import OneStageModule
from flexhook.methods.one_stage.online import Thresholds
from flexhook.methods.one_stage.pictures import InferenceResize
from flexhook.methods.one_stage.video import Candidates, OneStageStream, SentenceTrackers
from flexhook.structures import Expression, Video
from flexhook.structures.method import Method, PredictionReport, ResultWriter
from flexhook.training.build import without_pretrained
from flexhook.training.checkpoints import weights_fingerprint

log = logging.getLogger(__name__)

PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


class OneStageMethod(Method):
    """TransRMOT and TempRMOT: they differ in the network, which ``cfg.model`` makes, and in the thresholds.

    Candidates are all tracks above the thresholds of detection; the score is the refer probability.

    Args:
        cfg: The composed configuration.
        module: Network, losses and optimiser.
    """

    keeps_rejected = True
    needs_tracks = False

    def __init__(self, cfg: DictConfig, module: OneStageModule) -> None:
        self.cfg, self.module, self.name = cfg, module, cfg.method.name
        self.resize = InferenceResize(**cfg.sampling.resize)
        self.precision: Callable[[], AbstractContextManager] = nullcontext
        self._settings = ""

    @classmethod
    def from_config(cls, cfg: Any, pretrained: Sequence[str] | None = None) -> OneStageMethod:
        """Build the network, initialised from the seed, and what trains it, where the configuration says how."""
        if "resize" not in cfg.sampling:
            raise ConfigError(f"the sampling has no resize, which {cfg.method.name} needs", expected="sampling=tracked_clips")
        cfg = without_pretrained(cfg, pretrained)
        torch.manual_seed(cfg.seed)
        network = instantiate(cfg.model)
        if pretrained is None and cfg.method.get("initial"):
            count, kept = load_initial(network, str(cfg.method.initial))
            log.info(f"{count} tensors of {cfg.method.initial}, {len(kept)} keep their own start: {', '.join(kept[:3])}, ...")
        thresholds = cls.thresholds(cfg.method)
        loss, optim = (cfg.get("loss"), cfg.get("optim")) if pretrained is None else (None, None)
        settings: dict[str, Any] = {}
        if optim:
            settings = {
                "optimizer": instantiate(optim.optimizer), "weight_decay": optim.weight_decay,
                "slow": dict(cfg.method.slow), "milestones": tuple(optim.milestones), "factor": optim.factor,
                "warmup_steps": optim.warmup_steps, "save_memory": cfg.sampling.get("save_memory", False), "seed": cfg.seed,
            }  # fmt: skip
        freeze: dict[str, Any] = {"freeze": tuple(cfg.get("freeze") or ()), "freeze_mode": cfg.protocol.freeze_mode}
        weights, cost = (LossWeights(**loss.weights), MatchCost(**loss.cost)) if loss else (None, None)
        return cls(cfg, OneStageModule(network, weights, cost, thresholds, **settings, **freeze))

    @classmethod
    def thresholds(cls, settings: Any) -> Thresholds:
        """The thresholds of a method's settings, which are ``cfg.method``."""
        return Thresholds(**settings.thresholds)

    @property
    def network(self) -> Any:
        """The network."""
        return self.module.network

    def frozen_parts(self) -> dict[str, Any]:
        """Frozen encoders."""
        constant = self.module.frozen if self.module.freeze_mode == "eval" else ()
        return {f"network.{name}": getattr(self.network, name) for name in constant}

    def train_items(self, videos: Sequence[Video], seed: int) -> ClipItems:
        """A clip per frame."""
        sampling = self.cfg.sampling
        return ClipItems(videos, sampling.lengths, sampling.length_milestones, sampling.clip_expressions, sampling.interval,
                         seed)

    def val_items(self, videos: Sequence[Video]) -> ValidationClips:
        """Clips at regular distances, tracked as at run time."""
        sampling = self.cfg.sampling
        return ValidationClips(videos, sampling.val_length, sampling.val_interval, sampling.val_expressions)

    def describe_items(self, items: Any) -> str:
        """The number of clips."""
        return f"{len(items)} validation clips"

    def collator(self, split: str, videos: Sequence[Video]) -> ClipCollator:
        """What loads clips; those of training are augmented."""
        augmentation = instantiate(self.cfg.sampling.augmentation) if split == "train" else None
        return ClipCollator(videos, augmentation, self.resize)

    def prepare_inference(self, cfg: Any, device: Any, reader: Any) -> None:
        """Evaluation mode, the device, and the precision of ``cfg.scoring``.

        Raises:
            ConfigError: The precision is unknown.
        """
        super().prepare_inference(cfg, device, reader)
        scoring = cfg.get("scoring") or {}
        precision = scoring.get("precision", "float32")
        if precision not in PRECISIONS:
            raise ConfigError(f"scoring.precision is '{precision}'", expected=" or ".join(PRECISIONS))
        dtype = PRECISIONS[precision]
        self.precision = nullcontext if dtype is None else lambda: torch.autocast(device.type, dtype)
        self._settings = f"{self.resize} {self.module.thresholds} {precision}"

    def key(self) -> str:
        """Weights, thresholds, image size, memory and precision."""
        return f"{weights_fingerprint(self.network)} {self.network.test_history} {self._settings}"

    def trackers(self, size: tuple[int, int]) -> SentenceTrackers:
        """Trackers without a sentence yet, for frames of an original size (height, width)."""
        return SentenceTrackers(self.network, self.module.thresholds, self.resize, size, self.precision)

    def predict(self, video: Video, expressions: Sequence[Expression], writer: ResultWriter) -> PredictionReport:
        """Track all missing expressions side by side, so that every frame is encoded once."""
        missing = writer.missing()
        if not missing:
            return PredictionReport(0, "0 expressions")
        trackers = self.trackers(video.size)
        for expression in missing:
            trackers.add(expression.sentence)
        found = {sentence: Candidates() for sentence in trackers.trackers}
        for frame in range(video.num_frames):
            for sentence, rows in trackers.update(read_frame(video, frame)).items():
                found[sentence].add(frame, rows)
        for expression in missing:
            result = found[expression.sentence].result(expression)
            writer.write(expression, result.tracks, result.score, result.accepted)
        return PredictionReport(video.num_frames, f"{len(missing)} expressions, {video.num_frames} frames")

    def stream(self, expressions: Sequence[str], frame_size: tuple[int, int]) -> OneStageStream:
        """Track sentences frame by frame."""
        return OneStageStream(self.trackers(frame_size), expressions)
