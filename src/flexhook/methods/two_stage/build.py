"""From a composed configuration to the objects of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from flexhook.datasets.reader import Reader, load
from flexhook.errors import ConfigError, InputError
from flexhook.methods.two_stage.datamodule import ReferringDataModule, require_videos
from flexhook.methods.two_stage.module import ReferringModule
from flexhook.training.build import training_videos
from flexhook.training.checkpoints import load_weights, read_checkpoint


def build_model(cfg: DictConfig) -> Any:
    """The referring model, initialised from the seed."""
    torch.manual_seed(cfg.seed)
    return instantiate(cfg.model)


def build_module(cfg: DictConfig) -> ReferringModule:
    """Model, losses, optimiser and freezing."""
    model = build_model(cfg)
    return ReferringModule(
        model=model,
        loss=instantiate(cfg.loss.match),
        regulariser=instantiate(cfg.loss.regulariser) if cfg.loss.get("regulariser") else None,
        optimizer=instantiate(cfg.optim.optimizer),
        weight_decay=cfg.optim.weight_decay,
        milestones=tuple(cfg.optim.milestones),
        factor=cfg.optim.factor,
        warmup_steps=cfg.optim.warmup_steps,
        freeze=tuple(cfg.freeze),
        freeze_mode=cfg.protocol.freeze_mode,
        seed=cfg.seed,
        alignment=_build_alignment(cfg, model),
    )


def _build_alignment(cfg: DictConfig, model: Any) -> Any:
    if not cfg.get("alignment"):
        return None
    if not hasattr(model, "trajectory_tokens"):
        raise ConfigError("the model has no trajectory tokens to align with sentences",
                          expected="alignment=none with this model")
    return instantiate(cfg.alignment)(width=model.text.width, first_query=getattr(model.decoder, "first_query", None))


def build_datamodule(cfg: DictConfig, reader: Reader, tokenize) -> ReferringDataModule:
    """Training and validation videos with true boxes."""
    if cfg.sampling.get("items") is None:
        raise ConfigError("the configuration has no sampling.items", hint="Choose sampling=windows or sampling=clips")
    return ReferringDataModule(
        train=require_videos(training_videos(cfg, reader), "train"),
        val=load(reader, cfg.protocol.validate_on) if cfg.protocol.validate_on in reader.splits else [],
        items=instantiate(cfg.sampling["items"]),
        val_items=instantiate(cfg.sampling.val_items),
        swap=instantiate(cfg.perturbation.swap),
        tokenize=tokenize,
        image_size=tuple(cfg.image_size),
        batch_size=cfg.sampling.batch_size,
        num_workers=cfg.sampling.num_workers,
        seed=cfg.seed,
        keep_images=cfg.sampling.keep_images,
        image_cache=Path(cfg.cache_dir) / "images" if cfg.sampling.cache_images else None,
    )


def load_model(path: str | Path) -> tuple[Any, DictConfig]:
    """A model as its checkpoint has it, in evaluation mode, and the configuration it was trained with."""
    checkpoint = read_checkpoint(path)
    return build_trained(checkpoint, path).eval(), OmegaConf.create(checkpoint["flexhook"]["config"])


def build_trained(checkpoint: dict, path: str | Path) -> torch.nn.Module:
    """The model of a loaded checkpoint with its weights.

    Pretrained weights are asked for where the checkpoint leaves an encoder out, which it does with a frozen one.

    Args:
        checkpoint: What :func:`~flexhook.training.checkpoints.read_checkpoint` gave.
        path: Its name, for messages.

    Raises:
        InputError: The weights do not fit, or those of a frozen encoder cannot be had, or the model's settings are of another
            version.
    """
    ours = checkpoint["flexhook"]
    cfg: Any = OmegaConf.create(ours["config"])
    for part in {"visual", "text"}.difference(ours.get("frozen", {})):
        source = {"pretrained": False, "weights": None}
        cfg.model[part].update({key: value for key, value in source.items() if key in cfg.model[part]})
    try:
        model = build_model(cfg)
    except InstantiationException as error:
        if not isinstance(error.__cause__, TypeError):
            raise
        raise InputError(f"its model cannot be made: {error.__cause__}", file=path, expected="settings that this version knows",
                         hint="Use the version of flexhook that trained it, or train it again") from None
    load_weights(model, checkpoint, path)
    return model
