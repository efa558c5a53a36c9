"""What benchmarks of the model share: the machine in words, clocks."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any


def add_accelerator(parser: ArgumentParser) -> None:
    """The argument that says where a benchmark of the model computes."""
    parser.add_argument("--accelerator", choices=("auto", "cpu"), default="auto", help="auto takes the first GPU, if any")


def device_clock(device: Any) -> Callable[[], float]:
    """Seconds at which all that was asked of a ``torch.device`` so far is done: calls return before a GPU is."""
    import torch

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def machine(device: Any = None) -> str:
    """Processor, cores, threads, load, versions and the GPU, if that is the device: what a measured table must say."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] \
        if cpuinfo.is_file() else []
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "transformers"))
    gpu = f"{torch.cuda.get_device_name(device)} | " if device is not None and device.type == "cuda" else ""
    return (
        f"{gpu}{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} | Python {platform.python_version()}, {packages}"
    )


class Clock:
    """Wall and CPU seconds of a block; on a machine that others use too, the CPU seconds say more.

    Args:
        now: Tells the wall clock's seconds.

    Attributes:
        wall: Elapsed seconds.
        cpu: Seconds of all threads of this process.
    """

    wall = cpu = 0.0

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Clock]:
        """Add the time of a block."""
        wall, cpu = self._now(), time.process_time()
        try:
            yield self
        finally:
            self.wall += self._now() - wall
            self.cpu += time.process_time() - cpu
