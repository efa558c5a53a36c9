"""Peak memory of this process or of a GPU."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from typing import Any


def peak_memory(device: Any = None) -> int:
    """The largest amount of memory in use since the process began or :func:`reset_peak_memory` was called, in bytes.

    Args:
        device: A ``torch.device``. On a GPU, what PyTorch allocated there counts, otherwise the resident memory of this
            process, imported libraries included.
    """
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_memory() -> None:
    """Measure the peak from now on, where the system supports it (Linux, CUDA)."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
