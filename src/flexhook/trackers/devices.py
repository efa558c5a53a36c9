"""Where detectors compute."""

from __future__ import annotations

import torch

from flexhook.errors import ConfigError


def torch_device(name: str = "auto") -> torch.device:
    """The device of a name: ``"auto"`` is the first GPU, where there is one, else the CPU.

    Raises:
        ConfigError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.type == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"detector.device is {name!r}", expected="auto, cpu or cuda, and a GPU for cuda")
    return device
