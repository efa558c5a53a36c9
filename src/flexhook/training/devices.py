"""The devices of this machine: a GPU for each process of a sweep, and the precision that is fast.

A process takes a free GPU by locking a file; the lock ends with the process.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from flexhook.configuration.resolvers import visible_gpus
from flexhook.errors import InputError

_held: IO | None = None


def take_gpu(gpus: Sequence[str] | None = None, folder: Path | None = None) -> str | None:
    """Let this process see one GPU that no other process of a sweep on this machine has.

    CUDA must not have been started yet. A process that has one keeps it, also for its next run.

    Args:
        gpus: The GPUs to choose from; by default those that are visible.
        folder: Where the lock files lie.

    Returns:
        The GPU's name, now alone in CUDA_VISIBLE_DEVICES; None on a machine without one.

    Raises:
        InputError: More processes than GPUs.
    """
    global _held
    if _held is not None:
        return os.environ["CUDA_VISIBLE_DEVICES"]
    gpus = visible_gpus() if gpus is None else gpus
    if not gpus:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"flexhook-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    for gpu in gpus:
        lock = open(folder / gpu.replace("/", "-"), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held, os.environ["CUDA_VISIBLE_DEVICES"] = lock, gpu
        return gpu
    raise InputError(f"all {len(gpus)} GPUs are taken by other runs of a sweep", expected="a GPU per process",
                     hint=f"Lower hydra.launcher.n_jobs to {len(gpus)}")


def fast_precision(accelerator: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """``bf16-mixed`` where the processor multiplies bfloat16 in hardware, else ``32-true``.

    Args:
        accelerator: Lightning's name of it: ``auto``, ``cpu``, ``gpu``.
        cpuinfo: Linux's description of the processor; without it, ``32-true`` on a CPU.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = cpuinfo.is_file() and "avx512_bf16" in cpuinfo.read_text().split()
    return "bf16-mixed" if fast else "32-true"
