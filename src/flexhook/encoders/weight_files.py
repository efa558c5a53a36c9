"""Reading files of weights without running code from them."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from flexhook.encoders.hub import first_line
from flexhook.errors import InputError
from flexhook.structures.digests import Digest

WEIGHTS = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")
WRAPPERS = ("model", "state_dict", "model_state_dict", "module")


class Settings(dict):
    """Stands for the options of a command line in a checkpoint: their names and values, nothing else."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.update(state)


def _harmless_globals() -> list[Any]:
    """What a pickle may name besides torch's own list: configurations, dictionaries in their place, and scalars."""
    scalar = np.float64(0).__reduce__()[0]
    scalars = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    return [(OrderedDict, "yacs.config.CfgNode"), (Settings, "argparse.Namespace"), *scalars, np.dtype, *kinds]


def read_checkpoint(path: str | Path) -> Any:
    """The content of a ``.pth``, ``.pt``, ``.bin`` or ``.ckpt`` file, tensors on the CPU.

    Only tensors, plain containers, numpy scalars, and configurations of yacs and argparse are built (the latter two as
    dictionaries); a file that names anything else, which could run code, is refused.

    Raises:
        InputError: There is no such file, it is not a checkpoint, or it names something that could run code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError("the file does not exist", file=path, expected="a checkpoint")
    try:
        with torch.serialization.safe_globals(_harmless_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error:")[2].strip()
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise InputError(
                f"reading it would run code: it names {named.group(1)}",
                file=path,
                expected="tensors, plain containers and at most a yacs configuration",
                hint="It was not read. Get the weights as .safetensors, or save them again as a plain state dict",
            ) from error
        raise InputError(
            f"it is not a checkpoint ({reason.splitlines()[0] if reason else first_line(error)})",
            file=path,
            expected="a file written by torch.save",
            hint="It was not read",
        ) from error
    except Exception as error:  # damaged bytes make torch's reader fail in any way there is
        raise InputError(
            f"it is not a readable checkpoint ({first_line(error)})",
            file=path,
            expected="a file written by torch.save",
            hint="Fetch it again; it may be cut short",
        ) from error


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file of weights, whether bare or under ``model`` or ``state_dict``.

    Args:
        path: ``.safetensors``, any file of ``torch.save``, or a folder that holds one as the hub names it.

    Raises:
        InputError: As :func:`read_checkpoint`, there are no tensors in it, or values are not finite.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = next((path / name for name in WEIGHTS if (path / name).is_file()), path / WEIGHTS[0])
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise InputError("the file does not exist", file=path, expected="weights")
        try:
            weights = safetensors.torch.load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"it is not a safetensors file ({first_line(error)})", file=path) from error
    else:
        weights = state_dict(read_checkpoint(path), path)
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{name} has values that are not finite", file=path, expected="weights", hint="Fetch it again")
    return weights


def state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name in what a checkpoint contained; ``path`` is for the message.

    Raises:
        InputError: There are none, or something else is among them.
    """
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        found = f"entries {', '.join(map(str, list(content)[:8]))}" if isinstance(content, Mapping) else type(content)
        raise InputError(
            f"there is no state dict in it but {found}",
            file=path,
            expected=f"tensors by name, at the top or under one of {', '.join(WRAPPERS)}",
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def weights_fingerprint(module: torch.nn.Module) -> str:
    """A digest of a module's class, parameters and buffers (names, shapes, values)."""
    found = Digest(type(module).__qualname__)
    for name, tensor in module.state_dict().items():
        found.add(f"{name}{tuple(tensor.shape)}{tensor.dtype}")
        found.add(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
    return found.hex()
