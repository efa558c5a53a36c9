"""Zero-shot tracking by referring as a method: a pretrained text-grounded detector and an associator, no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from hydra.utils import instantiate

from flexhook.errors import ConfigError
from flexhook.methods.grounding.sentence_tracking import Repair, SentenceStream, SentenceTracking
from flexhook.structures import Expression, Video
from flexhook.structures.method import Method, PredictionReport, ResultWriter
from flexhook.structures.protocols import Associator, SentenceDetector


class GroundingMethod(Method):
    """Boxes of each sentence in every frame, linked by an associator (LaMOTer, https://arxiv.org/abs/2406.08324).

    All that is detected and linked is accepted; the score is the detector's. There is nothing to train.

    Args:
        detector: Finds what sentences refer to.
        associator: Links the boxes of one sentence.
        repair: What is done to tracks afterwards.
        name: Name of the method.
        cache_dir: Folder of the caches; None for ``$FLEXHOOK_CACHE`` or ``~/.cache/flexhook``, ``"off"`` for none.
    """

    keeps_rejected = False
    needs_tracks = False
    needs_training = False
    module = None

    def __init__(
        self, detector: SentenceDetector, associator: Associator, repair: Repair | None = None, name: str = "grounding",
        cache_dir: str | Path | None = None,
    ) -> None:  # fmt: skip
        self.name, self.tracking = name, SentenceTracking(detector, associator, repair or Repair(), cache_dir)

    @classmethod
    def from_config(cls, cfg: Any, pretrained: Sequence[str] | None = None) -> GroundingMethod:
        """Build the detector with its own weights, and the associator.

        Raises:
            ConfigError: It is asked for as the method of a checkpoint.
            InputError: The detector's model cannot be had.
        """
        if pretrained is not None:
            raise ConfigError(f"the checkpoint is of the method {cfg.method.name}, which has none", expected="method=grounding"
                              " without a checkpoint")
        repair = Repair(**{f.name: cfg.method[f.name] for f in fields(Repair) if f.name in cfg.method})
        return cls(instantiate(cfg.method.detector), instantiate(cfg.associator), repair, cfg.method.name)

    @property
    def network(self) -> Any:
        """The detector's model."""
        return getattr(self.tracking.detector, "model", None)

    def prepare_inference(self, cfg: Any, device: Any, reader: Any) -> None:
        """Take the detector to the device.

        Raises:
            ConfigError: A precision other than float32 is asked for.
        """
        precision = (cfg.get("scoring") or {}).get("precision", "float32")
        if precision != "float32":
            raise ConfigError(f"scoring.precision is '{precision}'", expected=f"float32 for the method {self.name}")
        self.tracking.detector.to(device)

    def key(self) -> str:
        """Detector, associator and settings."""
        return self.tracking.key()

    def predict(self, video: Video, expressions: Sequence[Expression], writer: ResultWriter) -> PredictionReport:
        """Detect all missing expressions in every frame, and link the boxes of each."""
        return self.tracking.predict(video, expressions, writer)

    def stream(self, expressions: Sequence[str], frame_size: tuple[int, int]) -> SentenceStream:
        """Track sentences frame by frame."""
        return self.tracking.stream(expressions, frame_size)

    def train_items(self, videos: Sequence[Video], seed: int) -> NoReturn:
        """There is nothing to train.

        Raises:
            ConfigError: Always, as from the other two.
        """
        raise ConfigError(f"the method {self.name} needs no training", expected="`flexhook score` or `flexhook predict`")

    def val_items(self, videos: Sequence[Video]) -> NoReturn:
        """There is nothing to validate."""
        self.train_items(videos, 0)

    def collator(self, split: str, videos: Sequence[Video]) -> NoReturn:
        """There are no batches."""
        self.train_items(videos, 0)
