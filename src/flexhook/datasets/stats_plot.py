"""Draws the numbers of a dataset: how long, how many, what the sentences speak of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from flexhook.datasets.attributes import ATTRIBUTES
from flexhook.datasets.stats import SplitStats
from flexhook.structures.files import atomic_write

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

COLOURS = ("#2f6db5", "#e08a1e", "#3d9a50", "#a03a78", "#777777")
#: Attributes of which the values are shown, a panel each.
VALUES = (("class",), ("colour",), ("side",), ("motion",), ("direction", "distance"))
#: Values of a panel shown at most.
MOST_VALUES = 12


def plot_stats(
    stats: Mapping[str, SplitStats], title: str, path: str | Path, quality: Mapping[str, Mapping[str, float]] | None = None
) -> None:
    """Draw the numbers of all splits into one picture (png), whole or not at all.

    Args:
        stats: Numbers by split.
        title: Name of the dataset.
        path: The picture.
        quality: Metrics of the tracker, 0 to 100, by split and name.

    Raises:
        InputError: The picture cannot be written.
    """
    shown = {split: s for split, s in stats.items() if s.videos}
    colours = dict(zip(shown, COLOURS * len(shown), strict=False))
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(4, 3, figsize=(15, 15), layout="constrained")
        figure.suptitle(_headline(shown, title), fontsize=13)
        distributions: list[tuple[str, Callable[[SplitStats], Any], bool]] = [
            ("observations per trajectory", lambda s: s.track_length, True),
            ("height of a box, pixels", lambda s: s.box_height, True),
            ("words per expression", lambda s: s.words, False),
            ("trajectories per expression", lambda s: s.referents, True),
            ("boxes per expression", lambda s: s.referent_boxes, True),
        ]
        for axis, (name, values, logarithmic) in zip(axes.flat, distributions, strict=False):
            _distribution(axis, {split: np.asarray(values(s)) for split, s in shown.items()}, colours, logarithmic)
            axis.set_xlabel(f"{name} (dotted: mean)")
            axis.set_ylabel("share of the split")
        _groups(axes.flat[5], shown, colours)
        for axis, named in zip(axes.flat[6:], VALUES, strict=False):
            _values(axis, shown, colours, named)
        _quality(axes.flat[11], {split: (quality or {}).get(split, {}) for split in shown}, colours)
        handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
        figure.legend(handles, list(colours), loc="outside lower center", ncols=len(colours), frameon=False)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            figure.savefig(file, dpi=110, format="png")
        plt.close(figure)


def _headline(stats: Mapping[str, SplitStats], title: str) -> str:
    parts = [
        f"{split}: {len(s.videos):,} videos, {s.frames:,} frames, {len(s.track_length):,} trajectories, {s.boxes:,} boxes, "
        f"{len(s.sentences):,} expressions, {s.positives:.1%} of the pairs positive"
        for split, s in stats.items()
    ]
    return "\n".join([title, *parts])


def _distribution(axis: Axes, values: dict[str, np.ndarray], colours: dict[str, str], logarithmic: bool) -> None:
    """Histograms of the splits as outlines over each other, each adding up to 1."""
    every = np.concatenate([np.zeros(0), *values.values()])
    if not len(every):
        _say(axis, "nothing to count")
        return
    axis.set_xlim(*_scale(axis, edges := _edges(every, logarithmic)))
    for split, numbers in values.items():
        if not len(numbers):
            continue
        share = np.histogram(numbers, edges)[0] / len(numbers)
        axis.stairs(share, edges, fill=True, alpha=0.18, color=colours[split])
        axis.stairs(share, edges, color=colours[split], linewidth=1.6)
        axis.axvline(float(np.mean(numbers)), color=colours[split], linewidth=1.2, linestyle=":")
    axis.set_ylim(bottom=0)


def _edges(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Edges of bins: whole numbers where there are few of them, else of equal width or (logarithmic) of equal ratio."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 40:
        return np.arange(np.floor(low), np.floor(high) + 2) - 0.5
    if logarithmic and low >= 0 and high > 20 * max(low, 1):
        steps = np.unique(np.round(np.geomspace(max(low, 1), high + 1, 28)))
        return np.concatenate([[-0.5] if low < 1 else [], steps - 0.5])
    return np.linspace(low, high, 30)


def _scale(axis: Axes, edges: np.ndarray) -> tuple[float, float]:
    """Make the axis logarithmic if the bins are, with plain numbers at its ticks; returns its limits."""
    if np.ptp(np.diff(edges)) > 1.5:
        axis.set_xscale("symlog", linthresh=1)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_major_locator(FixedLocator([k * 10**e for e in range(6) for k in (1, 2, 5)]))
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return float(edges[0]), float(edges[-1])


def _groups(axis: Axes, stats: Mapping[str, SplitStats], colours: dict[str, str]) -> None:
    if not any(s.sentences for s in stats.values()):
        _say(axis, "no expressions")
        return
    shares = {split: [100 * s.groups[a] / max(len(s.sentences), 1) for a in ATTRIBUTES] for split, s in stats.items()}
    _bars(axis, list(ATTRIBUTES), shares, colours)
    axis.set_xlabel("expressions that name the attribute, %")


def _values(axis: Axes, stats: Mapping[str, SplitStats], colours: dict[str, str], named: Sequence[str]) -> None:
    counts = {split: {v: n for a in named for v, n in s.values(a).items()} for split, s in stats.items()}
    totals: dict[str, int] = {}
    for found in counts.values():
        for value, count in found.items():
            totals[value] = totals.get(value, 0) + count
    names = sorted(totals, key=lambda value: -totals[value])[:MOST_VALUES]
    shares = {
        split: [100 * found.get(name, 0) / max(len(stats[split].sentences), 1) for name in names]
        for split, found in counts.items()
    }
    _bars(axis, names, shares, colours)
    rest = len(totals) - len(names)
    unseen = f" ({rest} rarer values not shown)" if rest else ""
    axis.set_xlabel(f"{' and '.join(named)}, % of the expressions{unseen}")


def _quality(axis: Axes, quality: Mapping[str, Mapping[str, float]], colours: dict[str, str]) -> None:
    names = list(dict.fromkeys(name for values in quality.values() for name in values))
    if not names:
        _say(axis, "no tracker output")
    else:
        _bars(axis, names, {split: [values.get(name, 0.0) for name in names] for split, values in quality.items()}, colours)
    axis.set_xlabel("tracker against the truth of all objects")


def _bars(axis: Axes, names: list[str], shares: dict[str, list[float]], colours: dict[str, str]) -> None:
    """Horizontal bars, those of the splits side by side, the first name on top."""
    if not names:
        _say(axis, "not named")
        return
    place, width = np.arange(len(names)), 0.8 / max(len(shares), 1)
    for k, (split, values) in enumerate(shares.items()):
        axis.barh(place + (k - (len(shares) - 1) / 2) * width, values, width * 0.92, color=colours[split])
    axis.set_yticks(place, names)
    axis.invert_yaxis()


def _say(axis: Axes, text: str) -> None:
    """Write a text in place of a plot."""
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes, color="gray")
    axis.set(xticks=[], yticks=[])
