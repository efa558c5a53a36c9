"""Learning curves from the metrics file of Lightning's CSVLogger."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from flexhook.errors import InputError
from flexhook.structures.files import atomic_write

# The palette of Okabe and Ito, as in the other pictures.
TRAIN, VALIDATION = "#0072B2", "#D55E00"
SCORE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
MANY_VALUES = 20  # from here on the training's loss is smoothed

Curve = tuple[np.ndarray, np.ndarray]


def read_metrics(path: str | Path) -> dict[str, Curve]:
    """Read a metrics file: for every column its (steps, values), finite values only, in the order of the steps.

    A last line that was cut off while it was written is left out.

    Raises:
        InputError: The file is missing, empty, has no ``step`` column or a value that is no number.
    """
    hint = "Train again, or name the metrics.csv that training wrote"
    expected = "the metrics.csv of Lightning's CSVLogger, with a column 'step'"
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            table = list(csv.reader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the file does not read ({reason})", file=path, expected=expected, hint=hint) from None
    if len(table) < 2 or "step" not in table[0]:
        raise InputError("the file holds no metrics", file=path, expected=expected, hint=hint)
    names, rows = table[0], table[1:]
    if len(rows[-1]) < len(names):
        rows = rows[:-1]
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for line, row in enumerate(rows, start=2):
        try:
            values = {name: float(text) for name, text in zip(names, row, strict=True) if text}
        except ValueError:
            raise InputError(
                "the line is malformed", file=path, line=line, expected=f"{len(names)} numbers or blanks", hint=hint
            ) from None
        for name, value in values.items():
            if np.isfinite(value) and "step" in values:
                curves[name].append((values["step"], value))
    ordered = {name: np.array(sorted(pairs, key=lambda pair: pair[0])).reshape(-1, 2) for name, pairs in curves.items()}
    return {name: (pairs[:, 0], pairs[:, 1]) for name, pairs in ordered.items() if len(pairs)}


def write_learning_curves(path: str | Path, metrics: str | Path) -> Path:
    """Write the learning curves as a png file: losses, the validation metrics, the learning rate.

    Panels without values are left out.

    Args:
        path: The png file; it appears under its name when it is whole.
        metrics: The metrics.csv of the run.

    Raises:
        InputError: The metrics are missing, malformed or hold none of the curves.
    """
    curves = read_metrics(metrics)
    rates = [name for name in sorted(curves) if name == "lr" or name.startswith("lr-")]
    scores = [name for name in sorted(curves) if name.startswith("val/") and name != "val/loss"]
    panels = [
        (panel, {name: curves[name] for name in names if name in curves})
        for panel, names in ((_losses, ("train/loss", "val/loss")), (_scores, scores), (_rate, rates[:1]))
    ]
    panels = [(panel, shown) for panel, shown in panels if shown]
    if not panels:
        raise InputError(
            "the file holds no curve to draw",
            file=metrics,
            expected="a column train/loss, val/..., or lr",
            hint=f"It has: {', '.join(curves)}",
        )
    end = max(steps[-1] for _, shown in panels for steps, _ in shown.values())
    figure = Figure(figsize=(4.6 * len(panels) + 0.4, 3.7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (panel, shown) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        panel(axes, shown)
        axes.set(xlabel="step", xlim=(-0.02 * end - 0.5, 1.03 * end + 0.5), ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(color="#e3e5e8", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
    return Path(path)


def smoothed(values: np.ndarray, span: float) -> np.ndarray:
    """Exponential moving average over about ``span`` values, without a bias towards the first one."""
    keep = 1 - 1 / max(span, 1.0)
    mean, weight, out = 0.0, 0.0, np.empty(len(values))
    for k, value in enumerate(values):
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        out[k] = mean / weight
    return out


def _losses(axes: Axes, curves: dict[str, Curve]) -> None:
    axes.set_title("loss", loc="left", fontweight="bold")
    if "train/loss" in curves:
        steps, values = curves["train/loss"]
        if len(values) < MANY_VALUES:
            axes.plot(steps, values, color=TRAIN, linewidth=1.6, marker="o", markersize=3, label="training")
        else:
            smooth = smoothed(values, len(values) / 20)
            axes.plot(steps, values, color=TRAIN, alpha=0.3, linewidth=1)
            axes.plot(steps, smooth, color=TRAIN, linewidth=2, label="training (smoothed)")
            tops = [float(np.quantile(values, 0.98)), float(smooth.max())]
            tops += [float(curves["val/loss"][1].max())] if "val/loss" in curves else []
            axes.set_ylim(top=1.05 * max(tops))  # a few wild first steps do not flatten the rest
    if "val/loss" in curves:
        axes.plot(*curves["val/loss"], color=VALIDATION, linewidth=1.6, marker="o", markersize=4, label="validation")
    axes.legend(frameon=False)


def _scores(axes: Axes, curves: dict[str, Curve]) -> None:
    """The validation metrics, with the best value of the first one."""
    axes.set_title("validation", loc="left", fontweight="bold")
    for k, (name, (steps, values)) in enumerate(curves.items()):
        colour, width = SCORE_COLOURS[k % len(SCORE_COLOURS)], 1.4 if k else 2.2
        axes.plot(steps, values, color=colour, linewidth=width, marker="o", markersize=3.5, label=name.removeprefix("val/"))
    name, (steps, values) = next(iter(curves.items()))
    best = int(values.argmax())
    label = f"best {name.removeprefix('val/')} {values[best]:.1f} (step {steps[best]:.0f})"
    star: Any = {"color": SCORE_COLOURS[0], "markeredgecolor": "white", "markersize": 15}
    axes.plot(steps[best], values[best], "*", label=label, **star)
    axes.set_ylim(top=max(100.0, *(float(v.max()) for _, v in curves.values())))
    axes.legend(frameon=False)


def _rate(axes: Axes, curves: dict[str, Curve]) -> None:
    axes.set_title("learning rate", loc="left", fontweight="bold")
    steps, values = next(iter(curves.values()))
    axes.step(steps, values, color="#555555", linewidth=1.6, where="post")
    axes.set_ylim(top=1.1 * float(values.max()) or 1.0)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: np.format_float_scientific(value, 2, trim="-", exp_digits=1) if value else "0")
    )
