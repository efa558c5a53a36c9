"""From a composed configuration to a dataset's reader and the videos of a split."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import DictConfig

from flexhook.datasets.reader import Reader, load
from flexhook.structures import Video


def build_reader(cfg: DictConfig) -> Reader:
    """The dataset's reader; the synthetic world is made first where the configuration has a generator."""
    if cfg.data.get("generator"):
        from flexhook.synthetic import ensure

        ensure(cfg.data.root, instantiate(cfg.data.generator))
    reader = instantiate(cfg.data.reader)
    return instantiate(cfg.data.transform)(reader) if cfg.data.get("transform") else reader


def training_videos(cfg: DictConfig, reader: Reader) -> list[Video]:
    """The videos to train on: those of the protocol's splits, but for ones of another split that validate."""
    validating = set(reader.splits.get(cfg.protocol.validate_on, ()))
    splits = [split for split in cfg.protocol.get("train_on", ["train"]) if split in reader.splits]
    videos = [v for split in splits for v in load(reader, split) if split == "train" or v.name not in validating]
    return list({video.name: video for video in videos}.values())
