"""Work spread over processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from flexhook.errors import ConfigError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def spread(function: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int | None = None) -> list[_Result]:
    """The function's results in the order of the jobs.

    Args:
        function: A function at the top level of its module.
        jobs: Its arguments.
        workers: Processes; by default one per processor this process may use. With one, nothing is started.

    Raises:
        ConfigError: ``workers`` is less than 1.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"the number of workers is {workers}", expected="1 or more")
    jobs = list(jobs)
    workers = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    if workers <= 1:
        return [function(job) for job in jobs]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(function, jobs))
