"""A dataset named on the command line (``data=refer_kitti data.root=DIR``), composed by Hydra and instantiated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from flexhook.commands.checkpoint_data import TRACKER_GROUPS
from flexhook.configuration.mistakes import input_error_behind, yaml_mistake
from flexhook.configuration.resolvers import config_folder
from flexhook.datasets.dataset import Dataset
from flexhook.datasets.mixture import Mixture
from flexhook.errors import ConfigError, FlexHookError
from flexhook.structures.protocols import Tracker
from flexhook.trackers.from_config import build_tracker
from flexhook.trackers.mot_files import TrackerFiles

#: Groups that overrides of a dataset may be about; detector and associator are those of tracker=detect.
GROUPS = ("data", "tracker", *TRACKER_GROUPS)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a dataset."""
    parser.add_argument(
        "overrides",
        nargs="+",
        metavar="KEY=VALUE",
        help="the dataset as for training: data=NAME data.root=FOLDER, and any other key below data or tracker, such as "
        "tracker.root=FOLDER, tracker.first_frame=0, tracker=truth or data.reader.splits.test=[0005]",
    )
    parser.add_argument("--config-dir", metavar="FOLDER", help="folder with a configuration of your own, FOLDER/data/NAME.yaml")


def compose_data(overrides: Sequence[str], config_dir: str | Path | None = None) -> DictConfig:
    """Compose a dataset and its tracker.

    Args:
        overrides: ``data=NAME``, ``tracker=NAME`` and changes below ``data`` and ``tracker``.
        config_dir: A further folder to look for ``data/NAME.yaml`` in.

    Returns:
        The configuration with ``data`` and, where there is one, ``tracker``. Where it does not say, ``data.name`` is that of
        its file and ``data.root`` the reader's.

    Raises:
        ConfigError: No dataset or folder is named, the name is unknown, or the configuration or a change is malformed.
    """
    names = sorted(path.stem for path in (config_folder() / "data").glob("*.yaml"))
    named = [o.lstrip("+").removeprefix("data=") for o in overrides if o.lstrip("+").startswith("data=")]
    if not named:
        expected = f"data=NAME with one of {', '.join(names)}, or one of your own with --config-dir"
        raise ConfigError("no dataset is named", expected=expected)
    known = tuple(f"{group}{mark}" for group in GROUPS for mark in "=.")
    wrong = [o for o in overrides if not o.lstrip("+~").startswith(known)]
    if wrong:
        raise ConfigError(f"'{wrong[0]}' is not about data", expected="KEY=VALUE with a key below data or tracker")
    given = [o.lstrip("+") if o.startswith("+data=") else o for o in overrides]
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise ConfigError("the folder of configurations does not exist", file=config_dir)
        given.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    try:
        with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = hydra.compose("dataset", overrides=given)
        if not isinstance(config.get("data"), DictConfig) or config.data.get("reader") is None:
            raise ConfigError("the configuration has no data.reader", hint="Look at conf/data/refer_kitti.yaml")
        _complete(config.data, named[-1])
        return config
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise _explained(error) from error


def _complete(config: DictConfig, name: str) -> None:
    with open_dict(config):
        config.setdefault("name", name)
        if OmegaConf.is_missing(config, "root"):
            raise ConfigError("the dataset's folder is not named", expected="data.root=FOLDER")
        if "root" not in config:
            config.root = config.reader.root


def _explained(error: Exception) -> FlexHookError:
    """What Hydra, OmegaConf or the YAML parser complain about, as a message for whoever wrote it."""
    known = input_error_behind(error)
    if known is not None:
        return known
    if isinstance(error, YAMLError):
        return yaml_mistake(error)
    lines = [line.strip() for line in str(error).splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith(("full_key:", "object_type=")))
    if isinstance(error, MissingConfigException) and error.options:
        problem = f"there is no configuration {error.missing_cfg_file}"
        hint = "One of your own is FOLDER/data/NAME.yaml with --config-dir FOLDER"
        return ConfigError(problem, expected=f"one of {', '.join(error.options)}", hint=hint)
    if isinstance(error, OverrideParseException):
        hint = """A value with any of {}[](),~ or a blank needs quotes of its own inside the shell's: 'KEY="VALUE"'"""
        return ConfigError(f"'{error.override}' cannot be read", expected="KEY=VALUE", hint=hint)
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = next((line.partition(":")[2].strip() for line in lines if line.startswith("full_key:")), "data")
        hint = f"Compare it with the files of conf/{key.partition('.')[0]}"
        return ConfigError(f"{key} cannot be made: {error.__cause__}", hint=hint)
    if said.startswith("Could not override"):
        problem = f"{said.split('. ')[0].rstrip('.')} ({str(error.__cause__).splitlines()[0]})"
        expected = "a key that the dataset's configuration has"
        return ConfigError(problem, expected=expected, hint="Correct it; a key that is not there yet is added with +KEY=VALUE")
    return ConfigError(said)


def open_data(
    overrides: Sequence[str], config_dir: str | Path | None = None
) -> tuple[DictConfig, Dataset | Mixture, Tracker | None]:
    """Compose a dataset and open it.

    Returns:
        The configuration below ``data``, the reader, and the tracker: None where the configuration names none, or names a
        folder that does not exist and that no override asked for.

    Raises:
        ConfigError: The configuration is malformed.
        flexhook.errors.InputError: The dataset's folder, or a tracker folder that was asked for, does not exist.
    """
    composed = compose_data(overrides, config_dir)
    config = composed.data
    if "generator" in config and not Path(config.root).exists():
        hint = f"Make it with `flexhook data synthesize --out {config.root}`"
        raise ConfigError("the synthetic world has not been made yet", file=config.root, hint=hint)
    try:
        reader = hydra.utils.instantiate(config.reader)
        tracker = build_tracker(composed) if composed.get("tracker") else None
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained(error) from error
    if isinstance(reader, DictConfig):
        raise ConfigError("data.reader does not make a reader", expected="_target_ with a class, such as those of conf/data")
    if isinstance(tracker, TrackerFiles) and not tracker.root.exists():
        if any(o.lstrip("+").startswith("tracker") for o in overrides):
            raise ConfigError("the tracker's folder does not exist", file=tracker.root, hint="Correct tracker.root")
        tracker = None
    return config, reader, tracker


def tracks_in_words(tracker: Tracker | None) -> str:
    """Where the tracks are from, to follow the name of a dataset."""
    if tracker is None:
        return ""
    return f", tracker output in {tracker.root}" if isinstance(tracker, TrackerFiles) else f", tracker {type(tracker).__name__}"


class Progress:
    """A counter on standard error, where that is a terminal; it stays silent otherwise.

    Args:
        what: What is counted.
    """

    def __init__(self, what: str) -> None:
        self.what, self.done, self.shown = what, 0, -1
        self.visible = sys.stderr.isatty()

    def __call__(self, count: int) -> None:
        """Count on."""
        self.done += count
        if self.visible and self.done // 50 != self.shown:
            self.shown = self.done // 50
            print(f"\r{self.done:,} {self.what}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.visible:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
