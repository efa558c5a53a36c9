"""``flexhook train``: a Hydra application."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from flexhook.commands.hydra_app import hydra_command


def task(cfg: DictConfig) -> float | None:
    """Train; importing the experiment only when a job runs keeps ``--cfg job`` fast. A run of a sweep may be resumed."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from flexhook.sweeps.multirun import run_of_sweep

        return run_of_sweep(cfg)
    from flexhook.training.job import train

    return train(cfg)


run = hydra_command("train", task)
