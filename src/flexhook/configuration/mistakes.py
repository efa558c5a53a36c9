"""Whose mistake an exception is: the configuration's or the input's, which one message explains, or the program's."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures.process import BrokenProcessPool

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from flexhook.errors import ConfigError, FlexHookError

_KILLED_WORKER = re.compile(r"DataLoader worker \(pid[^)]*\) is killed by signal: (\w+)")


def as_mistake(error: Exception) -> FlexHookError | None:
    """The error as a message for whoever wrote the configuration or the input; None for an error of the program."""
    known = input_error_behind(error)
    if known is not None:
        return known
    if isinstance(error, YAMLError):
        return yaml_mistake(error)
    killed = _KILLED_WORKER.search(str(error))
    if killed or isinstance(error, BrokenProcessPool):
        by = f" by signal {killed[1]}" if killed else ""
        return FlexHookError(f"a worker process was killed{by} (out of memory?). Start fewer: sampling.num_workers of train, "
                             "processes of evaluate, --workers of data.")
    refused = refused_submission(error)
    if refused is not None:
        return refused
    if isinstance(error, HydraException | OmegaConfBaseException):
        return ConfigError(str(error).strip() or str(error.__cause__),
                           hint="`--cfg job` prints the composed configuration, `--help` the groups")
    if isinstance(error, ValueError) and "Config group override" in str(error):
        return ConfigError(str(error), expected="GROUP=NAME", hint="GROUP=none leaves an overlay out")
    return None


def refused_submission(error: Exception) -> ConfigError | None:
    """A message for a job that was not submitted: ``sbatch`` refused it, or there is no SLURM; None for another error."""
    cause = error.__cause__
    if isinstance(cause, subprocess.CalledProcessError) and cause.cmd[0] == "sbatch":
        said = " ".join((cause.stderr or "").split()) or f"exit status {cause.returncode}"
        return ConfigError(f"sbatch refused the job: {said}", expected="options that the cluster accepts",
                           hint="Set hydra.launcher.partition, account, nodes, gpus_per_node, mem_gb or timeout_min; "
                                "hydra.launcher.additional_parameters takes every other option of sbatch")
    if type(error).__name__ == "FailedSubmissionError":  # of submitit, which need not be installed: sbatch ended well
        said = " ".join(str(error).split())
        return ConfigError(f"sbatch did not say which job it has submitted: {said}", expected="`Submitted batch job NUMBER`",
                           hint="Run sbatch by hand: what stands before it on the PATH, such as a wrapper, may change its "
                                "output; `squeue --me` tells whether the job waits")
    missing = isinstance(error, FileNotFoundError) and error.filename == "sbatch"
    if missing or (isinstance(error, RuntimeError) and 'Could not detect "srun"' in str(error)):
        return ConfigError("there is no SLURM on this machine", expected="srun and sbatch on the PATH",
                           hint="Start it on the cluster's login node, or choose launcher=local, joblib or submitit_local")
    return None


def input_error_behind(error: BaseException) -> FlexHookError | None:
    """The project's own error that led to ``error``, if one did: Hydra wraps what a constructor raises."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FlexHookError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def in_one_line(error: BaseException) -> str:
    """What went wrong, for a list of failures: Hydra's lines joined without the key's, and the cause where it is not told."""
    error = input_error_behind(error) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("full_key:")]
    text = " ".join(lines if len(lines) <= 4 else [lines[0], lines[-1]])
    if isinstance(error, FlexHookError):
        return text or type(error).__name__
    cause = error.__cause__
    if isinstance(error, HydraException | OmegaConfBaseException):
        why = "" if cause is None else " ".join(str(cause).split())
        return f"{text} ({type(cause).__name__}: {why})" if why and why not in text else text
    return f"{type(error).__name__}: {text}" if text else repr(error)


def yaml_mistake(error: YAMLError) -> ConfigError:
    """A message for a configuration file that is no YAML, with its line where the parser knows it."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    said = error.problem if isinstance(error, MarkedYAMLError) else " ".join(str(error).split())
    file, line = (None, None) if mark is None else (mark.name, mark.line + 1)
    return ConfigError(f"not valid YAML: {said}", file=file, line=line, expected="KEY: VALUE lines", hint="Mend that line")
