"""A folder of golden values of a one-stage model: its parts, recomputed and compared quantity by quantity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flexhook.convert.architecture import read_json
from flexhook.convert.one_stage import OneStageArchitecture, from_published
from flexhook.encoders.weight_files import read_weights
from flexhook.errors import InputError
from flexhook.methods.one_stage.losses import LossWeights
from flexhook.methods.one_stage.matching import FrameTruth, MatchCost
from flexhook.methods.one_stage.network import OneStageNetwork
from flexhook.methods.one_stage.online import Thresholds
from flexhook.parity.compare import TOLERANCE, Comparison, compare_gradients
from flexhook.parity.golden import read_arrays
from flexhook.parity.one_stage_parts import Found, clip_part, online_part, single_part

GRADIENT_TOLERANCE = {torch.float32: 2e-2, torch.float64: 1e-7}  # bilinear sampling has kinks: coarse in float32
PARTS = ("single", "clip", "online")
WEIGHTS, EXTRA = "state_dict.safetensors", "state_dict_extra_track_attn.safetensors"
FALSE_POSITIVES, TRACK_ATTENTION = "_fp", "_extra_track_attn"
REQUIRED = {
    "single": "memory hs init_reference references class_logits refer_logits boxes",
    "clip": "losses/ losses_raw_sums/ total num_samples grad_norms/ "
    "frame*_in_obj_ids frame*_in_ref_pts frame*_obj_ids frame*_matched_gt frame*_iou",
    "online": "frame*_track_ids frame*_track_boxes_xyxy_pixels frame*_track_scores frame*_track_refers frame*_result_rows "
    "events/",
}
"""What a part must hold at least, ``*`` for the number of every frame, a slash for a group with entries."""


class GivenEncoder(nn.Module):
    """Stands for an encoder whose outputs are given.

    Args:
        channels: Channels of the maps.
        width: Width of the words.
    """

    def __init__(self, channels: tuple[int, ...] = (), width: int = 0) -> None:
        super().__init__()
        self.channels, self.width = channels, width


@dataclass
class Settings:
    """What a folder's ``config.json`` says beside sizes.

    Attributes:
        cost: Of the matching.
        weights: Of the losses.
        thresholds: Of the run time.
        size: (height, width) of the original frames.
    """

    cost: MatchCost
    weights: LossWeights
    thresholds: Thresholds
    size: tuple[int, int]

    @classmethod
    def from_json(cls, file: Path) -> Settings:
        """Read them.

        Raises:
            InputError: One is missing.
        """
        config = read_json(file)
        try:
            cost, loss, runtime, output = (dict(config[k]) for k in ("cost", "loss", "runtime", "output"))
            return cls(
                MatchCost(cost["cls"], cost["l1"], cost["giou"]), LossWeights(**loss),
                Thresholds(runtime["birth"], runtime["miss_below"], runtime["miss_tolerance"], output["class_above"],
                           output["area_above"], output["refer_above"]),
                tuple(config.get("ori_size", (1, 1))),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"an entry is missing or malformed: {error}", file=file,
                             expected="cost, loss, runtime, output as in a golden folder of a one-stage model") from error


def is_one_stage_folder(folder: Path) -> bool:
    """Whether a folder is of this form: a model's description, and parts in folders of their own."""
    return (folder / "config.json").is_file() and bool(parts_of(folder))


def parts_of(folder: Path) -> list[Path]:
    """The folder's parts, in the order of their names' kinds."""
    found = [p for p in folder.iterdir() if p.is_dir() and (p / "outputs.npz").exists()] if folder.is_dir() else []
    return sorted(found, key=lambda p: (_kind(p.name) is None, PARTS.index(_kind(p.name) or "single"), p.name))


def compare_one_stage(folder: Path, dtype: torch.dtype) -> list[Comparison]:
    """Compare every quantity of every part.

    Args:
        folder: The folder.
        dtype: float32 or float64.

    Returns:
        One verdict per quantity, named ``<part>/<quantity>``; those of gradient norms begin with ``grad_norms/``.

    Raises:
        InputError: A file is missing or broken, or the weights are not those of the described model.
    """
    settings, rows = Settings.from_json(folder / "config.json"), []
    for part in parts_of(folder):
        kind = _kind(part.name)
        expected = _expected(part)
        if kind is None:
            rows.append(Comparison(part.name, np.nan, 0.0, f"not a part of this form, expected {', '.join(PARTS)}"))
            continue
        network = load_network(folder, TRACK_ATTENTION in part.name, dtype)
        inputs = _inputs(folder, part)
        try:
            found = _compute(kind, part.name, network, inputs, settings, expected, dtype)
        except (RuntimeError, IndexError, ValueError, KeyError) as error:
            raise InputError(f"the model cannot compute from the inputs ({error})", file=part / "inputs.npz") from error
        rows += _verdicts(kind, part.name, found, expected, dtype)
    return rows


def load_network(folder: Path, track_attention: bool, dtype: torch.dtype) -> OneStageNetwork:
    """The network that a folder describes, in evaluation mode, with the extra attention among tracks where asked for.

    Raises:
        InputError: The weights are not those of the described model.
    """
    state = {k: v.to(dtype) for k, v in read_weights(folder / WEIGHTS).items()}
    if track_attention:
        state |= {k: v.to(dtype) for k, v in read_weights(folder / EXTRA).items()}
    architecture = OneStageArchitecture.from_json(folder / "config.json", state)
    visual, text = GivenEncoder(channels=architecture.channels), GivenEncoder(width=architecture.text_width)
    network = architecture.build(visual, text).to(dtype).eval()
    network.load_state_dict(from_published(network, state, str(folder / WEIGHTS)).state)
    return network


def _compute(
    kind: str, name: str, network: Any, inputs: Mapping[str, np.ndarray], settings: Settings, expected: Mapping[str, Any],
    dtype: torch.dtype,
) -> Found:
    arrays = {k: torch.from_numpy(v) for k, v in inputs.items()}
    words = arrays["words"].to(dtype)
    maps: list[list[Tensor]] = []
    while f"frame{len(maps)}_map0" in arrays:
        maps.append([arrays[f"frame{len(maps)}_map{k}"].to(dtype)[None] for k in range(len(network.input_proj) - 1)])
    if kind == "single":
        return single_part(network, maps[0], words)
    if kind == "online":
        size = tuple(int(v) for v in expected.get("ori_size", np.array(settings.size)))
        return online_part(network, maps, words, settings.thresholds, size)  # type: ignore[arg-type]
    truths = [
        FrameTruth(arrays[f"frame{f}_gt_boxes"].to(dtype).reshape(-1, 4), arrays[f"frame{f}_gt_ids"].long().reshape(-1),
                   arrays[f"frame{f}_gt_is_ref"].to(dtype).reshape(-1))
        for f in range(len(maps))
    ]
    network.fp_ratio = 1.0 if FALSE_POSITIVES in name else 0.0
    return clip_part(network, maps, words, truths, settings.cost, settings.weights)


def _verdicts(kind: str, name: str, found: Found, expected: Mapping[str, Any], dtype: torch.dtype) -> list[Comparison]:
    """The verdicts of a part: everything that is expected, and whatever must be."""
    norms = {k.partition("/")[2]: v for k, v in expected.items() if k.startswith("grad_norms/")}
    values = {k: v for k, v in expected.items() if not k.startswith("grad_norms/") and k not in ("ori_size", "image")}
    rows = [_verdict(f"{name}/{k}", found.values.get(k), v, TOLERANCE[dtype]) for k, v in values.items()]
    for wanted in REQUIRED[kind].split():
        names = [wanted.replace("*", str(f)) for f in range(found.frames)] if "*" in wanted else [wanted]
        missing = [n for n in names if not any(k == n or (n.endswith("/") and k.startswith(n)) for k in expected)]
        rows += [Comparison(f"{name}/{n}", np.nan, 0.0, "missing in the folder") for n in missing]
    if norms or found.gradients:
        gradients = compare_gradients(found.gradients, {k: 0.0 if v is None else v for k, v in norms.items()},
                                      GRADIENT_TOLERANCE[dtype], TOLERANCE[dtype])
        rows += [Comparison(f"grad_norms/{name}/{r.quantity.partition('/')[2]}", r.difference, r.tolerance, r.note)
                 for r in gradients]
    return rows


def _verdict(name: str, found: np.ndarray | None, expected: Any, tolerance: float) -> Comparison:
    if found is None:
        return Comparison(name, np.nan, tolerance, "not a quantity of this model")
    expected = np.asarray(expected)
    exact = found.dtype.kind in "biu"
    if found.shape != expected.shape:
        return Comparison(name, np.nan, 0.0 if exact else tolerance, f"shape {expected.shape} instead of {found.shape}")
    if "pixels" in name or "rows" in name:  # float32 is coarser there
        tolerance *= max(1.0, float(np.abs(expected).max(initial=0.0))) if tolerance > 1e-6 else 1.0
    difference = np.abs(found.astype(float) - expected.astype(float))
    worst = np.nan if np.isnan(difference).any() else float(difference.max(initial=0.0))
    return Comparison(name, worst, 0.0 if exact else tolerance)


def _expected(part: Path) -> dict[str, Any]:
    """Arrays and numbers of a part, groups of ``scalars.json`` flat."""
    expected: dict[str, Any] = dict(read_arrays(part / "outputs.npz"))
    for name, value in read_json(part / "scalars.json").items():
        if isinstance(value, Mapping):
            expected |= {f"{name}/{k}": None if v is None else np.asarray(v) for k, v in value.items()}
        else:
            expected[name] = np.asarray(value)
    wrong = [k for k, v in expected.items() if v is not None and v.dtype.kind not in "biuf"]
    if wrong:
        raise InputError(f"{wrong[0]} is no number", file=part, expected="real numbers")
    nothing = [k for k, v in expected.items() if v is None and not k.startswith("grad_norms/")]
    if nothing:
        raise InputError(f"{nothing[0]} is null", file=part / "scalars.json", expected="a number")
    return expected


def _inputs(folder: Path, part: Path) -> dict[str, np.ndarray]:
    """A part's inputs; one without any has those of the part that it varies.

    Raises:
        InputError: There are none.
    """
    inputs = read_arrays(part / "inputs.npz")
    if not inputs:
        inputs = read_arrays(folder / str(_kind(part.name)) / "inputs.npz")
    if "words" not in inputs or "frame0_map0" not in inputs:
        raise InputError("there are no words or no maps", file=part / "inputs.npz", expected="words, frame0_map0, ...")
    return inputs


def _kind(name: str) -> str | None:
    return next((kind for kind in PARTS if re.match(rf"{kind}(_|$)", name)), None)
