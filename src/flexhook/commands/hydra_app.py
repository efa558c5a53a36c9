"""Makes a Hydra application out of a function that takes a composed configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from unittest import mock

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import flexhook.experiment.resolvers  # noqa: F401  makes the configurations' resolvers known
from flexhook.errors import ConfigError, FlexHookError
from flexhook.experiment.config_folder import config_folder


def hydra_command(config_name: str, task: Callable[[DictConfig], object]) -> Callable[[list[str]], int]:
    """A ``run(argv)`` for a command module: composes ``conf/<config_name>.yaml`` with the overrides and calls ``task``.

    Mistakes in the configuration or input (also those found while an object is instantiated) become one
    :class:`FlexHookError`; in a multirun the jobs after a failing one still run.
    """

    def run(argv: list[str]) -> int:
        app = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(task)
        with mock.patch.object(sys, "argv", [f"flexhook-{config_name}", *argv]), \
             mock.patch.dict(os.environ, {"HYDRA_FULL_ERROR": "1"}):
            try:
                app()
            except SystemExit as stop:
                return int(stop.code or 0)
            except (HydraException, OmegaConfBaseException) as error:
                raise input_error_behind(error) or ConfigError(
                    str(error).strip(), hint="`--cfg job` prints the composed configuration, `--help` the groups"
                ) from error
            except ValueError as error:
                if "Config group override" not in str(error):
                    raise
                raise ConfigError(str(error), expected="GROUP=NAME", hint="GROUP=none leaves an overlay out") from error
        return 0

    return run


def input_error_behind(error: BaseException) -> FlexHookError | None:
    """The project's own error that led to ``error``, if one did: Hydra wraps what a constructor raises."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FlexHookError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
