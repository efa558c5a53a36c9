"""``flexhook train``: a Hydra application."""

from __future__ import annotations

from omegaconf import DictConfig

from flexhook.commands.hydra_app import hydra_command


def task(cfg: DictConfig) -> float | None:
    """Train; importing the experiment only when a job runs keeps ``--cfg job`` fast."""
    from flexhook.experiment.train import train

    return train(cfg)


run = hydra_command("train", task)
