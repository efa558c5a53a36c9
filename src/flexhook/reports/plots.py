"""The plots of a report, one png each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flexhook.evaluation.statistics import ALPHAS
from flexhook.reports.comparison import Comparison
from flexhook.reports.runs import Group
from flexhook.reports.scores import LIMITS, attribute_groups, limits, shared_limits
from flexhook.structures.files import atomic_write

# The palette of Okabe and Ito, as in the other pictures.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D00", "#000000")
DASHES = ("-", "--", ":", "-.")
POOLED, MEAN, UNRESOLVED = "#0072B2", "#D55E00", "#8c9299"
KINDS = (("HOTA", "pooled", POOLED, "o"), ("HOTA_mean_over_expressions", "mean over expressions", MEAN, "D"))


def write_plots(folder: Path, groups: Sequence[Group], compared: Mapping[str, Comparison], axis: str | None) -> list[Path]:
    """Write the plots that the runs have numbers for.

    Args:
        folder: Where they go.
        groups: The runs, in the order of the table.
        compared: Their comparisons.
        axis: Name of the number in the runs' names, for a plot over it.

    Returns:
        The files, the most telling first.
    """
    out = [_save(folder / "scores.png", score_plot(groups))]
    if compared:
        out.append(_save(folder / "differences.png", difference_plot(compared)))
    numbers = [last_number(group.name) for group in groups]
    if axis and sum(n is not None for n in numbers) > 1:
        out.append(_save(folder / "axis.png", axis_plot(groups, numbers, axis)))
    if any(group.evaluations for group in groups):
        out.append(_save(folder / "thresholds.png", threshold_plot(groups)))
    if attribute_groups(groups):
        out.append(_save(folder / "groups.png", attribute_plot(groups)))
    if sum(len(g.values("cost/scored_frames_per_second")) > 0 for g in groups) > 1:
        out.append(_save(folder / "speed.png", speed_plot(groups)))
    return out


def last_number(name: str) -> float | None:
    """The last number in a name: ``m10`` -> 10, ``x0.5`` -> 0.5."""
    found = re.findall(r"\d+(?:\.\d+)?", name)
    return float(found[-1]) if found else None


def score_plot(groups: Sequence[Group]) -> Figure:
    """A row per run: every seed, their mean and standard deviation, pooled and per expression; the limits as lines."""
    figure, axes = _figure(7.2, 1.3 + 0.52 * len(groups))
    for k, group in enumerate(groups):
        for shift, (metric, _, colour, marker) in zip((-0.14, 0.14), KINDS, strict=True):
            values = group.values(f"test/{metric}")
            if len(values):
                deviation = values.std(ddof=1) if len(values) > 1 else 0.0
                axes.errorbar(values.mean(), k + shift, xerr=deviation, color=colour, marker=marker, capsize=3, markersize=7,
                              linewidth=1.6)
                axes.plot(values, np.full(len(values), k + shift), "|", color=colour, markersize=11, alpha=0.6)
    handles = [axes.plot([], [], marker=m, color=c, linestyle="", label=label)[0] for _, label, c, m in KINDS]
    if shared_limits(groups):
        for (limit, text), dash in zip(LIMITS.items(), ("--", ":"), strict=True):
            for metric, _, colour, _ in KINDS:
                value = limits(groups[0], limit).get(metric)
                if value is not None:
                    axes.axvline(value, color=colour, linestyle=dash, linewidth=1, alpha=0.7, zorder=0)
            handles.append(axes.plot([], [], color="#555555", linestyle=dash, label=text)[0])
    _name_rows(axes, [group.name for group in groups])
    axes.set(xlabel="HOTA", xlim=(0, None))
    axes.set_title("HOTA, mean and standard deviation over seeds", loc="left", fontweight="bold", fontsize=11)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def difference_plot(compared: Mapping[str, Comparison]) -> Figure:
    """A row per comparison: the difference with its interval; hollow and grey where it is not resolved."""
    figure, axes = _figure(7.2, 1.3 + 0.52 * len(compared))
    for k, found in enumerate(compared.values()):
        for shift, one, (_, _, colour, marker) in zip(
            (-0.14, 0.14), (found.pooled, found.mean_over_expressions), KINDS, strict=True
        ):
            interval, shown = one.interval, colour if one.resolved else UNRESOLVED
            axes.plot([interval.low, interval.high], [k + shift] * 2, color=shown, linewidth=2)
            axes.plot([-one.spread, one.spread], [k + shift] * 2, color="#e3e5e8", linewidth=9, zorder=0, solid_capstyle="butt")
            axes.plot(interval.value, k + shift, marker=marker, color=shown, markersize=7,
                      markerfacecolor=shown if one.resolved else "white")
    axes.axvline(0, color="black", linewidth=1)
    _name_rows(axes, [f"{name}\nagainst {found.pooled.baseline}" for name, found in compared.items()])
    axes.set(xlabel="difference in HOTA (interval over expressions, 95 %)")
    axes.set_title("Differences", loc="left", fontweight="bold", fontsize=11)
    handles = [axes.plot([], [], marker=m, color=c, label=label)[0] for _, label, c, m in KINDS]
    handles.append(axes.plot([], [], marker="o", color=UNRESOLVED, markerfacecolor="white", label="not resolved")[0])
    handles.append(axes.plot([], [], color="#e3e5e8", linewidth=9, label="seeds' spread")[0])
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def axis_plot(groups: Sequence[Group], numbers: Sequence[float | None], axis: str) -> Figure:
    """HOTA over the number that the runs differ in."""
    figure, axes = _figure(5.2, 3.6)
    order = sorted((n, k) for k, n in enumerate(numbers) if n is not None)
    places = np.arange(len(order))
    for metric, label, colour, marker in KINDS:
        values = [groups[k].values(f"test/{metric}") for _, k in order]
        deviation = [v.std(ddof=1) if len(v) > 1 else 0.0 for v in values]
        axes.errorbar(places, [v.mean() if len(v) else np.nan for v in values], yerr=deviation, color=colour, marker=marker,
                      capsize=3, label=label)
    oracle = [limits(groups[k], "oracle").get("HOTA", np.nan) for _, k in order]
    if not shared_limits(groups):
        axes.plot(places, oracle, color="#555555", linestyle="--", label="oracle, pooled")
    axes.set_xticks(places, [f"{n:g}" for n, _ in order])
    axes.set(xlabel=axis, ylabel="HOTA")
    axes.margins(y=0.1)
    axes.set_ylim(bottom=0)
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.legend(frameon=False, fontsize=9)
    return figure


def threshold_plot(groups: Sequence[Group]) -> Figure:
    """Pooled HOTA, DetA and AssA over the localisation thresholds, the mean of the seeds."""
    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for panel, metric in zip(figure.subplots(1, 3, sharey=True), ("HOTA", "DetA", "AssA"), strict=True):
        for k, group in enumerate(groups):
            if group.evaluations:
                curve = np.mean([100 * e.model.sums().curves()[metric][0] for e in group.evaluations], axis=0)
                panel.plot(ALPHAS, curve, label=group.name, **_style(k))
        oracles = [e.oracle for group in groups for e in group.evaluations if e.oracle is not None]
        if oracles and shared_limits(groups):
            panel.plot(ALPHAS, 100 * oracles[0].sums().curves()[metric][0], color="#8c9299", linewidth=1, label="oracle")
        panel.set_title(metric, loc="left", fontweight="bold")
        panel.set(xlabel="localisation threshold α", xlim=(0.05, 0.95), ylim=(0, None))
        _plain(panel)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5), frameon=False, fontsize=9)
    return figure


def attribute_plot(groups: Sequence[Group]) -> Figure:
    """Pooled HOTA per attribute group and kind of unseen sentence, a mark per run."""
    subsets = attribute_groups(groups)
    figure, axes = _figure(8.6, 1.3 + 0.42 * len(subsets))
    shifts = np.linspace(-0.28, 0.28, len(groups)) if len(groups) > 1 else np.zeros(1)
    for k, group in enumerate(groups):
        for place, subset in enumerate(subsets):
            values = group.values(f"test/{subset}/HOTA")
            if len(values):
                deviation = values.std(ddof=1) if len(values) > 1 else 0.0
                axes.errorbar(values.mean(), place + shifts[k], xerr=deviation, marker="o", markersize=5, linewidth=1.2,
                              color=COLOURS[k % len(COLOURS)], label=group.name if place == 0 else None)
    if shared_limits(groups):
        for place, subset in enumerate(subsets):
            values = groups[0].values(f"oracle/{subset}/HOTA")
            if len(values):
                axes.plot([values.mean()] * 2, [place - 0.36, place + 0.36], color="#555555", linewidth=1.5,
                          label="oracle" if place == 0 else None)
    _name_rows(axes, [subset.removeprefix("group/").replace("_", " ") for subset in subsets])
    axes.set(xlabel="pooled HOTA", xlim=(0, None))
    axes.set_title("By what the sentence names", loc="left", fontweight="bold", fontsize=11)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5), frameon=False, fontsize=9)
    return figure


def speed_plot(groups: Sequence[Group]) -> Figure:
    """HOTA over the frames scored per second."""
    figure, axes = _figure(5.6, 3.8)
    for k, group in enumerate(groups):
        speed, hota = group.values("cost/scored_frames_per_second"), group.values("test/HOTA")
        if len(speed) and len(hota):
            axes.errorbar(speed.mean(), hota.mean(), yerr=hota.std(ddof=1) if len(hota) > 1 else 0.0, marker="o",
                          markersize=8, color=COLOURS[k % len(COLOURS)], linestyle="", label=group.name)
    axes.margins(0.1)
    axes.set(xlabel="frames scored per second", ylabel="pooled HOTA", xlim=(0, None), ylim=(0, None))
    axes.grid(color="#e3e5e8", linewidth=0.8)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#e3e5e8", linewidth=0.8)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _style(k: int) -> dict:
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k // len(COLOURS) % len(DASHES)], "linewidth": 1.8}


def _save(path: Path, figure: Figure) -> Path:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
