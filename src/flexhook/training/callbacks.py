"""Callbacks: a line per epoch, what checkpoints hold, batch statistics that agree between processes."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from flexhook import __version__
from flexhook.datasets.known_words import words_of
from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.structures.method import Method


class EpochLine(Callback):
    """Prints one line per epoch: losses, validation scores, seconds, what is left; within a long one where it is.

    Args:
        every: Seconds between two lines within an epoch, at least.
    """

    def __init__(self, every: float = 30.0) -> None:
        self.every = every
        self._begin = self._epoch_begin = self._said = 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._begin, self._first = time.perf_counter(), trainer.current_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_begin = self._said = time.perf_counter()

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print where the epoch is."""
        now, done, steps = time.perf_counter(), batch_idx + 1, int(trainer.num_training_batches)
        if now - self._said >= self.every and done < steps:
            self._said, left = now, (now - self._epoch_begin) / done * (steps - done)
            print(f"  step {done}/{steps}  loss {float(outputs['loss']):.4f}  {left:.0f} s left in the epoch", flush=True)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Print the line."""
        values = trainer.callback_metrics
        text = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"]
        text += [f"{k} {values[k]:.4f}" for k in ("train/loss",) if k in values]
        text += [f"{k} {values[k]:.2f}" for k in sorted(values) if k.startswith("val/") and k != "val/loss"]
        now, done = time.perf_counter(), trainer.current_epoch + 1 - self._first
        left = (now - self._begin) / done * ((trainer.max_epochs or 0) - trainer.current_epoch - 1)
        print("  ".join([*text, f"{now - self._epoch_begin:.0f} s, {left:.0f} s left"]), flush=True)


class CheckpointContent(Callback):
    """Adds configuration, validation scores and the words of the training sentences to checkpoints; leaves frozen weights out.

    A frozen part is the pretrained one that the configuration names; its fingerprint is kept and compared on loading.

    Args:
        config: The run's configuration as plain containers.
        method: The method that is trained.
    """

    def __init__(self, config: dict, method: Method) -> None:
        self.config, self.method = config, method
        self._fingerprints: dict[str, str] = {}
        self._words: list[str] | None = None

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict) -> None:
        """Drop what is frozen, note whose it was."""
        parts = self.method.frozen_parts()
        for name, part in parts.items():
            if name not in self._fingerprints:
                self._fingerprints[name] = weights_fingerprint(part)
        checkpoint["state_dict"] = {
            k: v for k, v in checkpoint["state_dict"].items() if not k.startswith(tuple(f"{name}." for name in parts))
        }
        checkpoint["flexhook"] = {
            "version": __version__,
            "config": self.config,
            "frozen": dict(self._fingerprints),
            "metrics": {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")},
            "words": self._words_of(trainer),
        }

    def _words_of(self, trainer: L.Trainer) -> list[str]:
        """The words of the training sentences, by which ``predict`` tells unfamiliar sentences."""
        if self._words is None:
            videos = trainer.datamodule.train_videos  # type: ignore[attr-defined]
            self._words = words_of(e.sentence for video in videos for e in video.expressions)
        return self._words


class SharedBuffers(Callback):
    """Gives every process the first one's batch statistics before validation, so that all validate one model."""

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Broadcast the buffers."""
        if trainer.world_size > 1:
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, 0)
