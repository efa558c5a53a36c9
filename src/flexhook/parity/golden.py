"""A folder of golden values: a model's description, weights, inputs and what it must compute from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexhook.convert.architecture import Architecture
from flexhook.encoders.weight_files import read_weights
from flexhook.errors import InputError
from flexhook.methods.two_stage.losses import EntropyWeightedCrossEntropy, FocalLoss, WeightedCrossEntropy
from flexhook.methods.two_stage.referring_model import WindowBatch
from flexhook.structures.files import read_json
from flexhook.structures.result_files import DAMAGED

LOSSES = {  # by a word of the type; the first that is in it
    "focal": FocalLoss,
    "entropy_weighted": EntropyWeightedCrossEntropy,
    "cross_entropy": WeightedCrossEntropy,
    "ce": WeightedCrossEntropy,
}
INPUTS = {
    "images_uint8": ("windows", "frames", "height", "width", 3),
    "boxes_xyxy": ("windows", "frames", 4),
    "input_ids": ("windows", "sentences", "tokens"),
    "attention_mask": ("windows", "sentences", "tokens"),
    "labels": ("windows", "sentences"),
}


@dataclass
class Golden:
    """A folder's content.

    Attributes:
        architecture: The model's sizes.
        loss: The loss over logits and labels.
        regulariser_weight: Factor of the reference points' regulariser.
        state: Published tensors.
        inputs: Arrays of ``inputs.npz``.
        expected: Arrays of ``outputs.npz`` and the numbers of ``scalars.json``, by quantity.
        grad_norms: Expected gradient norm of each published parameter.
    """

    architecture: Architecture
    loss: WeightedCrossEntropy
    regulariser_weight: float
    state: dict[str, Tensor]
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    grad_norms: dict[str, float]

    def batch(self, dtype: torch.dtype) -> WindowBatch:
        """The inputs as the model takes them: B windows of T frames and N sentences, none shared."""
        images = torch.from_numpy(self.inputs["images_uint8"])
        windows, frames = images.shape[:2]
        ids = torch.from_numpy(self.inputs["input_ids"])
        return WindowBatch(
            frame=torch.arange(windows * frames).view(windows, frames),
            boxes=torch.from_numpy(self.inputs["boxes_xyxy"]).to(dtype),
            mask=torch.from_numpy(self.inputs["attention_mask"]).flatten(0, 1) != 0,
            expression=torch.arange(windows * ids.shape[1]).view(windows, ids.shape[1]),
            images=images.flatten(0, 1).permute(0, 3, 1, 2),
            ids=ids.flatten(0, 1).long(),
            labels=torch.from_numpy(self.inputs["labels"]).long(),
        )


def read_golden(folder: Path, outputs: bool = True) -> Golden:
    """Read a folder of golden values.

    Args:
        folder: The folder.
        outputs: Whether to read the expected values too.

    Raises:
        InputError: A file is missing or broken, or an input is missing or of another shape than the others.
    """
    if not folder.is_dir():
        raise InputError("the folder does not exist", file=folder, expected="a folder of golden values")
    config = read_json(folder / "config.json")
    scalars = read_json(folder / "scalars.json") if outputs else {}
    loss = config.get("loss")
    kind = str(loss.get("type")) if isinstance(loss, Mapping) else ""
    make_loss = next((made for word, made in LOSSES.items() if word in kind), None)
    if not isinstance(loss, Mapping) or make_loss is None:
        raise InputError(f"the loss is {loss}", file=folder / "config.json",
                         expected="a type such as entropy_weighted_ce, focal_ce or weighted_ce")
    norms = scalars.pop("grad_norms", {})
    if not isinstance(norms, dict) or not all(isinstance(v, int | float) for v in [*norms.values(), *scalars.values()]):
        raise InputError("it holds something else than numbers", file=folder / "scalars.json")
    arrays = read_arrays(folder / "outputs.npz") if outputs else {}
    _numeric(arrays, folder / "outputs.npz")
    twice = sorted(arrays.keys() & scalars.keys())
    if twice:
        raise InputError(f"{twice[0]} is in outputs.npz too", file=folder / "scalars.json", expected="every quantity once")
    inputs = read_arrays(folder / "inputs.npz")
    _numeric(inputs, folder / "inputs.npz")
    architecture = Architecture.from_json(folder / "config.json")
    check_inputs(inputs, architecture, folder / "inputs.npz")
    return Golden(
        architecture,
        make_loss(loss.get("positive_weight", 0.7), loss.get("gamma", 1.0)),
        loss.get("regulariser_weight", 0.01),
        read_weights(folder / "state_dict.safetensors"),
        inputs,
        arrays | {k: np.asarray(v) for k, v in scalars.items()},
        norms,
    )


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` file.

    Raises:
        InputError: The file is missing or broken.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise InputError("the file does not exist", file=file, expected="arrays by name") from None
    except DAMAGED as error:
        raise InputError(f"it is not an archive of arrays ({error})", file=file) from error


def _numeric(arrays: Mapping[str, np.ndarray], file: Path) -> None:
    wrong = [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    if wrong:
        raise InputError(f"the array {wrong[0]} holds {arrays[wrong[0]].dtype}", file=file, expected="real numbers")


def check_inputs(inputs: Mapping[str, np.ndarray], architecture: Architecture, file: Path) -> None:
    """Refuse inputs that are missing or whose shapes do not agree with the model's sizes or each other.

    Raises:
        InputError: One is missing or of another shape.
    """
    height, width = architecture.image_size
    sizes: dict[Any, int] = {"frames": architecture.window_frames, "height": height, "width": width}
    sizes["tokens"] = architecture.text_length
    for name, dimensions in INPUTS.items():
        if name not in inputs:
            raise InputError(f"the array {name} is missing", file=file, expected=", ".join(INPUTS))
        shape = inputs[name].shape
        known = [d if isinstance(d, int) else sizes.setdefault(d, n) for d, n in zip(dimensions, shape, strict=False)]
        if len(shape) != len(dimensions) or list(shape) != known:
            raise InputError(
                f"the array {name} has shape {shape}",
                file=file,
                expected=f"({', '.join(str(sizes.get(d, d)) for d in dimensions)})",
            )
