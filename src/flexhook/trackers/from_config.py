"""The tracker that a configuration names."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import DictConfig

from flexhook.errors import ConfigError
from flexhook.structures.protocols import Tracker

HINT = "Set tracker=per_video or tracker=per_class with tracker.root=FOLDER of MOT files, tracker=simulated or tracker=truth"


def build_tracker(cfg: DictConfig, cache_dir: str | None = None) -> Tracker:
    """The tracker of a run.

    Args:
        cfg: The composed configuration; the tracker's part is ``cfg.tracker``.
        cache_dir: Folder of the caches, or ``off``, for a tracker that keeps tracks on disk, which is one with an attribute
            ``cache_dir``; None for :func:`~flexhook.structures.disk_cache.cache_folder`'s.

    Raises:
        ConfigError: It has none, or one that makes no tracker.
    """
    if not cfg.get("tracker"):
        raise ConfigError("there is no tracker", expected="tracker", hint=HINT)
    if "_target_" not in cfg.tracker:
        raise ConfigError("tracker does not make a tracker", expected="_target_ with a class, such as those of conf/tracker")
    tracker = instantiate(cfg.tracker)
    if hasattr(tracker, "cache_dir"):
        tracker.cache_dir = cache_dir
    return tracker
