"""``flexhook train``: a Hydra application."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from flexhook.commands.hydra_app import hydra_command
from flexhook.errors import Stopped
from flexhook.training.checkpoint_file import require_checkpoint_file


def task(cfg: DictConfig) -> float | None:
    """Train; importing the experiment only when a job runs keeps ``--cfg job`` fast. A run of a sweep may be resumed."""
    if cfg.ckpt_path is not None:
        require_checkpoint_file(cfg.ckpt_path)  # before torch is imported
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from flexhook.sweeps.multirun import run_of_sweep

        try:
            return run_of_sweep(cfg)
        except Stopped as stop:
            stop.advice = "the same command goes on where it stopped"
            raise
    from flexhook.training.job import train

    try:
        return train(cfg)
    except Stopped as stop:
        from flexhook.training.checkpoints import newest_checkpoint

        last = newest_checkpoint(Path(cfg.run_dir) / "checkpoints")
        stop.advice = f"go on with ckpt_path={last}" if last else "it has left no checkpoint: run it again"
        raise


run = hydra_command("train", task)
