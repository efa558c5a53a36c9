"""Writing a folder of golden values with this model, so that later versions can be held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch.nn import functional as F

from flexhook.convert.architecture import Architecture
from flexhook.convert.published import to_published
from flexhook.errors import InputError
from flexhook.methods.flexhook.network import FlexHook
from flexhook.parity.compare import compute, load
from flexhook.parity.golden import read_golden
from flexhook.structures.files import atomic_write, read_json, write_json


def record(folder: Path, seed: int = 0, windows: int = 2) -> list[Path]:
    """Compute a folder's outputs in float64 and write them; what is missing before that is drawn.

    Args:
        folder: It holds at least ``config.json``. Weights and inputs that are there stay.
        seed: Seed of drawn weights and inputs.
        windows: Number of windows of drawn inputs.

    Returns:
        The files that were written.

    Raises:
        InputError: There is no ``config.json``, or it describes no model.
    """
    architecture = Architecture.from_json(folder / "config.json")
    state, inputs = folder / "state_dict.safetensors", folder / "inputs.npz"
    outputs, scalars = folder / "outputs.npz", folder / "scalars.json"
    written = [file for file in (state, inputs) if not file.exists()]
    torch.manual_seed(seed)
    if state in written:
        model = draw_weights(architecture.build())
        tensors = {k: v.contiguous() for k, v in to_published(model, model.state_dict()).state.items()}
        with atomic_write(state) as temporary:
            safetensors.torch.save_file(tensors, temporary)
    if inputs in written:
        sentences = read_json(folder / "config.json").get("num_expressions", 3)
        _save_arrays(inputs, draw_inputs(architecture, windows, sentences))
    golden = read_golden(folder, outputs=False)
    found, gradients = compute(load(golden, torch.float64, str(state)), golden, torch.float64)
    numbers = {k: float(found.pop(k)) for k in ("regulariser", "loss") if k in found}
    _save_arrays(outputs, found)
    write_json(scalars, {**numbers, "grad_norms": gradients})
    return [*written, outputs, scalars]


def draw_weights(model: FlexHook) -> FlexHook:
    """Add noise to every tensor of a fresh model, so that none is left at zero or one."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *(b for n, b in model.named_buffers() if "running" in n)):
            tensor.add_(0.05 * torch.randn_like(tensor).abs() if tensor.ndim == 1 else 0.05 * torch.randn_like(tensor))
    return model


def draw_inputs(architecture: Architecture, windows: int, sentences: int) -> dict[str, np.ndarray]:
    """Smooth images, boxes of which the first window's hang over the border, ids, masks and labels.

    Raises:
        InputError: The text encoder's description does not tell its vocabulary.
    """
    (height, width), frames, length = architecture.image_size, architecture.window_frames, architecture.text_length
    coarse = torch.rand(windows * frames, 3, height // 16, width // 16)
    images = F.interpolate(coarse, size=(height, width), mode="bilinear").mul(255).byte()
    corner = torch.rand(windows, frames, 2, dtype=torch.float64) * 0.6
    corner[0] -= 0.1
    boxes = torch.cat([corner, corner + 0.15 + 0.2 * torch.rand(windows, frames, 2, dtype=torch.float64)], -1)
    sizes: dict[str, Any] = dict(architecture.text)
    vocabulary = sizes.get("vocab_size", sizes.get("vocabulary"))
    if not isinstance(vocabulary, int):
        raise InputError("the text encoder's vocabulary is not described", expected="vocab_size in config.json")
    tokens = torch.randint(3, length + 1, (windows, sentences, 1))
    mask = torch.arange(length) < tokens
    ids = torch.randint(3, vocabulary, (windows, sentences, length))
    ids = torch.where(mask, ids, int(sizes.get("pad_token_id", 0)))
    labels = torch.arange(windows * sentences).view(windows, sentences) % 2
    return {
        "images_uint8": images.unflatten(0, (windows, frames)).permute(0, 1, 3, 4, 2).numpy(),
        "boxes_xyxy": boxes.numpy(),
        "input_ids": ids.numpy(),
        "attention_mask": mask.long().numpy(),
        "labels": labels.numpy(),
    }


def _save_arrays(file: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
