"""Makes a Hydra application out of a function that takes a composed configuration."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from unittest import mock

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import flexhook.configuration.resolvers  # noqa: F401  makes the configurations' resolvers known
from flexhook.commands.command_line import (
    check_appended,
    explain_unknown_key,
    explain_unknown_option,
    help_text,
    quote_literals,
)
from flexhook.commands.untrained import explain_method
from flexhook.configuration.mistakes import as_mistake, in_one_line
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import FlexHookError, Stopped


def hydra_command(config_name: str, task: Callable[[DictConfig], object]) -> Callable[[list[str]], int]:
    """A ``run(argv)`` for a command module: composes ``conf/<config_name>.yaml`` with the overrides and calls ``task``.

    Mistakes in the configuration or input (also those found while an object is instantiated) become one
    :class:`FlexHookError`; in a multirun the jobs after a failing one still run, and those that failed are listed at the
    end.
    """

    def run(argv: list[str]) -> int:
        failed: list[str] = []  # jobs of a multirun
        begun: list[int] = []  # jobs that have not come to their end
        mistakes: list[FlexHookError] = []  # of a single job

        @functools.wraps(task)
        def job(cfg: DictConfig) -> object:
            begun.append(1)
            try:
                check_appended(cfg, config_name, HydraConfig.get().overrides.task)
                result = task(cfg)
                begun.pop()
                return result
            except Exception as error:
                begun.pop()
                known, of = as_mistake(error), HydraConfig.get()
                if of.mode == RunMode.MULTIRUN:
                    failed.append(f"  {of.job.num} ({' '.join(of.overrides.task)}): {in_one_line(error)}")
                    raise known or error from None
                if known is None:
                    raise
                mistakes.append(known)  # kept from Hydra, which adds lines of its own
                return None

        if any(arg in ("-h", "--help") for arg in argv):
            print(help_text(config_name))
            return 0
        argv = quote_literals(argv)
        app = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(job)
        with mock.patch.object(sys, "argv", [f"flexhook-{config_name}", *argv]), \
             mock.patch.dict(os.environ, {"HYDRA_FULL_ERROR": "1"}):
            try:
                app()
            except Stopped:
                raise
            except SystemExit as stop:
                if begun and not stop.code:  # a library ended the process in the middle of a job
                    raise FlexHookError(f"{config_name} was ended before it was done.") from None
                return stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            except Exception as error:
                known = (explain_method(error, config_name) or explain_unknown_key(error, config_name)
                         or explain_unknown_option(error) or as_mistake(error))
                if failed:
                    known = known and FlexHookError("jobs that failed:\n" + "\n".join(failed))
                if known is None:
                    raise
                raise known from error
        if mistakes:
            raise mistakes[0]
        return 0

    return run
