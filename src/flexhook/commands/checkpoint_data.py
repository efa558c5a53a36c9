"""What a checkpoint brings to the data that it scores: its tracker and its calibration, or those of other data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from flexhook.commands.run_data import found_root, moved
from flexhook.errors import ConfigError
from flexhook.trackers.from_config import HINT

#: Groups that the configuration of a tracker refers to.
TRACKER_GROUPS = ("detector", "associator")


def use_data(
    cfg: DictConfig, trained: DictConfig, overrides: Sequence[str], say: Callable[[str], object], needs_tracks: bool = True
) -> None:
    """Put the command's dataset and tracker into the configuration of a checkpoint.

    The tracker that is given counts. Without one, the checkpoint's own data keep the checkpoint's tracker, and other data
    have their own.

    Args:
        cfg: The command's configuration, with ``data``, ``tracker`` and ``scoring``.
        trained: The checkpoint's configuration; its ``data`` and ``tracker`` are replaced.
        overrides: The command's overrides.
        say: Is told where the tracker is not the checkpoint's.
        needs_tracks: Whether the method needs a tracker.

    Raises:
        ConfigError: Other data have no tracker, or the checkpoint's calibration would be fitted to their training videos.
    """
    data: Any = cfg.get("data") if "reader" in (cfg.get("data") or {}) else None
    if data and OmegaConf.is_missing(data, "root"):
        raise ConfigError("the dataset's folder is not named", expected="data.root=FOLDER")
    given_root = None if data or not cfg.get("data") or OmegaConf.is_missing(cfg.data, "root") else cfg.data.get("root")
    here = None if data else given_root or found_root(trained.data.get("root"), Path(str(cfg.ckpt)))
    if here is not None:
        both: Any = OmegaConf.to_container(trained, resolve=True)
        found = moved({"root": both["data"]["root"], "data": both["data"], "tracker": both.get("tracker")}, here)
        trained.data, trained.tracker = found["data"], found["tracker"]
        say(f"the data of the checkpoint lie in {here}")
    before, earlier = trained.data, trained.get("tracker")
    given = any(o.lstrip("+").startswith(("tracker=", "tracker.")) for o in overrides)
    other = bool(data) and data.get("name") != before.get("name")
    if other and OmegaConf.is_missing(cfg.scoring, "calibration") and (trained.get("scoring") or {}).get("calibration"):
        raise ConfigError(
            f"the checkpoint was scored with a calibration on {before.get('name')}, and the data is {data.get('name')}",
            expected="a choice, since a calibration counts the training sentences of its data",
            hint="scoring.calibration=null scores without it, scoring=calibrated fits it to the training videos of this data",
        )
    from flexhook.training.build import forget_generator  # not before a checkpoint is there to be read

    forget_generator(trained)
    if data:
        trained.data = OmegaConf.to_container(data, resolve=True)
    if given or other:
        trained.tracker = OmegaConf.to_container(cfg.tracker, resolve=False) if cfg.get("tracker") else None
        for group in TRACKER_GROUPS:
            if cfg.get(group):
                trained[group] = OmegaConf.to_container(cfg[group], resolve=False)
        if not needs_tracks:
            return
        if not trained.tracker:
            raise ConfigError(f"the data {trained.data.get('name')} has no tracker of its own", expected="tracker", hint=HINT)
        if not given and earlier and trained.tracker.get("_target_") != earlier.get("_target_"):
            theirs, its = described(trained.tracker), described(earlier)
            say(f"the tracker is that of the data, {theirs}, not that of the checkpoint, {its}")
    elif data and earlier:
        own: Any = {"root": before.get("root"), "tracker": OmegaConf.to_container(earlier, resolve=True)}
        trained.tracker = moved(own, data.get("root"))["tracker"]


def described(tracker: DictConfig) -> str:
    """A tracker in a few words: its class and what it reads."""
    name = str(tracker.get("_target_")).rpartition(".")[2]
    return f"{name} of {tracker.root}" if tracker.get("root") else name
