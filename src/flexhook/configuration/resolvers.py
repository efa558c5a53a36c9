"""What composing needs: the folder of configurations, and resolvers (a run's name, the number of GPUs, a new folder).

Imported by the Hydra applications, and so by every process that composes a configuration; nothing heavy is imported.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from omegaconf import OmegaConf

import flexhook
from flexhook.errors import ConfigError
from flexhook.structures.digests import digest

#: Overrides that say where and how often a run is made, not what it is.
NOT_NAMING = ("seed", "experiment", "trainer", "launcher", "logger", "cache_dir", "pictures", "hparams_search")
_LONGEST = 110  # bytes before a digest: with -seed<k> behind it, a name that wandb takes (128 characters)


def config_folder() -> Path:
    """The folder of configurations: inside the installed package, or ``conf/`` of the repository it is run from.

    Raises:
        ConfigError: It is in neither place.
    """
    package = Path(flexhook.__file__).resolve().parent
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError("the configurations are not where they belong", file=package / "conf", expected="train.yaml in it",
                      hint="Install the package again")


def run_name(overrides: Sequence[str], sweep_folder: str) -> str:
    """A run's folder in its sweep, one for all seeds: its ablation, then its other overrides.

    Args:
        overrides: The job's overrides (``ablation=components/ikun``).
        sweep_folder: The sweep's folder; in ``outputs/components`` the run ``components/ikun`` is ``ikun``, elsewhere
            ``components-ikun``.

    Returns:
        A name without path separators.
    """
    names, others = [], []
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key == "ablation":
            group, _, option = value.rpartition("/")
            names.append(option if group and Path(sweep_folder).name.startswith(group) else value)
        elif key not in NOT_NAMING and key.partition(".")[0] not in ("callbacks", "hydra", "logger"):
            others.append(f"{key}={value}")
    name = re.sub(r"[\s/\\]+", "-", ",".join([*names, *sorted(others)])) or "run"
    if len(name.encode()) > _LONGEST:
        name = name.encode()[:_LONGEST].decode(errors="ignore") + "-" + digest(name, length=8)
    return name


def visible_gpus() -> list[str]:
    """Names of the GPUs this process may use, as CUDA_VISIBLE_DEVICES takes them; found without starting CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu.strip() for gpu in chosen.split(",") if gpu.strip() not in ("", "-1")]
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    count = sum(line.startswith("GPU ") for line in found.stdout.splitlines()) if found.returncode == 0 else 0
    return [str(k) for k in range(count)]


def made_folder(path: str) -> str:
    """The path of a folder that is made where it is missing: what a database in it needs before the sweep begins."""
    Path(path).mkdir(parents=True, exist_ok=True)
    return path


def new_folder(path: str) -> str:
    """The path of a folder that is made for one run; ``-2``, ``-3``, ... behind it where another run was faster."""
    for k in count(1):
        made = Path(path if k == 1 else f"{path}-{k}")
        try:
            made.mkdir(parents=True)
        except FileExistsError:
            continue
        return str(made)
    raise AssertionError


def register() -> None:
    """Make ``${run_name:...}``, ``${gpus:}``, ``${made_folder:...}`` and ``${new_folder:...}`` known."""
    OmegaConf.register_new_resolver("new_folder", new_folder, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("made_folder", made_folder, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("gpus", lambda: max(len(visible_gpus()), 1), replace=True)


register()
