"""Which precision is fast on the machine at hand."""

from __future__ import annotations

import torch


def fast_precision(accelerator: str) -> str:
    """``bf16-mixed`` where the processor multiplies bfloat16 in hardware, else ``32-true``.

    Args:
        accelerator: Lightning's name of it: ``auto``, ``cpu``, ``gpu``.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if fast else "32-true"
