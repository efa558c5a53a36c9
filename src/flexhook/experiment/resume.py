"""A run of a sweep found again in its folder: done, half done, or another one's."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from flexhook.errors import ConfigError
from flexhook.experiment.run_folder import read_config
from flexhook.reports.flat_config import changes_results, flat_config

log = logging.getLogger(__name__)

#: Why a run of a sweep failed; in the folder of a finished run, why an attempt with another configuration was refused.
FAILED = "failed.txt"


def done(folder: Path) -> bool:
    """Whether a run folder holds a finished run: metrics.json is written last, and whole or not at all."""
    return (folder / "metrics.json").is_file()


def accepted(folder: Path) -> bool:
    """Whether a run folder holds a finished run, and the newest attempt at it did not ask for another configuration."""
    return done(folder) and not (folder / FAILED).is_file()


def go_on(folder: Path, cfg: DictConfig) -> bool:
    """Prepare a run to go on where an earlier attempt at it stopped.

    Args:
        folder: The run folder, which may not exist yet.
        cfg: The run's configuration; ``ckpt_path`` is set where there is a checkpoint to go on from.

    Returns:
        Whether the run is done already.

    Raises:
        ConfigError: The folder holds a run of another configuration.
    """
    if not (folder / "config.yaml").is_file():
        return False
    differing = differences(read_config(folder), cfg)
    if differing:
        raise ConfigError("the folder holds a run of another configuration: " + "; ".join(differing[:5]), file=folder,
                          expected="the same configuration, to skip it or to go on with it",
                          hint="Give hydra.sweep.dir another folder, or remove this one")
    if done(folder):
        return True
    if cfg.ckpt_path is None:
        found = newest_checkpoint(folder / "checkpoints")
        if found is not None:
            log.info(f"going on from {found}")
            cfg.ckpt_path = str(found)
    return False


def differences(one: DictConfig, two: DictConfig) -> list[str]:
    """Where two runs' configurations differ, ``key: value, value``; what does not change a result is left out."""
    containers: list[Any] = [OmegaConf.to_container(c, resolve=True) for c in (one, two)]
    flat = [flat_config(c) for c in containers]
    keys = [k for k in flat[0].keys() | flat[1].keys() if flat[0].get(k) != flat[1].get(k)]
    return [f"{k}: {flat[0].get(k)}, now {flat[1].get(k)}" for k in sorted(keys) if changes_results(k)]


def warn_of_another_model(earlier: DictConfig, cfg: DictConfig) -> None:
    """Say where a run that resumes gives its model other settings: such as change no tensor's shape would go unnoticed."""
    for line in differences(earlier, cfg):
        if line.startswith(("model.", "image_size")):
            log.warning(f"the checkpoint was trained with another {line}. Give the overrides of that run to go on with it")


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step that loads; one that was cut off while it was written is passed over."""
    best: tuple[int, bool, Path] | None = None
    for path in sorted(folder.glob("*.ckpt")):
        try:
            step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"]
        except Exception:  # whatever a cut-off file makes torch say
            log.warning(f"{path} does not load and is passed over")
            continue
        candidate = (step, path.name == "last.ckpt", path)
        best = candidate if best is None else max(best, candidate)
    return None if best is None else best[2]


def best_f1(folder: Path) -> float | None:
    """The best validation F1 of a finished run, which searches optimise."""
    return json.loads((folder / "metrics.json").read_text()).get("val/F1")
