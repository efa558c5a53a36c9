"""The tracker that a configuration names."""

from __future__ import annotations

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig

from flexhook.configuration.mistakes import input_error_behind
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError
from flexhook.structures.protocols import Tracker
from flexhook.trackers.detect import DetectingTracker

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


def first_stage(*overrides: str) -> DetectingTracker:
    """A detector and an associator as a tracker, as ``flexhook track`` makes it.

    Args:
        overrides: As on the command line: ``"detector=embedded"``, ``"associator=ocsort"``, ``"detector.threshold=0.3"``.
            Without any, D-FINE by its name on the hub, and ByteTrack.

    Raises:
        ConfigError: An override names something that does not exist.
        InputError: The detector's weights cannot be had.

    Example:
        >>> tracker = flexhook.first_stage("detector=background", "associator=ocsort")  # doctest: +SKIP
        >>> model.predict("clip.mp4", ["people"], tracker=tracker)  # doctest: +SKIP
    """
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            tracker = build_tracker(compose("track", ["tracker=detect", *overrides]))
    except HydraException as error:
        said = " ".join(str(error).partition("Config search path")[0].split())
        raise input_error_behind(error) or ConfigError(said, expected="overrides such as detector=embedded") from None
    if not isinstance(tracker, DetectingTracker):
        raise ConfigError("the overrides replace the first stage", expected="detector=, associator= and their options")
    return tracker
