"""The LightningModule of the detector: losses, optimiser, freezing, validation by average precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from flexhook.evaluation.average_precision import COCO_THRESHOLDS, FrameDetections, average_precision
from flexhook.methods.detector.network import DetectorNetwork
from flexhook.methods.two_stage.module import parameter_groups
from flexhook.training.checkpoints import complete

#: Score from which detections count in validation.
VALIDATION_THRESHOLD = 0.05


class DetectorModule(L.LightningModule):
    """Trains a detector.

    Args:
        model: The network.
        optimizer: Makes the optimiser from parameter groups.
        weight_decay: For the parameters that are decayed.
        milestones: Epochs at which the learning rate is multiplied by ``factor``.
        factor: That factor.
        warmup_steps: Steps over which the learning rate rises linearly.
        frozen: Whether the visual encoder is left as it is, in evaluation mode.
        seed: Seed of dropout, per epoch and process.
    """

    def __init__(
        self,
        model: DetectorNetwork,
        optimizer: Callable = torch.optim.AdamW,
        weight_decay: float = 1e-4,
        milestones: tuple[int, ...] = (),
        factor: float = 0.1,
        warmup_steps: int = 0,
        frozen: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.frozen, self.seed = model, frozen, seed
        self.make_optimizer, self.weight_decay = optimizer, weight_decay
        self.milestones, self.factor, self.warmup_steps = list(milestones), factor, warmup_steps
        if frozen:
            model.visual.requires_grad_(False)
        self._found: list[FrameDetections] = []

    def train(self, mode: bool = True) -> DetectorModule:
        """As usual, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.visual.eval()
        return self

    def maps(self, batch: dict) -> list[Tensor]:
        """The maps of a batch, computed where they are not in it."""
        if "maps" in batch:
            return batch["maps"]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.model.encode(batch["images"])

    def on_fit_start(self) -> None:
        """Training mode, for what is not frozen: Lightning leaves and restores the modes as it finds them."""
        self.train()

    def on_train_epoch_start(self) -> None:
        """Random streams start anew from seed, epoch and process, so that a resumed run repeats them."""
        torch.manual_seed(hash((self.seed, self.current_epoch, self.global_rank)) & 0x7FFFFFFF)

    def on_train_batch_start(self, batch: dict, index: int) -> None:
        """Warm the learning rate up."""
        if self.global_step < self.warmup_steps:
            scheduled = self.factor ** sum(milestone <= self.current_epoch for milestone in self.milestones)
            for group in self.optimizers().param_groups:  # type: ignore[union-attr]
                group["lr"] = group["initial_lr"] * scheduled * (self.global_step + 1) / self.warmup_steps

    def training_step(self, batch: dict, index: int) -> Tensor:
        """One step; logs ``train/loss`` and its terms."""
        terms = self.model.loss(self.maps(batch), batch["targets"])
        loss = torch.stack(list(terms.values())).sum()
        rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        logged = {f"train/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(logged | {"train/loss": loss.detach(), "lr": rate}, batch_size=len(batch["targets"]), prog_bar=False)
        return loss

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the frozen encoder's weights back, before Lightning loads them all."""
        complete(self, checkpoint, str(self.trainer.ckpt_path))

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        self._found = []

    def validation_step(self, batch: dict | None, index: int) -> None:
        """Detect; None is a process without a share."""
        if batch is None:
            return
        found = self.model.detect(self.maps(batch), VALIDATION_THRESHOLD)
        for mine, truth in zip(found, batch["targets"], strict=True):
            columns = (mine["boxes"], mine["scores"], mine["labels"], truth["boxes"], truth["labels"])
            self._found.append(FrameDetections(*(c.float().cpu().numpy() for c in columns)))

    def on_validation_epoch_end(self) -> None:
        """Log ``val/AP`` (COCO's mean over thresholds), ``val/AP50`` and ``val/AP75``, 0 to 100, of all processes together."""
        found = self._found
        if self.trainer.world_size > 1:
            every: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(every, found)
            found = [frame for part in every for frame in part]
        values = average_precision(found, COCO_THRESHOLDS)
        logged = {"val/AP": sum(values.values()) / len(values), "val/AP50": values[0.5], "val/AP75": values[0.75]}
        self.log_dict({name: 100 * value for name, value in logged.items()}, rank_zero_only=False, sync_dist=False)
        self._found = []

    def configure_optimizers(self) -> Any:
        """The optimiser of the configuration with a multistep schedule per epoch."""
        optimizer = self.make_optimizer(parameter_groups(self, self.weight_decay))
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, self.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}
