"""The dataset that a run used, opened again: from its config.yaml, also where the data have moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra.utils
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from flexhook.configuration.mistakes import input_error_behind
from flexhook.configuration.trust import check_parts
from flexhook.datasets.cache import CachedReader
from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError, InputError
from flexhook.training.run_folder import read_config


def open_reader(run: Path, changes: Sequence[str] = ()) -> CachedReader:
    """The reader of the dataset that a run used.

    Args:
        run: The run folder.
        changes: ``KEY=VALUE`` changes below ``data``. ``root=FOLDER`` moves every path that lies below the old root.

    Raises:
        InputError: The configuration is missing or malformed, or the dataset is not where it says.
    """
    file, wanted = run / "config.yaml", "a run's config.yaml with data.reader"
    wrong = [c for c in changes if "=" not in c]
    if wrong:
        raise InputError(f"--data got '{wrong[0]}'", expected="KEY=VALUE, for example --data root=FOLDER")
    try:
        held: Any = OmegaConf.to_container(read_config(run))
        data = held.get("data") if isinstance(held, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("reader"), dict):
            raise InputError("the configuration has no data.reader", file=file, expected=wanted)
        given = OmegaConf.from_dotlist([c.removeprefix("data.") for c in changes])
        check_parts({"data": data}, ["data.reader"], file)
        data = moved(data, given.get("root") or found_root(data.get("root"), run))
        require_root(data, run, "--data root=FOLDER")
        cfg = OmegaConf.create(data)
        assert isinstance(cfg, DictConfig)
        OmegaConf.set_struct(cfg, True)
        OmegaConf.set_struct(cfg.reader, False)  # the reader itself knows its arguments
        cfg.merge_with(given)
        return CachedReader(hydra.utils.instantiate(cfg.reader))
    except (OmegaConfBaseException, HydraException, YAMLError, OSError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        said = " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=")))
        raise input_error_behind(error) or ConfigError(said, file=file, expected=wanted) from error


def chosen_videos(reader: Reader, split: str, wanted: Sequence[str] | None) -> list[str]:
    """The names of a split's videos, or those of them that are asked for.

    Args:
        reader: The dataset's reader.
        split: Name of the split.
        wanted: Names of videos; None for all.

    Raises:
        ConfigError: The split has no such video.
    """
    names = list(reader.video_names(split))
    if wanted is None:
        return names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ConfigError(f"the split {split} has no video {unknown[0]}", expected=f"some of {', '.join(names)}")
    return list(wanted)


def found_root(root: object, run: Path) -> str | None:
    """A relative root of data that is not below the current folder, where it lies above a run: the folder it was run from.

    Args:
        root: The root of the run's data.
        run: The run folder, or a file in it.

    Returns:
        The path; None where the root is absolute, lies below the current folder, or is not found.
    """
    relative = Path(str(root)) if root is not None else Path("/")
    if relative.is_absolute() or str(root).startswith("~") or relative.is_dir():
        return None
    return next((str(folder / relative) for folder in run.resolve().parents if (folder / relative).is_dir()), None)


def require_root(data: dict[str, Any], run: Path, option: str) -> None:
    """See that the data of a run are where its configuration says.

    Args:
        data: The resolved configuration of data.
        run: The run folder.
        option: How the command at hand takes another folder.

    Raises:
        InputError: They are not.
    """
    root = data.get("root")
    if root is not None and not Path(str(root)).expanduser().is_dir():
        raise InputError(f"the data of the run, {data.get('name', 'without a name')}, are not in {root}",
                         file=run / "config.yaml", expected="a folder, relative paths from the current folder",
                         hint=f"Give {option}, or run the command where the training ran")


def found_file(path: object, run: Path) -> str:
    """A relative path of a run's configuration that is not below the current folder, where it lies above the run.

    Args:
        path: The path.
        run: The run folder.

    Returns:
        The path as it stands where it is absolute, there, or not found.
    """
    relative = Path(str(path))
    if relative.is_absolute() or relative.exists():
        return str(path)
    return next((str(folder / relative) for folder in run.resolve().parents if (folder / relative).exists()), str(path))


def moved(data: dict[str, Any], root: object) -> dict[str, Any]:
    """A resolved configuration of data with every path below its root below another one.

    Args:
        data: The configuration, with ``root``.
        root: The new root; None changes nothing.
    """
    if root is None or "root" not in data:
        return data
    old = str(data["root"]).rstrip("/")

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: move(part) for key, part in value.items()}
        below = isinstance(value, str) and f"{value}/".startswith(f"{old}/")
        return f"{root}{value[len(old) :]}" if below else value

    return move(data)
