"""Studies: a question, the runs that answer it and the one they are compared with; from ``conf/study/<name>.yaml``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError
from flexhook.reports.comparison import PREVIOUS


@dataclass(frozen=True)
class Study:
    """What a sweep is for.

    Attributes:
        name: Its name.
        runs: Options of the group ``ablation``, in the order of the table.
        title: Its heading.
        question: What it asks.
        baseline: The run that others are compared with, an entry of ``runs``; or ``previous``: each with the one before
            it; or a run for each that is compared. By default the first.
        seeds: Number of seeds.
        overrides: Overrides of every run.
        axis: Name of the number in the runs' names (``M`` in ``points/m10``), for a plot over it.
        sections: Further sections of its page: ``reference_points``.
    """

    name: str
    runs: tuple[str, ...]
    title: str = ""
    question: str = ""
    baseline: str | Mapping[str, str] | None = None
    seeds: int = 3
    overrides: tuple[str, ...] = ()
    axis: str | None = None
    sections: tuple[str, ...] = ()


def find_study(name: str, config_dirs: Sequence[Path] = ()) -> Study | None:
    """The study of a name; None where there is none.

    Args:
        name: Its name.
        config_dirs: Folders with configurations to look into before the project's.

    Raises:
        ConfigError: Its file is malformed.
    """
    for folder in (*config_dirs, config_folder()):
        path = Path(folder) / "study" / f"{name}.yaml"
        if path.is_file():
            return _read(path)
    return None


def _read(path: Path) -> Study:
    expected = "runs, and of title, question, baseline, seeds, overrides, axis, sections what is wanted"
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        lists = {key: tuple(content.get(key) or ()) for key in ("runs", "overrides", "sections")}
        study = Study(name=path.stem, **{**content, **lists})
    except (OmegaConfBaseException, YAMLError, TypeError, AttributeError) as error:
        raise ConfigError(f"the study is malformed ({error})", file=path, expected=expected) from None
    if set(study.sections) - {"reference_points"}:
        raise ConfigError(f"the study has sections {list(study.sections)}", file=path, expected="reference_points or none")
    if isinstance(study.baseline, Mapping):
        fits = set(study.baseline) | set(study.baseline.values()) <= set(study.runs)
    else:
        fits = study.baseline in (None, PREVIOUS, *study.runs)
    if not study.runs or not fits:
        raise ConfigError(f"the study has runs {list(study.runs)} and baseline {study.baseline}", file=path,
                          expected=f"at least one run, and one of them (or '{PREVIOUS}', or RUN: RUN entries) as the baseline")
    return study


def ablation_options(name: str, config_dirs: Sequence[Path] = ()) -> list[str]:
    """The options of ``ablation`` that a name means: itself, or all of its group in the natural order of their names.

    Args:
        name: ``components`` or ``components/ikun``.
        config_dirs: Folders with configurations beside the project's.

    Raises:
        ConfigError: There is no such group or option.
    """
    folders = [Path(folder) / "ablation" for folder in (*config_dirs, config_folder())]
    if any((folder / f"{name}.yaml").is_file() for folder in folders):
        return [name]
    found = {f"{name}/{path.stem}" for folder in folders for path in (folder / name).glob("*.yaml")}
    if not found:
        known = sorted({p.parent.relative_to(f).as_posix() for f in folders for p in f.rglob("*.yaml")} - {"."})
        close = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(f"there is no ablation '{name}'", expected=f"a study, one of {', '.join(known)}, or an option in it",
                          hint=f"Did you mean {close[0]}?" if close else None)
    return sorted(found, key=natural)


def natural(text: str) -> list:
    """A key that sorts numbers inside names by their value: m1, m5, m10."""
    return [(1, float(part), "") if re.fullmatch(r"\d+(?:\.\d+)?", part) else (0, 0.0, part)
            for part in re.split(r"(\d+(?:\.\d+)?)", text)]
