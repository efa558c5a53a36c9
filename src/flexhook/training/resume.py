"""A run of a sweep found again in its folder: done, half done, or another one's."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from flexhook.configuration.flat_config import FREE, flat_config, within
from flexhook.errors import ConfigError
from flexhook.training.checkpoints import newest_checkpoint
from flexhook.training.run_folder import SEED_FOLDER, data_fingerprint, meta, read_config
from flexhook.training.running import FAILED

log = logging.getLogger(__name__)

#: What a run does after its training; two runs that differ in nothing else train the same model.
AFTER_TRAINING = ("scoring", "tracker", "detector", "associator")  # the latter two are parts of a tracker
#: What two runs may have otherwise for one to take the other's training over, costs included.
ALIKE = (*AFTER_TRAINING, "ckpt_path", "cache_dir", "own_gpu", "pictures", "logger", "launcher")


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
    begun = (folder / "config.yaml").is_file()
    differing = differences(read_config(folder), cfg) if begun else []
    if differing:
        raise ConfigError("the folder holds a run of another configuration: " + "; ".join(differing[:5]), file=folder,
                          expected="the same configuration, to skip it or to go on with it",
                          hint="Give hydra.sweep.dir another folder, or remove this one")
    if begun and done(folder):
        return True
    if cfg.ckpt_path is None:
        found = newest_checkpoint(folder / "checkpoints") if begun else None
        if found is not None:
            log.info(f"going on from {found}")
        found = found or trained_alike(folder, cfg)
        cfg.ckpt_path = None if found is None else str(found)
    return False


def differences(one: DictConfig, two: DictConfig, free: Sequence[str] = FREE) -> list[str]:
    """Where two runs' configurations differ, ``key: value, value``; what does not change a result is left out.

    Args:
        one: A configuration.
        two: Another one.
        free: The parts that are left out.
    """
    containers: list[Any] = [OmegaConf.to_container(c, resolve=True) for c in (one, two)]
    flat = [flat_config(c) for c in containers]
    keys = [k for k in flat[0].keys() | flat[1].keys() if flat[0].get(k) != flat[1].get(k)]
    return [f"{k}: {flat[0].get(k)}, now {flat[1].get(k)}" for k in sorted(keys) if not within(k, free)]


def trained_alike(folder: Path, cfg: DictConfig) -> Path | None:
    """The last checkpoint of a finished run of the same sweep that trained the same model, for a run that is yet to begin.

    The runs may differ in what comes after training (:data:`AFTER_TRAINING`), in nothing else: seed, annotations, code,
    versions and hardware are the same. A run that resumes from a last checkpoint takes over all that its training left. One
    that is damaged or incomplete is passed over.

    Args:
        folder: The run folder; other than ``<sweep>/<run>/seed<seed>``, its sweep is not known, and nothing is found.
        cfg: The run's configuration.
    """
    if not SEED_FOLDER.fullmatch(folder.name):
        return None
    here = cache(lambda: _meta_here(cfg))
    for path in sorted(folder.parent.parent.glob(f"*/{folder.name}/metrics.json")):
        try:
            found = _same_training(path.parent, cfg, here)
        except Exception as error:  # whatever a damaged file makes its reader say
            log.warning(f"{path.parent} may have trained the same model and is passed over: {error}")
            found = None
        if found is not None:
            log.info(f"{path.parent} has trained the same model: its checkpoints are taken over")
            return found
    return None


def _meta_here(cfg: DictConfig) -> dict[str, Any]:
    from flexhook.training.build import build_reader

    reader = build_reader(cfg, cfg.cache_dir)
    return meta(cfg, data_fingerprint(reader, reader.video_names()))


def _same_training(other: Path, cfg: DictConfig, meta_here: Callable[[], dict[str, Any]]) -> Path | None:
    """The last checkpoint of a finished run, where its training is that of a configuration; all of its files load."""
    from flexhook.training.checkpoints import kept, read_checkpoint

    if differences(read_config(other), cfg, ALIKE):
        return None
    here, there = meta_here(), json.loads((other / "meta.json").read_text())
    if any(here[key] != there[key] for key in ("versions", "code", "data", "hardware")):
        return None
    last = other / "checkpoints" / "last.ckpt"
    for name in kept(read_checkpoint(last)):
        read_checkpoint(last.parent / name)
    return last


def warn_of_another_model(earlier: DictConfig, cfg: DictConfig) -> None:
    """Say where a run that resumes gives its model other settings: such as change no tensor's shape would go unnoticed."""
    for line in differences(earlier, cfg):
        if line.startswith(("model.", "image_size")):
            log.warning(f"the checkpoint was trained with another {line}. Give the overrides of that run to go on with it")


def best_value(folder: Path) -> float | None:
    """The best value of the metric that chose a finished run's checkpoint, which searches optimise."""
    monitor = json.loads((folder / "meta.json").read_text()).get("monitor", "val/F1")
    return json.loads((folder / "metrics.json").read_text()).get(monitor)
