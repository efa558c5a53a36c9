"""A whole checkpoint of the authors to one of ours, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flexhook import __version__
from flexhook.convert.architecture import Architecture, infer
from flexhook.convert.one_stage import to_published as one_stage_published
from flexhook.convert.published import Mapped, from_published, to_published
from flexhook.encoders.weight_files import WRAPPERS, read_checkpoint, read_weights, state_dict
from flexhook.methods.one_stage.network import OneStageNetwork
from flexhook.structures.files import atomic_write


@dataclass
class Published:
    """A checkpoint of the authors, read.

    Attributes:
        state: Tensors under their published names.
        others: What else the file holds, as plain containers.
    """

    state: dict[str, Tensor]
    others: dict[str, Any]


def read_published(file: Path) -> Published:
    """Read a checkpoint of the authors without running code from it; a bare state dict or ``.safetensors`` will do.

    Raises:
        InputError: As :func:`~flexhook.encoders.weight_files.read_checkpoint`.
    """
    if file.suffix == ".safetensors":
        return Published(read_weights(file), {})
    content = read_checkpoint(file)
    state = state_dict(content, file)
    wrapped = isinstance(content, Mapping) and any(isinstance(content.get(w), Mapping) for w in WRAPPERS)
    return Published(state, {k: plain(v) for k, v in content.items() if k not in WRAPPERS} if wrapped else {})


def convert(
    published: Published,
    file: str,
    architecture: Architecture | None = None,
    text_length: int | None = None,
) -> tuple[Architecture, nn.Module, Mapped]:
    """A model of ours with the weights of a published checkpoint.

    Args:
        published: The checkpoint.
        file: Its name, for messages.
        architecture: The model's sizes; read off the tensors where it is None.
        text_length: Tokens per sentence, where it is not the checkpoint's.

    Returns:
        The sizes, the model, and the tensors with what is to be reported of them.

    Raises:
        InputError: A tensor is missing, left over or of the wrong shape.
    """
    notices: list[str] = []
    if architecture is None:
        architecture, notices = infer(published.state, file)
    if text_length is not None:
        architecture = replace(architecture, text_length=text_length)
    model = architecture.build()
    mapped = from_published(model, published.state, file)
    mapped.notices = [*notices, *mapped.notices]
    return architecture, model, mapped


def write_ours(
    file: Path, mapped: Mapped, config: Mapping[str, Any], others: Mapping[str, Any], part: str = "model"
) -> None:
    """Write a checkpoint that every command takes: tensors and plain containers only.

    Args:
        file: Its name.
        mapped: The tensors under our names.
        config: The composed configuration that builds the model.
        others: What else the published file held; kept for the way back.
        part: Name of the network in its LightningModule.
    """
    content = {
        "state_dict": {f"{part}.{k}": v for k, v in mapped.state.items()},
        "flexhook": {"version": __version__, "config": dict(config), "frozen": {}, "published": dict(others)},
    }
    with atomic_write(file) as temporary:
        torch.save(content, temporary)


def write_published(file: Path, model: nn.Module, others: Mapping[str, Any]) -> Mapped:
    """Write a model's weights under the published names; arguments as :func:`write_ours`.

    Raises:
        InputError: The model has a part that the published code has not.
    """
    mapped = one_stage_published(model) if isinstance(model, OneStageNetwork) else to_published(model, model.state_dict())
    with atomic_write(file) as temporary:
        torch.save({**others, "model": mapped.state}, temporary)
    return mapped


def plain(value: Any) -> Any:
    """Mappings as dictionaries and numpy scalars as numbers, all the way down."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value) if type(value) in (list, tuple) else [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
