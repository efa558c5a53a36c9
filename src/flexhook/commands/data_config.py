"""A dataset named on the command line (``data=refer_kitti data.root=DIR``), composed by Hydra and instantiated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from flexhook.datasets.mot import TrackerFiles
from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError
from flexhook.experiment.config_folder import config_folder
from flexhook.experiment.mistakes import input_error_behind


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a dataset."""
    parser.add_argument(
        "overrides",
        nargs="+",
        metavar="KEY=VALUE",
        help="the dataset as for training: data=NAME data.root=FOLDER, and any other key below data, such as "
        "data.tracker.root=FOLDER, data.tracker.first_frame=0 or data.reader.splits.test=[0005]",
    )
    parser.add_argument("--config-dir", metavar="FOLDER", help="folder with a configuration of your own, FOLDER/data/NAME.yaml")


def compose_data(overrides: Sequence[str], config_dir: str | Path | None = None) -> DictConfig:
    """Compose the group ``data``.

    Args:
        overrides: ``data=NAME`` and changes below ``data``.
        config_dir: A further folder to look for ``data/NAME.yaml`` in.

    Returns:
        The configuration below ``data``.

    Raises:
        ConfigError: No dataset is named, the name is unknown, or a change is malformed.
    """
    names = sorted(path.stem for path in (config_folder() / "data").glob("*.yaml"))
    if not any(o.startswith("data=") for o in overrides):
        expected = f"data=NAME with one of {', '.join(names)}, or one of your own with --config-dir"
        raise ConfigError("no dataset is named", expected=expected)
    wrong = [o for o in overrides if not o.lstrip("+~").startswith(("data=", "data."))]
    if wrong:
        raise ConfigError(f"'{wrong[0]}' is not about data", expected="KEY=VALUE with a key below data")
    given = [f"+{o}" if o.startswith("data=") else o for o in overrides]
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise ConfigError("the folder of configurations does not exist", file=config_dir)
        given.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    try:
        with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = hydra.compose(overrides=given)
        if "data" not in config or "reader" not in config.data:
            raise ConfigError("the configuration has no data.reader", hint="Look at conf/data/refer_kitti.yaml")
        return config.data
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        hint = f"Datasets are {', '.join(names)}"
        raise input_error_behind(error) or ConfigError(str(error).strip(), hint=hint) from error


def open_data(overrides: Sequence[str], config_dir: str | Path | None = None) -> tuple[DictConfig, Reader, TrackerFiles | None]:
    """Compose a dataset and open it.

    Returns:
        The configuration below ``data``, the reader, and the tracker's output: None where the configuration names none, or
        names a folder that does not exist and that no override asked for.

    Raises:
        ConfigError: The configuration is malformed.
        flexhook.errors.InputError: The dataset's folder, or a tracker folder that was asked for, does not exist.
    """
    config = compose_data(overrides, config_dir)
    if "generator" in config and not Path(config.root).exists():
        hint = f"Make it with `flexhook data synthesize --out {config.root}`"
        raise ConfigError("the synthetic world has not been made yet", file=config.root, hint=hint)
    try:
        reader = hydra.utils.instantiate(config.reader)
        asked = any(o.lstrip("+").startswith("data.tracker") for o in overrides)
        tracker = None
        if config.get("tracker") is not None:
            tracker = hydra.utils.instantiate(config.tracker)
            if not tracker.root.is_dir():
                if asked:
                    hint = "Correct data.tracker.root"
                    raise ConfigError("the tracker's folder does not exist", file=tracker.root, hint=hint)
                tracker = None
        return config, reader, tracker
    except (HydraException, OmegaConfBaseException) as error:
        raise input_error_behind(error) or ConfigError(str(error).strip()) from error


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
