"""The LightningModule: losses of clips, groups of learning rates, validation precision, recall and F1 at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.clip import ClipRun, run_clip
from flexhook.methods.one_stage.clips import Clip, ClipBatch
from flexhook.methods.one_stage.losses import LossWeights
from flexhook.methods.one_stage.matching import FrameTruth, MatchCost
from flexhook.methods.one_stage.network import OneStageNetwork
from flexhook.methods.one_stage.online import OnlineTracker, Thresholds, frame_rows
from flexhook.structures.boxes import iou
from flexhook.training.checkpoints import complete

TERMS = ("ce", "bbox", "giou", "refer")


def parameter_groups(module: nn.Module, rate: float, weight_decay: float, slow: Mapping[str, float]) -> list[dict]:
    """Parameters by learning rate. Weight decay is on all of them.

    Args:
        module: The network; parameters without gradient are left out.
        rate: The learning rate.
        weight_decay: Larger pulls the weights more to zero.
        slow: Parts of names, and the share of the learning rate that parameters with them have; the first that is in a name
            counts.

    Returns:
        A group for each different rate, the full one first.
    """
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            share = next((share for part, share in slow.items() if part in name), 1.0)
            groups.setdefault(float(share), []).append(parameter)
    return [{"params": p, "lr": rate * share, "weight_decay": weight_decay} for share, p in groups.items() if p]


class OneStageModule(L.LightningModule):
    """Trains a one-stage network.

    Args:
        network: The network.
        weights: Of the losses; None for a network that is not trained.
        cost: Of the matching.
        thresholds: Of the run time, which validates.
        optimizer: Makes the optimiser from parameter groups.
        weight_decay: On all parameters.
        slow: As of :func:`parameter_groups`.
        milestones: Epochs at which the learning rate is multiplied by ``factor``.
        factor: That factor.
        warmup_steps: Steps over which the learning rate rises linearly to what the schedule makes it.
        freeze: Which encoders are frozen: ``visual``, ``text``.
        freeze_mode: ``eval`` puts frozen parts in evaluation mode; ``train`` only stops their gradients (as published).
        save_memory: Compute most frames twice, to keep less for the gradients.
        seed: Seed of dropout, per epoch and process.

    Raises:
        ConfigError: An unknown part.
    """

    network: OneStageNetwork

    def __init__(
        self,
        network: OneStageNetwork,
        weights: LossWeights | None,
        cost: MatchCost | None,
        thresholds: Thresholds,
        optimizer: Callable = torch.optim.AdamW,
        weight_decay: float = 1e-4,
        slow: Mapping[str, float] | None = None,
        milestones: Sequence[int] = (),
        factor: float = 0.1,
        warmup_steps: int = 0,
        freeze: Sequence[str] = (),
        freeze_mode: str = "eval",
        save_memory: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if set(freeze) - {"visual", "text"}:
            raise ConfigError(f"freeze names {sorted(set(freeze) - {'visual', 'text'})}", expected="a list of visual and text")
        self.network, self.weights, self.cost, self.thresholds = network, weights, cost, thresholds
        self.make_optimizer, self.weight_decay, self.slow = optimizer, weight_decay, dict(slow or {})
        self.milestones, self.factor, self.warmup_steps = list(milestones), factor, warmup_steps
        self.frozen, self.freeze_mode, self.save_memory, self.seed = tuple(freeze), freeze_mode, save_memory, seed
        for name in self.frozen:
            getattr(network, name).requires_grad_(False)
        self._counts: Tensor | None = None

    def train(self, mode: bool = True) -> OneStageModule:
        """As usual, but frozen encoders stay in evaluation mode."""
        super().train(mode)
        if mode and self.freeze_mode == "eval":
            for name in self.frozen:
                getattr(self.network, name).eval()
        return self

    def on_fit_start(self) -> None:
        """Training mode, for what is not frozen: Lightning leaves and restores the modes as it finds them."""
        self.train()

    def on_train_epoch_start(self) -> None:
        """Dropout's stream starts anew from seed, epoch and process, so that a resumed run repeats it."""
        torch.manual_seed(hash((self.seed, self.current_epoch, self.global_rank)) & 0x7FFFFFFF)

    def on_train_batch_start(self, batch: ClipBatch, index: int) -> None:
        """Warm the learning rates up."""
        if self.global_step < self.warmup_steps:
            scheduled = self.factor ** sum(milestone <= self.current_epoch for milestone in self.milestones)
            for group in self.optimizers().param_groups:  # type: ignore[union-attr]
                group["lr"] = group["initial_lr"] * scheduled * (self.global_step + 1) / self.warmup_steps

    def run_clips(self, batch: ClipBatch) -> list[ClipRun]:
        """A run per clip and sentence; the sentences of a clip share its encoded frames."""
        assert self.cost is not None
        runs: list[ClipRun] = []
        for clip in batch.clips:
            pyramids = encode_clip(self.network, clip)
            for sentence, truths in zip(clip.sentences, clip.truths, strict=True):
                generator = torch.Generator().manual_seed(clip.seed + len(runs))
                runs.append(run_clip(self.network, pyramids, self.network.encode_sentence(sentence), truths, self.cost,
                                     generator, self.save_memory))
        return runs

    def training_step(self, batch: ClipBatch, index: int) -> Tensor:
        """One step; logs ``train/loss`` and its four terms, of all layers and frames together."""
        assert self.weights is not None
        runs = self.run_clips(batch)
        divisors = self._divisors([run.samples for run in runs])
        loss = torch.stack([run.total(self.weights, n) for run, n in zip(runs, divisors, strict=True)]).mean()
        terms = {f"train/{term}": sum_of(runs, term, divisors) for term in TERMS}
        rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        self.log_dict({"train/loss": loss.detach(), "lr": rate, **terms},
                      batch_size=len(batch.clips), prog_bar=False)
        unused = sum(p.sum() for p in self.parameters() if p.requires_grad)  # without survivors, the interaction has no part
        return loss + 0.0 * unused

    def _divisors(self, samples: list[int]) -> list[float]:
        """What each run's losses are divided by: its objects, with several processes the mean of theirs."""
        if self.trainer.world_size == 1:
            return [float(n) for n in samples]
        own = torch.tensor(samples, dtype=torch.float64, device=self.device)
        return self.trainer.strategy.reduce(own, reduce_op="mean").tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put frozen encoders' weights back, before Lightning loads them all."""
        complete(self, checkpoint, str(self.trainer.ckpt_path))

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self._counts = torch.zeros(3, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: ClipBatch | None, index: int) -> None:
        """Track each clip as at run time and count accepted boxes against referents, at IoU 0.5; None has none."""
        assert self._counts is not None
        for clip in batch.clips if batch is not None else ():
            pyramids = encode_clip(self.network, clip)
            for sentence, truths in zip(clip.sentences, clip.truths, strict=True):
                tracker = OnlineTracker(self.network, self.network.encode_sentence(sentence), self.thresholds)
                for pyramid, truth in zip(pyramids, truths, strict=True):
                    rows = frame_rows(tracker.update(pyramid).survivors, clip.size, self.thresholds)
                    counts = count_boxes(rows.box[rows.accepted], truth, clip.size)
                    self._counts += torch.tensor(counts, device=self.device)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/precision``, ``val/recall`` and ``val/F1`` (0 to 100), whatever the number of processes."""
        assert self._counts is not None
        gathered = self.all_gather(self._counts)
        assert isinstance(gathered, Tensor)
        tp, fp, fn = gathered.reshape(-1, 3).sum(0).tolist()
        self.log_dict({
            "val/precision": 100 * tp / max(tp + fp, 1),
            "val/recall": 100 * tp / max(tp + fn, 1),
            "val/F1": 100 * 2 * tp / max(2 * tp + fp + fn, 1),
        }, rank_zero_only=False, sync_dist=False)  # fmt: skip

    def configure_optimizers(self) -> Any:
        """AdamW (by config) with a multistep schedule per epoch."""
        rate = getattr(self.make_optimizer, "keywords", {}).get("lr", 1e-4)
        optimizer = self.make_optimizer(parameter_groups(self.network, rate, self.weight_decay, self.slow))
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, self.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}


def sum_of(runs: Sequence[ClipRun], term: str, divisors: Sequence[float]) -> Tensor:
    """The mean over runs of a loss term, without its weight."""
    shares = [v.detach() / max(n, 1.0) for run, n in zip(runs, divisors, strict=True) for k, v in run.sums.items()
              if k.endswith(f"_{term}")]
    return torch.stack(shares).sum() / len(runs)


def encode_clip(network: OneStageNetwork, clip: Clip) -> list[list[Tensor]]:
    """The projected pyramid of each frame of a clip, per level (d, h, w)."""
    levels = network.encode_frames(torch.stack(clip.images))
    return [[level[f] for level in levels] for f in range(len(clip.images))]


def count_boxes(boxes: Tensor, truth: FrameTruth, size: tuple[int, int]) -> tuple[float, float, float]:
    """Matched, additional and missing boxes of a frame, matched at IoU 0.5.

    Args:
        boxes: (n, 4) accepted boxes (x1, y1, x2, y2) in pixels.
        truth: The frame's objects, of which the referents count.
        size: (height, width) of the frame.
    """
    true = truth.boxes[truth.referred > 0].double().cpu().numpy() * np.array([size[1], size[0]] * 2)
    true = np.concatenate([true[:, :2] - true[:, 2:] / 2, true[:, :2] + true[:, 2:] / 2], -1)
    overlaps = iou(boxes.double().cpu().numpy(), true)
    rows, columns = linear_sum_assignment(-np.where(overlaps >= 0.5, overlaps, 0))
    matched = float((overlaps[rows, columns] >= 0.5).sum())
    return matched, len(boxes) - matched, len(true) - matched
