"""Finished runs read from their folders, and gathered under one name over their seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from flexhook.configuration.stored_config import read_stored_config
from flexhook.errors import InputError
from flexhook.evaluation.evaluation import Evaluation
from flexhook.structures.files import read_json
from flexhook.training.run_folder import SEED_FOLDER
from flexhook.training.running import FAILED


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        folder: Its folder.
        config: config.yaml as plain containers.
        meta: meta.json: versions, commit, data, hardware, costs.
        metrics: metrics.json: flat keys, 0 to 100.
        evaluation: Its sequences, from which scores are pooled again; None where the run was not evaluated on sequences.
    """

    folder: Path
    config: dict[str, Any]
    meta: dict[str, Any]
    metrics: dict[str, float]
    evaluation: Evaluation | None = None

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.config.get("seed", 0))

    @property
    def dataset(self) -> str:
        """Name of the dataset it was trained and tested on."""
        return str(self.config.get("data", {}).get("name", ""))

    @property
    def costs(self) -> dict[str, float]:
        """What it cost, see :class:`flexhook.training.costs.RunCosts`."""
        return self.meta.get("costs", {})


@dataclass(frozen=True, eq=False)
class Group:
    """The runs of one name, a seed each.

    Attributes:
        name: What tells it from the other groups of a report.
        runs: At least one run, by seed.
    """

    name: str
    runs: tuple[Run, ...]

    def values(self, metric: str) -> np.ndarray:
        """A metric of every run that has it, in the order of the seeds; costs are named ``cost/<name>``."""
        if metric.startswith("cost/"):
            found = [run.costs.get(metric.removeprefix("cost/")) for run in self.runs]
        else:
            found = [run.metrics.get(metric) for run in self.runs]
        return np.array([v for v in found if v is not None], float)

    @property
    def evaluations(self) -> list[Evaluation]:
        """The evaluations of the runs that have one."""
        return [run.evaluation for run in self.runs if run.evaluation is not None]


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        InputError: A file of the run is missing or malformed.
    """
    hint = "Name folders of finished runs, with config.yaml, meta.json and metrics.json"
    contents: dict[str, Any] = {}
    for name in ("config.yaml", "meta.json", "metrics.json"):
        path = folder / name
        if not path.is_file():
            raise InputError(f"the run folder has no {name}", file=folder, hint=hint)
        if name.endswith(".json"):
            contents[name] = read_json(path, hint=hint)
        else:
            contents[name] = OmegaConf.to_container(read_stored_config(path))
    config, metrics = contents["config.yaml"], contents["metrics.json"]
    for key, value in metrics.items():
        if value is not None and (type(value) not in (int, float) or not abs(value) < 1e300):
            raise InputError(f"{key} is {value!r}", file=folder / "metrics.json", expected="a finite number", hint=hint)
    forms = {"costs": dict, "hardware": dict, "versions": dict, "data": dict, "code": dict, "remarks": list}
    for key, kind in forms.items():
        if not isinstance(contents["meta.json"].get(key, kind()), kind):
            raise InputError(f"{key} is malformed", file=folder / "meta.json", hint=hint)
    if not isinstance(config.get("data"), dict) or type(config.get("seed")) is not int:
        raise InputError("data or seed is malformed", file=folder / "config.yaml", hint=hint)
    sequences = folder / "sequences.npz"
    return Run(folder, config, contents["meta.json"], metrics, Evaluation.load(sequences) if sequences.is_file() else None)


def read_those_that_read(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The finished runs of some folders, and a line for each that is left out since it does not read."""
    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except InputError as error:
            problems.append(f"left out: {error}")
    return runs, problems


def find_runs(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """The finished runs in some folders and below them, and a line for each that is not finished or does not read.

    Raises:
        InputError: A path does not exist, or there is no finished run.
    """
    finished: dict[Path, None] = {}
    unfinished: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise InputError("the folder does not exist", file=path, expected="a run folder, or a folder of run folders")
        for config in sorted(path.resolve().rglob("config.yaml")):
            folder = config.parent
            if folder.name == ".hydra" or (folder.name == "files" and "wandb" in folder.parts):
                continue
            (finished if (folder / "metrics.json").is_file() else unfinished)[folder] = None
    refused = [folder for folder in finished if (folder / FAILED).is_file()]  # their results are another configuration's
    runs, problems = read_those_that_read(folder for folder in finished if folder not in refused)
    problems += [f"left out: {folder}: {(folder / FAILED).read_text().partition(chr(10))[0]}" for folder in refused]
    if not runs:
        raise InputError("there is no finished run" + "".join(f"; {text}" for text in problems[:1]),
                         file=", ".join(map(str, paths)), expected="metrics.json in a run folder",
                         hint="Finish the training, or name other folders")
    return runs, [*problems, *(f"not finished: {folder}" for folder in unfinished)]


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Runs under one name per folder above their ``seed<k>``, named by what tells these folders apart.

    Raises:
        InputError: Two runs of one name have the same seed.
    """
    folders: dict[Path, list[Run]] = {}
    for run in runs:
        folders.setdefault(run.folder.parent if SEED_FOLDER.fullmatch(run.folder.name) else run.folder, []).append(run)
    names = short_names([str(folder) for folder in folders])
    groups = []
    for name, members in zip(names, folders.values(), strict=True):
        members = sorted(members, key=lambda run: run.seed)
        for one, two in pairwise(members):
            if one.seed == two.seed:
                raise InputError(f"seed {one.seed} occurs twice in '{name}': {one.folder.name} and {two.folder.name}",
                                 file=one.folder.parent, expected="one run per seed")
        groups.append(Group(name, tuple(members)))
    return groups


def short_names(folders: Sequence[str]) -> list[str]:
    """Folder names without what all of them share: the path above, and overrides that every name ends in."""
    if len(folders) == 1:
        return [Path(folders[0]).name]
    above = os.path.commonpath(folders)
    names = [os.path.relpath(folder, above) for folder in folders]
    split = [name.split(",") for name in names]
    shared = set(split[0][1:]).intersection(*(parts[1:] for parts in split))
    return [",".join(part for k, part in enumerate(parts) if not (k and part in shared)) for parts in split]
