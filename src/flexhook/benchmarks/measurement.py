"""What benchmarks of the model share: the machine in words, clocks, peak memory."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """Processor, cores, threads, load, versions: what a measured table must say."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] \
        if cpuinfo.is_file() else []
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "transformers"))
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} | Python {platform.python_version()}, {packages}"
    )


def peak_memory() -> int:
    """Greatest memory of this process so far, imported libraries included, bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Clock:
    """Wall and CPU seconds of a block; on a machine that others use too, the CPU seconds say more.

    Attributes:
        wall: Elapsed seconds.
        cpu: Seconds of all threads of this process.
    """

    wall = cpu = 0.0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Clock]:
        """Add the time of a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield self
        finally:
            self.wall += time.perf_counter() - wall
            self.cpu += time.process_time() - cpu
