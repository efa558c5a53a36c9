"""From a composed configuration to the dataset's reader, the method and the batches it is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from flexhook.datasets.cache import CachedReader
from flexhook.datasets.reader import Reader, load
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Video
from flexhook.structures.method import Method
from flexhook.training.checkpoints import load_weights, read_checkpoint
from flexhook.training.datamodule import VideoDataModule, require_videos


def build_reader(cfg: DictConfig) -> CachedReader:
    """The dataset's reader with its cache; the synthetic world is made first where the configuration has a generator."""
    if cfg.data.get("generator"):
        from flexhook.synthetic import ensure

        ensure(cfg.data.root, instantiate(cfg.data.generator))
    reader = instantiate(cfg.data.reader)
    return CachedReader(instantiate(cfg.data.transform)(reader) if cfg.data.get("transform") else reader)


def training_videos(cfg: DictConfig, reader: Reader) -> list[Video]:
    """The videos to train on: those of the protocol's splits, but for ones of another split that validate."""
    validating = set(reader.splits.get(cfg.protocol.validate_on, ()))
    splits = [split for split in cfg.protocol.get("train_on", ["train"]) if split in reader.splits]
    videos = [v for split in splits for v in load(reader, split) if split == "train" or v.name not in validating]
    return list({video.name: video for video in videos}.values())


def build_method(cfg: DictConfig) -> Method:
    """The method that ``cfg.method`` names, initialised from the seed."""
    torch.manual_seed(cfg.seed)
    return method_class(cfg).from_config(cfg)


def method_class(cfg: DictConfig) -> type[Method]:
    """The class of the method.

    Raises:
        ConfigError: The configuration names none.
    """
    if not cfg.get("method"):
        raise ConfigError("the configuration has no method", expected="method with _target_", hint="Set method=flexhook")
    found = get_class(cfg.method._target_)
    if not issubclass(found, Method):
        raise ConfigError(f"{cfg.method._target_} is no method", expected="a subclass of flexhook.structures.method.Method")
    return found


def build_datamodule(cfg: DictConfig, reader: Reader, method: Method) -> VideoDataModule:
    """Training and validation videos, as batches of the method."""
    return VideoDataModule(
        method,
        train=require_videos(training_videos(cfg, reader), "train"),
        val=load(reader, cfg.protocol.validate_on) if cfg.protocol.validate_on in reader.splits else [],
        batch_size=cfg.sampling.batch_size,
        num_workers=cfg.sampling.num_workers,
        seed=cfg.seed,
    )


def load_method(path: str | Path) -> tuple[Method, DictConfig]:
    """A method as its checkpoint has it, in evaluation mode, and the configuration it was trained with."""
    checkpoint = read_checkpoint(path)
    method = build_trained(checkpoint, path)
    method.module.eval()
    return method, OmegaConf.create(checkpoint["flexhook"]["config"])


def build_trained(checkpoint: dict, path: str | Path) -> Method:
    """The method of a loaded checkpoint with its weights.

    Pretrained weights are asked for where the checkpoint leaves a part out, which it does with a frozen one.

    Args:
        checkpoint: What :func:`~flexhook.training.checkpoints.read_checkpoint` gave.
        path: Its name, for messages.

    Raises:
        InputError: The weights do not fit, or those of a frozen part cannot be had, or the settings are of another version.
    """
    ours = checkpoint["flexhook"]
    cfg: Any = OmegaConf.create(ours["config"])
    try:
        method = method_class(cfg).from_config(cfg, pretrained=list(ours.get("frozen", {})))
    except InstantiationException as error:
        if not isinstance(error.__cause__, TypeError):
            raise
        raise InputError(f"its model cannot be made: {error.__cause__}", file=path, expected="settings that this version knows",
                         hint="Use the version of flexhook that trained it, or train it again") from None
    load_weights(method.module, checkpoint, path)
    return method
