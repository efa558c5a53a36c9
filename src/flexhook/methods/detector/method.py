"""The detector as something that `flexhook train` trains."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from hydra.utils import instantiate

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError
from flexhook.methods.detector.frames import FrameBatches, FrameItems, MapCache, evaluating
from flexhook.methods.detector.module import DetectorModule
from flexhook.methods.two_stage.feature_cache import visual_settings
from flexhook.structures import Expression, Video
from flexhook.structures.disk_cache import cache_folder
from flexhook.structures.method import Method

log = logging.getLogger(__name__)


class DetectorMethod(Method):
    """Trains the embedded detector. It refers to nothing: its checkpoints are for ``detector=embedded``.

    Args:
        cfg: The composed configuration.
        module: Network, optimiser and freezing.
    """

    monitor = "val/AP"  # at a high learning rate AP50 is best where boxes are not yet exact
    needs_tracks = False
    parts = ("model",)

    def __init__(self, cfg: Any, module: DetectorModule) -> None:
        self.cfg, self.module, self.name = cfg, module, cfg.method.name
        self._cache: MapCache | None = None
        self._validating: set[int] = set()

    @classmethod
    def from_config(cls, cfg: Any, pretrained: Sequence[str] | None = None) -> DetectorMethod:
        """Build the network, initialised from the seed, and what trains it, where the configuration says how."""
        if pretrained is not None and "model.visual" not in pretrained:
            cfg = cfg.copy()
            source = {"pretrained": False, "weights": None}
            cfg.model.visual.update({key: value for key, value in source.items() if key in cfg.model.visual})
        torch.manual_seed(cfg.seed)
        model = instantiate(cfg.model)
        settings: dict[str, Any] = {}
        if pretrained is None:
            optim = cfg.optim
            settings = {
                "optimizer": instantiate(optim.optimizer), "weight_decay": optim.weight_decay, "factor": optim.factor,
                "milestones": tuple(optim.milestones), "warmup_steps": optim.warmup_steps, "seed": cfg.seed,
            }  # fmt: skip
        return cls(cfg, DetectorModule(model, frozen="visual" in cfg.freeze, **settings))

    @property
    def network(self) -> Any:
        """The detector."""
        return self.module.model

    def frozen_parts(self) -> dict[str, Any]:
        """A frozen encoder."""
        return {"model.visual": self.network.visual} if self.module.frozen else {}

    def train_items(self, videos: Sequence[Video], seed: int) -> Any:
        """Every n-th frame, see ``sampling.stride``."""
        return FrameItems(videos, self.cfg.sampling.stride)

    def val_items(self, videos: Sequence[Video]) -> Any:
        """Every n-th frame, see ``sampling.val_stride``."""
        self._validating = {id(video) for video in videos}
        return FrameItems(videos, self.cfg.sampling.val_stride)

    def describe_items(self, items: Any) -> str:
        """The number of validation frames."""
        return f"{len(items)} validation frames"

    def collator(self, split: str, videos: Sequence[Video]) -> Callable[[Sequence[Any]], Any]:
        """What makes a batch of frames."""
        return FrameBatches(videos, self.network.image_size, self.network.classes, self._cache)

    def prepare_training(self, trainer: Any, videos: Sequence[Video]) -> None:
        """Compute the maps of a frozen encoder that are not cached yet, where ``cache_features`` asks for it.

        Raises:
            ConfigError: The encoder is not frozen, or ``cache_dir`` is off.
        """
        cfg, model = self.cfg, self.network
        if not cfg.cache_features:
            return
        folder = cache_folder(cfg.cache_dir)
        if not self.module.frozen or folder is None:
            raise ConfigError("cache_features=true needs a frozen encoder and a folder",
                              expected="freeze=[visual], and cache_dir other than off",
                              hint="Set them, or cache_features=false")
        device = trainer.strategy.root_device
        model.visual.to(device)
        key = f"{weights_fingerprint(model.visual)}{model.image_size}{visual_settings(model.visual)}"
        self._cache = MapCache(folder / "features", key)
        unique = list({f"{v.source}/{v.name}": v for v in videos}.values())
        begin = len(unique) * trainer.global_rank // trainer.world_size
        with evaluating(model):
            for video in unique[begin:] + unique[:begin]:
                stride = cfg.sampling.val_stride if id(video) in self._validating else cfg.sampling.stride
                if self._cache.fill(video, stride, model.image_size, lambda images: model.encode(images.to(device))):
                    log.info(f"cached the features of {video.name}")

    def predict(self, video: Video, expressions: Sequence[Expression], writer: Any) -> NoReturn:
        """A detector answers no expressions.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("the checkpoint is a detector's, which answers no sentences", expected="a referring model",
                          hint="Use it with tracker=detect detector=embedded detector.weights=FILE; train it with test=false")
