"""Sweeps over ablations and seeds: ``flexhook sweep components --seeds 3``.

Prints the ``flexhook train -m`` line that it is equal to, runs it, lists what failed and reports what is done. Runs lie
in ``outputs/<sweep>/<run>/seed<seed>``; the same command again skips those that are done and goes on with the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from flexhook.configuration.flat_config import changes_results
from flexhook.configuration.resolvers import NOT_NAMING
from flexhook.errors import ConfigError, FlexHookError
from flexhook.sweeps.multirun import Sweep
from flexhook.sweeps.study import Study, ablation_options, find_study


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = argparse.ArgumentParser("flexhook sweep", description=__doc__.splitlines()[0])
    add = arguments.add_argument
    add("names", metavar="NAMES", help="a study (conf/study), a group or an option of conf/ablation; several with commas")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="overrides of every run, as `flexhook train` takes them")
    add("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (a study's own number, else 3)")
    add("--name", metavar="NAME", help="folder of the sweep under outputs/ (from NAMES and the experiment)")
    add("--config-dir", type=Path, action="append", default=[], metavar="DIR", help="a folder with your configurations")
    add("--study", action="store_true", help="leave the report in experiments/<name>/, unless overrides change the study")
    add("--no-report", action="store_true", help="only make the runs")
    return arguments


def plan(given: argparse.Namespace) -> tuple[Sweep, Study]:
    """The sweep and the study it serves.

    Raises:
        ConfigError: A name is no study, group or option, or an override is none.
    """
    grammar = OverridesParser.create()
    for text in given.overrides:
        try:
            override = grammar.parse_override(text)
        except HydraException:
            override = None
        if override is None or not override.key_or_group:
            raise ConfigError(f"'{text}' is no override", expected="KEY=VALUE")
        if override.is_sweep_override():
            raise ConfigError(f"'{text}' has several values", expected="one value for all runs",
                              hint="Write an option of conf/ablation for each value, or use flexhook train -m")
    names = given.names.split(",")
    study = find_study(names[0], given.config_dir) if len(names) == 1 else None
    if study is None:
        runs = [run for name in names for run in ablation_options(name, given.config_dir)]
        study = Study("-".join(n.replace("/", "-") for n in names), tuple(dict.fromkeys(runs)))
    overrides = (*study.overrides, *given.overrides)
    experiments = [o.partition("=")[2] for o in overrides if o.startswith("experiment=")]
    name = given.name or "_".join([study.name, *experiments[-1:]])
    seeds = study.seeds if given.seeds is None else given.seeds
    if seeds < 1:
        raise ConfigError(f"--seeds is {seeds}", expected="1 or more")
    sweep = Sweep(Path("outputs") / name, study.runs, tuple(range(seeds)), overrides, tuple(given.config_dir))
    return sweep, replace(study, seeds=seeds)


def other_than(study: Study, given: argparse.Namespace) -> list[str]:
    """What tells the runs asked for from a study's own, so that its page is not theirs; nothing of where they are made."""
    reasons = []
    for text in given.overrides:
        key = text.lstrip("+~").partition("=")[0]
        where = (key in NOT_NAMING and key != "experiment") or key.partition(".")[0] == "hydra" or not changes_results(key)
        if not where and text not in study.overrides:
            reasons.append(text)
    own = find_study(study.name, given.config_dir)
    if own is not None and study.seeds < own.seeds:
        reasons.append(f"{study.seeds} of {own.seeds} seeds")
    return reasons


def run(argv: Sequence[str]) -> int:
    """Run a sweep and report it: 0 when every run is done, 1 when some are not.

    Raises:
        ConfigError: A mistake in the arguments.
    """
    given = parser().parse_intermixed_args(argv)
    sweep, study = plan(given)
    status = sweep.run()
    finished, failures = sweep.finished(), sweep.failures()
    print(f"{len(finished)} of {len(study.runs) * len(sweep.seeds)} runs are done in {sweep.folder}")
    for line in failures:
        print(f"  not done: {line}")
    if finished and not given.no_report:
        from flexhook.sweeps.study_page import report_study

        reasons = other_than(study, given) if given.study else []
        folder = Path("experiments") / study.name if given.study and not reasons else sweep.folder / "report"
        if reasons:
            print(f"not the study as it stands ({', '.join(reasons)}): experiments/{study.name} is left as it is")
        try:
            report_study(study, sweep, folder)
            print(f"the report lies in {folder}")
        except FlexHookError as error:
            print(f"sweep: {error}", file=sys.stderr)
            status = status or 1
    return 1 if failures or status else 0
