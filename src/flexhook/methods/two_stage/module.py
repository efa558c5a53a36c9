"""The LightningModule: losses, optimiser, freezing, validation precision, recall and F1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.model_parts import Loss
from flexhook.methods.two_stage.referring_model import Prediction, WindowBatch
from flexhook.training.checkpoints import complete

#: Position embeddings and rotary frequencies, by the name of the parameter alone, as timm and CLIP call them.
POSITIONS = {"pos_embed", "absolute_pos_embed", "positional_embedding", "relative_position_bias_table", "rope_freqs"}
#: Tables of position vectors, by the name of the embedding layer, as transformers calls them.
POSITION_TABLES = {"position_embeddings", "position_embedding", "embed_positions", "wpe", "relative_attention_bias"}


def is_position(module: nn.Module, name: str) -> bool:
    """Whether a parameter is a position embedding or a rotary frequency.

    That is what its module declares (``position_parameters``, a set of names of the module's own parameters), else what timm,
    CLIP and transformers call such a parameter. Parts of other names do not count: ``composition.weight`` is a weight.

    Args:
        module: The model.
        name: Name of the parameter in it.
    """
    path, _, own = name.rpartition(".")
    owner = module.get_submodule(path)
    if own in getattr(owner, "position_parameters", ()):
        return True
    layer = path.rpartition(".")[2]
    if isinstance(owner, nn.Embedding):
        return own == "weight" and layer in POSITION_TABLES
    return own in POSITIONS or (own == "freqs" and layer == "rope")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Parameters with and without weight decay.

    Without: 1-D parameters and biases, position embeddings and rotary frequencies (:func:`is_position`). The learned queries
    of the conditioning count among the position embeddings: their published name is ``conditional_pos_embed``. The
    decoder's ``init_embeds`` are a matrix that boxes are multiplied with, and class tokens embed no position: both decay.

    Args:
        module: A model; parameters without gradient are left out.
        weight_decay: Of the first group. Larger pulls the weights more to zero.

    Returns:
        Two groups for an optimiser: the decayed parameters, then the others.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            bare = parameter.ndim <= 1 or name.endswith("bias") or is_position(module, name)
            (plain if bare else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


class ReferringModule(L.LightningModule):
    """Trains a referring model.

    Args:
        model: A model that maps a :class:`~flexhook.methods.flexhook.network.WindowBatch` to a
            :class:`~flexhook.methods.flexhook.network.Prediction`, with ``visual`` and ``text`` encoders.
        loss: The loss on the logits; None for a model that is not trained.
        regulariser: Reference points -> scalar; None for none.
        alignment: (prediction, batch) -> scalar, such as
            :class:`~flexhook.methods.flexhook.alignment.TrajectoryAlignment`; None for none.
            What it learns is kept in checkpoints for a run that goes on, and is no part of the model.
        optimizer: Makes the optimiser from parameter groups.
        weight_decay: For the parameters that are decayed.
        milestones: Epochs at which the learning rate is multiplied by ``factor``.
        factor: That factor.
        warmup_steps: Steps over which the learning rate rises linearly to what the schedule makes it.
        freeze: Which encoders are frozen: ``visual``, ``text``.
        freeze_mode: ``eval`` puts frozen parts in evaluation mode; ``train`` only stops their gradients (as published).
        seed: Seed of dropout and stochastic depth, per epoch and process.
    """

    model: Any

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None,
        regulariser: nn.Module | None,
        optimizer: Callable = torch.optim.AdamW,
        weight_decay: float = 1e-4,
        milestones: tuple[int, ...] = (12, 18),
        factor: float = 0.5,
        warmup_steps: int = 0,
        freeze: tuple[str, ...] = (),
        freeze_mode: str = "eval",
        seed: int = 0,
        alignment: nn.Module | None = None,
    ) -> None:
        super().__init__()
        unknown = set(freeze) - {"visual", "text"}
        if unknown:
            raise ConfigError(f"freeze names {sorted(unknown)}", expected="a list of visual and text")
        if freeze_mode not in ("eval", "train"):
            raise ConfigError(f"freeze_mode is '{freeze_mode}'", expected="eval or train")
        self.model, self.regulariser, self.alignment = model, regulariser, alignment
        self.loss: Any = loss
        self.make_optimizer, self.weight_decay = optimizer, weight_decay
        self.milestones, self.factor, self.seed = list(milestones), factor, seed
        self.warmup_steps = warmup_steps
        self.frozen, self.freeze_mode = tuple(freeze), freeze_mode
        for name in self.frozen:
            getattr(model, name).requires_grad_(False)
        self._counts: Tensor | None = None

    def train(self, mode: bool = True) -> ReferringModule:
        """As usual, but frozen encoders stay in evaluation mode."""
        super().train(mode)
        if mode and self.freeze_mode == "eval":
            for name in self.frozen:
                getattr(self.model, name).eval()
        return self

    def forward(self, batch: WindowBatch) -> Prediction:
        """The model's prediction."""
        return self.model(batch)

    def objective(self, prediction: Prediction, batch: WindowBatch) -> dict[str, Tensor]:
        """The loss and its terms: ``loss``, ``match``, and where there are such ``regulariser``, ``alignment``."""
        assert batch.labels is not None
        match = self.loss(prediction.logits, batch.labels)
        terms = {"loss": match, "match": match}
        if self.regulariser is not None and prediction.points is not None:
            terms["regulariser"] = self.regulariser(prediction.points)
            terms["loss"] = terms["loss"] + terms["regulariser"]
        if self.alignment is not None:
            terms["alignment"] = self.alignment(prediction, batch)
            terms["loss"] = terms["loss"] + terms["alignment"]
        return terms

    def on_fit_start(self) -> None:
        """Training mode, for what is not frozen: Lightning leaves and restores the modes as it finds them."""
        self.train()

    def on_train_epoch_start(self) -> None:
        """Dropout's stream starts anew from seed, epoch and process, so that a resumed run repeats it."""
        torch.manual_seed(hash((self.seed, self.current_epoch, self.global_rank)) & 0x7FFFFFFF)

    def on_train_batch_start(self, batch: WindowBatch, index: int) -> None:
        """Warm the learning rate up."""
        if self.global_step < self.warmup_steps:
            scheduled = self.factor ** sum(milestone <= self.current_epoch for milestone in self.milestones)
            for group in self.optimizers().param_groups:  # type: ignore[union-attr]
                group["lr"] = group["initial_lr"] * scheduled * (self.global_step + 1) / self.warmup_steps

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """As Lightning does; but in bfloat16, whose gradients have no scale, it need not refuse fused optimisers."""
        if gradient_clip_val and self.trainer.precision == "bf16-mixed" and gradient_clip_algorithm in (None, "norm"):
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def training_step(self, batch: WindowBatch, index: int) -> Tensor:
        """One step; logs ``train/loss`` and its terms."""
        terms = self.objective(self(batch), batch)
        rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        self.log_dict({f"train/{k}": v.detach() for k, v in terms.items()} | {"lr": rate},
                      batch_size=len(batch.frame), prog_bar=False)
        return terms["loss"] * self._weight(len(batch.frame))

    def _weight(self, windows: int) -> Tensor | float:
        """What the mean over this process's windows counts for in the mean over processes that DDP takes.

        With it that is the mean over all windows of the step: clips have different numbers of them.
        """
        if self.trainer.world_size == 1:
            return 1.0
        own = torch.tensor(float(windows), device=self.device)
        return own * self.trainer.world_size / self.trainer.strategy.reduce(own.clone(), reduce_op="sum")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put frozen encoders' weights back, before Lightning loads them all."""
        complete(self, checkpoint, str(self.trainer.ckpt_path))

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self._counts = torch.zeros(5, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: WindowBatch | None, index: int) -> None:
        """Count true and false positives and negatives of the last scale, over all pairs together; None has none."""
        if batch is None:
            return
        assert batch.labels is not None and self._counts is not None
        prediction = self(batch)
        yes = prediction.logits[:, -1, :, 1] > prediction.logits[:, -1, :, 0]
        true, judged = batch.labels == 1, batch.labels >= 0
        loss = self.loss(prediction.logits, batch.labels).double() * judged.sum()
        counts = [(yes & true).sum(), (yes & ~true & judged).sum(), (~yes & true).sum(), judged.sum()]
        self._counts += torch.stack([loss, *(c.double() for c in counts)])

    def on_validation_epoch_end(self) -> None:
        """Log ``val/loss``, ``val/precision``, ``val/recall`` and ``val/F1`` (0 to 100), whatever the number of processes."""
        assert self._counts is not None
        gathered = self.all_gather(self._counts)
        assert isinstance(gathered, Tensor)
        loss, tp, fp, fn, judged = gathered.reshape(-1, 5).sum(0).tolist()
        values = {
            "val/loss": loss / max(judged, 1),
            "val/precision": 100 * tp / max(tp + fp, 1),
            "val/recall": 100 * tp / max(tp + fn, 1),
            "val/F1": 100 * 2 * tp / max(2 * tp + fp + fn, 1),
        }
        self.log_dict(values, rank_zero_only=False, sync_dist=False)

    def configure_optimizers(self) -> Any:
        """AdamW (by config) with a multistep schedule per epoch."""
        optimizer = self.make_optimizer(parameter_groups(self, self.weight_decay))
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, self.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}
