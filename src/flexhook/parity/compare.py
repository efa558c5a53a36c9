"""What this model computes from golden inputs, compared with the golden outputs quantity by quantity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexhook.convert.published import from_published, published_names
from flexhook.errors import InputError
from flexhook.methods.flexhook.network import FlexHook
from flexhook.methods.two_stage.losses import ReferencePointRegulariser
from flexhook.parity.golden import Golden

TOLERANCE = {torch.float32: 5e-5, torch.float64: 1e-9}
GRADIENT_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-7}
ORDER = ("feature_mean", "feature_abs", "feature_corner", "text", "traj", "ref", "logits", "regulariser", "loss")
ZERO = 1e-12  # an expected gradient norm below this share of the largest is zero up to rounding


@dataclass
class Comparison:
    """One quantity's verdict.

    Attributes:
        quantity: Its name in the folder.
        difference: Largest difference, absolute or for gradient norms relative; NaN where nothing could be compared.
        tolerance: What is allowed.
        note: Why nothing could be compared, or where the largest difference is.
    """

    quantity: str
    difference: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.difference <= self.tolerance


def compare(golden: Golden, dtype: torch.dtype, file: str) -> list[Comparison]:
    """Compare every quantity of a folder, and every one that a folder must have.

    Args:
        golden: The folder's content.
        dtype: float32 or float64.
        file: Name of the weights, for messages.

    Returns:
        One verdict per quantity; gradient norms are a quantity per parameter, named ``grad_norms/<parameter>``.

    Raises:
        InputError: The weights are not those of the described model.
    """
    found, gradients = compute(load(golden, dtype, file), golden, dtype)
    return [
        *compare_values(found, golden.expected, TOLERANCE[dtype]),
        *compare_gradients(gradients, golden.grad_norms, GRADIENT_TOLERANCE[dtype], TOLERANCE[dtype]),
    ]


def load(golden: Golden, dtype: torch.dtype, file: str) -> FlexHook:
    """The model that a folder describes, with its weights, in evaluation mode; arguments as :func:`compare`.

    Raises:
        InputError: The weights are not those of the described model.
    """
    model = golden.architecture.build().to(dtype).eval()
    model.load_state_dict(from_published(model, golden.state, file).state)
    return model


def compute(model: FlexHook, golden: Golden, dtype: torch.dtype) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Every quantity of a folder, by the model's own forward and backward pass.

    Args:
        model: The model with the folder's weights, in evaluation mode.
        golden: The folder's content.
        dtype: The model's.

    Raises:
        InputError: The inputs are none the model can take, such as ids beyond the vocabulary.

    Returns:
        Values by quantity, and gradient norms by published parameter name.
    """
    batch = golden.batch(dtype)
    windows, sentences = golden.inputs["labels"].shape
    seen: dict[str, Tensor] = {}
    maps: list[Tensor] = []

    def keep(name: str, output: Tensor) -> None:
        seen[name] = output

    temporal: Any = model.temporal
    hooks = [
        mlp.register_forward_hook(lambda _m, _i, out, s=s: keep(f"traj_tokens_{s}", out)) for s, mlp in enumerate(temporal.mlp)
    ]
    hooks.append(model.visual.register_forward_hook(lambda _m, _i, out: maps.extend(out)))
    try:
        prediction = model(batch)
    except (RuntimeError, IndexError, ValueError) as error:
        raise InputError(f"the model cannot compute from the inputs ({error})", file="inputs.npz") from error
    finally:
        for hook in hooks:
            hook.remove()
    loss = golden.loss(prediction.logits, batch.labels)
    if prediction.points is not None:
        seen["regulariser"] = ReferencePointRegulariser(golden.regulariser_weight)(prediction.points)
        loss = loss + seen["regulariser"]
        seen |= {f"ref_coords_{s}": p.flatten(0, 1) for s, p in enumerate(prediction.points)}
    seen |= {"logits": prediction.logits, "loss": loss}
    loss.backward()
    for s, m in enumerate(maps):
        seen[f"feature_mean_{s}"] = m.mean((0, 2, 3))
        seen[f"feature_abs_mean_{s}"] = m.abs().mean((0, 2, 3))
        seen[f"feature_corner_{s}"] = m[:2, :, :3, :5]
    with torch.no_grad():  # the model cuts the padding off; the folder has it
        seen["text_tokens"] = model.text(batch.ids, batch.mask).unflatten(0, (windows, sentences))
    names = published_names(model)
    gradients = {
        names[k]: 0.0 if p.grad is None else float(torch.linalg.vector_norm(p.grad)) for k, p in model.named_parameters()
    }
    return {k: v.detach().double().numpy() for k, v in seen.items()}, gradients


def compare_values(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float) -> list[Comparison]:
    """Largest absolute difference of every quantity that is computed or expected."""
    rows = []
    for name in sorted({*found, *expected}, key=_order):
        if name not in expected and name == "regulariser" and not found[name]:
            continue
        if name not in expected:
            row = Comparison(name, np.nan, tolerance, "missing in the folder")
        elif name not in found:
            zero = name == "regulariser" and not np.any(expected[name])  # without reference points there is none
            row = Comparison(name, 0.0 if zero else np.nan, tolerance, "" if zero else "not a quantity of this model")
        elif found[name].shape != expected[name].shape or not expected[name].size:
            row = Comparison(name, np.nan, tolerance, f"shape {expected[name].shape} instead of {found[name].shape}")
        else:
            difference = np.abs(found[name] - expected[name].astype(float))
            row = Comparison(name, float(difference.max()), tolerance)
        rows.append(row)
    return rows


def compare_gradients(
    found: Mapping[str, float], expected: Mapping[str, float], relative: float, absolute: float
) -> list[Comparison]:
    """Relative difference of every gradient norm; absolute where the expected one is zero up to rounding."""
    largest = max((v for v in expected.values() if np.isfinite(v)), default=0.0)
    rows = []
    for name in [*found, *(k for k in expected if k not in found)]:
        quantity = f"grad_norms/{name}"
        if name not in expected:
            rows.append(Comparison(quantity, np.nan, relative, "missing in the folder"))
        elif name not in found:
            rows.append(Comparison(quantity, np.nan, relative, "not a parameter of this model"))
        elif abs(expected[name]) <= ZERO * largest:
            rows.append(Comparison(quantity, abs(found[name] - expected[name]), absolute, "zero: compared absolutely"))
        else:
            rows.append(Comparison(quantity, abs(found[name] - expected[name]) / abs(expected[name]), relative))
    return rows


def table(rows: list[Comparison]) -> str:
    """The verdicts as text: gradient norms that agree in one line, everything else in a line each."""
    gradients = [r for r in rows if r.quantity.startswith("grad_norms/")]
    agreeing = [r for r in gradients if r.passed]
    shown = [r for r in rows if r not in agreeing]
    if agreeing:
        worst = max(agreeing, key=lambda r: r.difference / r.tolerance)
        name = worst.quantity.partition("/")[2]
        shown.append(Comparison(f"grad_norms ({len(agreeing)} of {len(gradients)})", worst.difference, worst.tolerance,
                                f"relative; largest: {name}"))  # fmt: skip
    width = max((len(r.quantity) for r in shown), default=8)
    lines = [f"{'quantity':<{width}}  difference  tolerance"]
    for r in shown:
        verdict = "ok" if r.passed else "FAIL"
        lines.append(f"{r.quantity:<{width}}  {r.difference:10.2e}  {r.tolerance:9.0e}  {verdict:4}  {r.note}".rstrip())
    return "\n".join(lines)


def _order(name: str) -> tuple[int, str]:
    """In the order in which the model computes them."""
    return next((i for i, kind in enumerate(ORDER) if name.startswith(kind)), len(ORDER)), name
