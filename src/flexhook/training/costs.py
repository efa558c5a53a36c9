"""What a run costs: parameters, time per epoch, peak memory, frames scored per second; kept in meta.json.

Times differ between two runs of the same seed, so they do not stand among the metrics.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from flexhook.inference.prediction import VideoReport
from flexhook.memory import peak_memory, reset_peak_memory
from flexhook.structures.files import write_json


class EpochTimes(Callback):
    """Seconds of every training epoch, validation included; they travel in the checkpoints of a resumed run."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begin: float | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Note the epoch."""
        self.seconds, self._begin = self._so_far(), None

    def _so_far(self) -> list[float]:
        return self.seconds if self._begin is None else [*self.seconds, time.perf_counter() - self._begin]

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far; a checkpoint written during validation holds the current one too."""
        return {"seconds": self._so_far()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from these epochs."""
        self.seconds = list(state["seconds"])


def _noted(path: Path) -> dict[str, float]:
    """The costs in a run's meta.json; none where there is none."""
    return dict(json.loads(path.read_text()).get("costs", {})) if path.is_file() else {}


class RunCosts:
    """Gathers what a run costs and leaves it in its meta.json.

    Args:
        folder: The run folder; what an earlier attempt at the run noted there stays where this one has nothing.
        earlier: The folder of the run that this one goes on with, None or the same where there is none other. Peak memory
            is the larger one of both.
    """

    def __init__(self, folder: Path, earlier: Path | None = None) -> None:
        self.path = folder / "meta.json"
        self.costs: dict[str, float] = _noted(self.path)
        other = {} if earlier is None or earlier.resolve() == folder.resolve() else _noted(earlier / "meta.json")
        self._peak = other.get("peak_memory_MB", 0.0)
        reset_peak_memory()

    def trained(self, trainer: L.Trainer, network: Any) -> None:
        """Take parameters and, where an epoch was trained, the median of the epochs' seconds."""
        counts = [(p.numel(), p.requires_grad) for p in network.parameters()]
        self.costs["parameters"] = sum(n for n, _ in counts)
        self.costs["trained_parameters"] = sum(n for n, trained in counts if trained)
        seconds = [s for c in trainer.callbacks if isinstance(c, EpochTimes) for s in c.seconds]  # type: ignore[attr-defined]
        if seconds:
            self.costs["seconds_per_epoch"] = sorted(seconds)[len(seconds) // 2]

    def scored(self, reports: Iterable[VideoReport]) -> None:
        """Take the speed of scoring over the videos that were scored here and not before."""
        done = [r for r in reports if r.frames]
        if done:
            self.costs["scored_frames_per_second"] = sum(r.frames for r in done) / sum(r.seconds for r in done)

    def note(self, device: torch.device) -> None:
        """Take the peak memory and write meta.json again with ``costs``."""
        self.costs["peak_memory_MB"] = max(peak_memory(device) / 1e6, self._peak)
        write_json(self.path, json.loads(self.path.read_text()) | {"costs": self.costs})
