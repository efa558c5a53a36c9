"""The run folder: config.yaml, meta.json, metrics.json and the link to the newest run."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from flexhook import __version__
from flexhook.configuration.stored_config import read_stored_config
from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError, InputError
from flexhook.structures.digests import Digest
from flexhook.structures.files import atomic_link, atomic_write, read_json, write_json
from flexhook.training.code_digest import code_digests

SEED_FOLDER = re.compile(r"seed_?\d+")  #: Name of a run's folder in its sweep.
PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "transformers", "timm", "trackeval", "numpy")


def write_config(folder: Path, cfg: DictConfig) -> Path:
    """config.yaml, resolved."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(cfg, resolve=True))
    return folder / "config.yaml"


def read_config(folder: Path) -> DictConfig:
    """The configuration of a run folder.

    Raises:
        InputError: It is no run folder, or its configuration is refused, see
            :func:`~flexhook.configuration.stored_config.read_stored_config`.
    """
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise InputError("no config.yaml in the run folder", file=folder, expected="a folder that `flexhook train` made",
                         hint="Name one under outputs/")
    return read_stored_config(path)


def commit() -> str | None:
    """The commit of the source tree this package runs from; None when installed.

    With ``+`` where code or configurations differ from it; a page that a study has written anew is neither.
    """
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    run = lambda *a: subprocess.run(["git", "-C", str(here), *a], capture_output=True, text=True).stdout.strip()  # noqa: E731
    try:
        head, dirty = run("rev-parse", "HEAD"), run("status", "--porcelain", "--untracked-files=no", "--", "src", "conf")
    except OSError:
        return None
    return (head + ("+" if dirty else "")) or None


def data_fingerprint(reader: Reader, names: Iterable[str]) -> str:
    """A digest of the annotation files behind some videos: their names and sizes, and the bytes of files under 1 MB.

    Times are left out, so that a copy has the fingerprint of the original.
    """
    found = Digest()
    for name in names:
        for path in sorted(reader.files(name)):
            found.add(path.name)
            if path.is_file() and path.suffix not in (".png", ".jpg", ".jpeg"):
                size = path.stat().st_size
                found.add(path.read_bytes() if size < 1 << 20 else str(size))
    return found.hex()


def meta(cfg: DictConfig, fingerprint: str) -> dict[str, Any]:
    """What meta.json holds."""
    import torch

    versions = {"flexhook": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return {
        "versions": versions,
        "seed": cfg.seed,
        "commit": commit(),
        "code": code_digests(OmegaConf.to_container(cfg, resolve=True)),
        "data": {"name": cfg.data.name, "fingerprint": fingerprint},
        "hardware": {"cpu": _cpu(), "cores": os.cpu_count(), "gpus": gpus},
        "protocol": cfg.protocol.name,
        "remarks": remarks(cfg.protocol),
    }


def remarks(protocol: Mapping[Any, Any]) -> list[str]:
    """What a reader of the results has to know about the protocol; nothing of the default one."""
    said = {
        "Validated on the test videos with their true boxes: they chose the checkpoint.": protocol.get("validate_on") == "test",
        "A track's last observation was never judged.": not protocol.get("judge_last_observation", True),
        "Frozen encoders stayed in training mode.": protocol.get("freeze_mode") == "train",
    }
    return [text for text, holds in said.items() if holds]


def remark_lines(protocol: Mapping[Any, Any]) -> list[str]:
    """The remarks for a printed report, under the protocol's name; nothing where there are none."""
    said = remarks(protocol)
    return [f"protocol={protocol.get('name', '(unnamed)')}:", *(f"  {text}" for text in said)] if said else []


def note_remarks(folder: Path, said: Sequence[str]) -> None:
    """Put the remarks under which a run was evaluated again into its meta.json, where it has one.

    Raises:
        InputError: The file holds no JSON object.
    """
    path = folder / "meta.json"
    if not path.is_file():
        return
    content = read_json(path, hint="Remove it")
    write_json(path, content | {"remarks": list(said)})


def note_checkpoint(folder: Path, checkpoint: Path) -> None:
    """Put the name of the checkpoint that a training chose into its meta.json."""
    path = folder / "meta.json"
    write_json(path, read_json(path) | {"checkpoint": checkpoint.name})


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def forget_results(folder: Path) -> None:
    """Remove what an earlier attempt in the same folder ended with, so that it is not taken for this one's."""
    for name in ("metrics.json", "expressions.csv", "sequences.npz"):
        (folder / name).unlink(missing_ok=True)


def begin(folder: Path) -> None:
    """Make sure that a run which begins anew does not mix with another one.

    Raises:
        ConfigError: The folder holds checkpoints.
    """
    if any((folder / "checkpoints").glob("*.ckpt")):
        from flexhook.training.checkpoints import newest_checkpoint

        newest = newest_checkpoint(folder / "checkpoints")
        hint = f"Resume that run with ckpt_path={newest}, or set" if newest else "None of them loads: remove them, or set"
        raise ConfigError("the folder holds checkpoints of a run", file=folder, expected="a folder for a new run",
                          hint=f"{hint} hydra.run.dir to another folder")
    (folder / "metrics.csv").unlink(missing_ok=True)


def write_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """metrics.json, flat."""
    write_json(folder / "metrics.json", dict(metrics))


def point_latest(folder: Path, name: str = "latest") -> None:
    """Let the link ``outputs/<name>`` point to a run folder, if it lies under ``outputs``."""
    for parent in folder.resolve().parents:
        if parent.name == "outputs":
            atomic_link(parent / name, os.path.relpath(folder.resolve(), parent))
            return
