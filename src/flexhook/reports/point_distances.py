"""Where reference points lie: distances between those of contrasting and of paraphrased sentences, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flexhook.datasets.attributes import attributes
from flexhook.reports.comparison import Spread
from flexhook.reports.runs import Group
from flexhook.reports.table import Table
from flexhook.structures.files import atomic_write
from flexhook.structures.reference_points import NAME, read_reference_points

Points = Mapping[str, Sequence[np.ndarray]]
KINDS = ("paraphrases", "contrasting", "other different")


def kind_of(one: str, two: str) -> str:
    """What two sentences are to each other, by the attributes that their words name.

    ``paraphrases`` name the same attributes with the same values, ``contrasting`` ones differ in exactly one value.
    """
    first, second = attributes(one), attributes(two)
    if first == second:
        return KINDS[0]
    differing = [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)]
    return KINDS[1] if len(differing) == 1 and differing[0] in first and differing[0] in second else KINDS[2]


def distance(one: Sequence[np.ndarray], two: Sequence[np.ndarray]) -> float:
    """Mean over scales and M points of the distance between the m-th points of two sentences; the frame is 2 wide and high."""
    return float(np.mean([np.linalg.norm(a - b, axis=-1).mean() for a, b in zip(one, two, strict=True)]))


def spread_of_points(points: Sequence[np.ndarray]) -> float:
    """Mean over scales of the mean distance between a sentence's own M points; 0 of a single one."""
    own = []
    for scale in points:
        pairs = np.linalg.norm(scale[:, None] - scale[None], axis=-1)
        own.append(pairs.sum() / max(len(scale) * (len(scale) - 1), 1))
    return float(np.mean(own))


def mean_distances(points: Points) -> dict[str, tuple[float, int]]:
    """``{kind: (mean distance, number of pairs)}`` over all pairs of sentences."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for one, two in combinations(sorted(points), 2):
        found[kind_of(one, two)].append(distance(points[one], points[two]))
    return {kind: (float(np.mean(values)), len(values)) for kind, values in found.items() if values}


def distance_table(groups: Sequence[Group]) -> Table | None:
    """Mean distances per run, and how far a sentence's own points lie apart; None where no run has reference points."""
    rows = []
    for group in groups:
        seeds = [read_reference_points(path) for run in group.runs if (path := run.folder / "scores" / NAME).is_file()]
        if not seeds:
            continue
        means = [mean_distances(points) for points in seeds]
        cells = [group.name]
        for kind in KINDS:
            spread = Spread.of(np.array([m[kind][0] for m in means if kind in m]))
            cells.append(f"{spread.text(3)} ({means[0][kind][1]} pairs)" if spread and kind in means[0] else "")
        own = Spread.of(np.array([np.mean([spread_of_points(p) for p in points.values()]) for points in seeds]))
        rows.append((*cells, own.text(3) if own else ""))
    return Table(("distance between points of", *KINDS, "own points"), tuple(rows)) if rows else None


def contrasting_pairs(sentences: Sequence[str], count: int = 3) -> list[tuple[str, str]]:
    """Short contrasting sentences, a pair per attribute, at most ``count`` pairs."""
    pairs: dict[str, tuple[str, str]] = {}
    ordered = sorted(sentences, key=lambda s: (len(s), s))
    for one, two in combinations(ordered, 2):
        if kind_of(one, two) == KINDS[1]:
            first, second = attributes(one), attributes(two)
            differing = next(name for name in first if first[name] != second[name])
            pairs.setdefault(differing, (one, two))
    order = ("side", "direction", "distance", "motion", "class", "colour")
    return [pairs[name] for name in order if name in pairs][:count]


def points_picture(path: Path, image: np.ndarray, rows: Mapping[str, Points], pairs: Sequence[tuple[str, str]]) -> Path:
    """Draw the points of contrasting sentences on one frame: a row per run, a column per pair.

    Args:
        path: The png file.
        image: (H, W, 3) uint8.
        rows: Per run the points of its sentences.
        pairs: Pairs of sentences; one is drawn as circles, the other as crosses, larger at coarser scales.
    """
    height, width = image.shape[:2]
    figure = Figure(figsize=(5.2 * len(pairs), (5.2 * height / width + 0.8) * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(len(rows), len(pairs), squeeze=False)
    for r, (name, points) in enumerate(rows.items()):
        for c, pair in enumerate(pairs):
            axes = panels[r, c]
            axes.imshow(image, alpha=0.75)
            for sentence, colour, marker in zip(pair, ("#D55E00", "#0072B2"), ("o", "X"), strict=True):
                for s, scale in enumerate(points[sentence]):
                    x, y = (scale[:, 0] + 1) / 2 * width, (scale[:, 1] + 1) / 2 * height
                    axes.scatter(x, y, s=30 + 25 * s, color=colour, marker=marker, edgecolor="white", linewidth=0.8,
                                 label=f"“{sentence}”" if s == 0 else None)
            axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
            axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), frameon=False, fontsize=9, ncols=1)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
