"""The tables of a report: scores, attribute groups, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flexhook.reports.comparison import Comparison, Spread
from flexhook.reports.published_scores import published
from flexhook.reports.runs import Group
from flexhook.reports.table import Table

SCORES = {
    "HOTA": "HOTA",
    "DetA": "DetA",
    "AssA": "AssA",
    "HOTA_mean_over_expressions": "mean HOTA",
    "zero_HOTA_expressions": "HOTA 0",
    "unseen/HOTA": "unseen HOTA",
}
COSTS = {  # heading, factor, digits
    "parameters": ("parameters (M)", 1e-6, 2),
    "trained_parameters": ("trained (M)", 1e-6, 2),
    "seconds_per_epoch": ("s / epoch", 1.0, 1),
    "peak_memory_MB": ("peak memory (MB)", 1.0, 0),
    "scored_frames_per_second": ("frames scored / s", 1.0, 2),
}
LIMITS = {"oracle": "oracle", "accept_all": "accept all"}


def limits(group: Group, limit: str) -> dict[str, float]:
    """The mean over a run's seeds of each score of a limit (``oracle`` or ``accept_all``)."""
    found = {name: group.values(f"{limit}/{name}") for name in SCORES}
    return {name: float(values.mean()) for name, values in found.items() if len(values)}


def shared_limits(groups: Sequence[Group]) -> bool:
    """Whether all runs have the same oracle and accept-all, that is, the same test videos and candidates.

    A method that keeps no rejected candidates has neither: then the others' limits are not everybody's.
    """
    values = [[group.values(f"{limit}/HOTA") for group in groups] for limit in LIMITS]
    return all(all(map(len, own)) and np.ptp(np.concatenate(own)) <= 1e-6 for own in values)


def score_table(groups: Sequence[Group], compared: Mapping[str, Comparison]) -> Table:
    """Pooled and per-expression scores side by side, with differences; oracle, accept-all and published rows below.

    Args:
        groups: The runs, in the order of the table.
        compared: Their comparisons, by name.
    """
    shared = shared_limits(groups)
    columns = ["run", "seeds", *SCORES.values()]
    columns += [] if shared else [f"{text} HOTA" for text in LIMITS.values()]
    if compared:
        columns += ["against", "Δ HOTA [95 %]", "verdict", "Δ mean HOTA [95 %]", "verdict (mean)"]
    rows = []
    for group in groups:
        cells = [group.name, str(len(group.runs))]
        for metric in SCORES:
            spread = Spread.of(group.values(f"test/{metric}"))
            digits = 2 if not metric.startswith("zero") else 0 if len(group.runs) == 1 else 1
            cells.append(spread.text(digits) if spread else "")
        if not shared:
            cells += [f"{limits(group, limit)['HOTA']:.2f}" if limits(group, limit) else "" for limit in LIMITS]
        if compared:
            cells += _difference_cells(compared.get(group.name))
        rows.append(tuple(cells))
    rules: list[int] = []
    if shared:
        for limit, text in LIMITS.items():
            found = limits(groups[0], limit)
            if found:
                rules = rules or [len(rows)]
                cells = [text, ""] + [_number(found.get(m), 0 if m.startswith("zero") else 2) for m in SCORES]
                rows.append(tuple(cells + [""] * (len(columns) - len(cells))))
    datasets = list(dict.fromkeys(run.dataset.removesuffix("_ikun") for group in groups for run in group.runs))
    for dataset in datasets:
        known = published(dataset)
        if known:
            rules.append(len(rows))
        for row in known:
            title = "published" if len(datasets) == 1 else f"published on {dataset}"
            cells = [f"{title}: {row.name}", "", _number(row.hota), _number(row.deta), _number(row.assa)]
            rows.append(tuple(cells + [""] * (len(columns) - len(cells))))
    return Table(tuple(columns), tuple(rows), tuple(rules)).without_empty_columns()


def _difference_cells(found: Comparison | None) -> list[str]:
    if found is None:
        return [""] * 5
    one, two = found.pooled, found.mean_over_expressions
    return [one.baseline, one.text(), one.verdict, two.text(), two.verdict]


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def attribute_groups(groups: Sequence[Group]) -> list[str]:
    """The subsets that the runs were evaluated on: ``unseen_combination``, ``group/colour``, ... in the order of metrics."""
    keys = [k for group in groups for run in group.runs for k in run.metrics if k.startswith("test/") and k.count("/") > 1]
    return list(dict.fromkeys(k.removeprefix("test/").rpartition("/")[0] for k in keys if k.endswith("/HOTA")))


def attribute_table(groups: Sequence[Group]) -> Table | None:
    """Pooled HOTA per attribute group and kind of unseen sentence; None where there are none."""
    subsets = attribute_groups(groups)
    if not subsets:
        return None
    rows = []
    for group in groups:
        spreads = [Spread.of(group.values(f"test/{subset}/HOTA")) for subset in subsets]
        rows.append((group.name, *(spread.text(1) if spread else "" for spread in spreads)))
    for limit, text in LIMITS.items() if shared_limits(groups) else ():
        values = [groups[0].values(f"{limit}/{subset}/HOTA") for subset in subsets]
        rows.append((text, *(f"{v.mean():.1f}" if len(v) else "" for v in values)))
    counts = [groups[0].values(f"test/{subset}/expressions") for subset in subsets]
    rows.append(("expressions", *(f"{c.mean():.0f}" if len(c) else "" for c in counts)))
    names = (subset.removeprefix("group/").replace("_", " ") for subset in subsets)
    return Table(("HOTA of", *names), tuple(rows), (len(groups), len(rows) - 1))


def cost_table(groups: Sequence[Group]) -> Table:
    """Parameters, time per epoch, peak memory and speed of scoring, beside the HOTA that they buy."""
    rows = []
    for group in groups:
        hota = Spread.of(group.values("test/HOTA"))
        cells = [group.name, hota.text() if hota else ""]
        for name, (_, factor, digits) in COSTS.items():
            spread = Spread.of(group.values(f"cost/{name}") * factor)
            steady = name.endswith("parameters")
            cells.append("" if spread is None else f"{spread.mean:.{digits}f}" if steady else spread.text(digits))
        rows.append(tuple(cells))
    return Table(("run", "HOTA", *(heading for heading, *_ in COSTS.values())), tuple(rows)).without_empty_columns()


def value_rows(groups: Sequence[Group], compared: Mapping[str, Comparison]) -> list[dict[str, object]]:
    """A row per run with every score and difference as numbers, for CSV; nothing that depends on the clock."""
    out = []
    for group in groups:
        row: dict[str, object] = {"run": group.name, "seeds": len(group.runs)}
        names = dict.fromkeys(k for run in group.runs for k in run.metrics)
        for name in names:
            spread = Spread.of(group.values(name))
            if spread is not None:
                row[name] = spread.mean
                row[f"{name} std"] = "" if spread.deviation is None else spread.deviation
        found = compared.get(group.name)
        if found:
            row["Δ sequences"] = found.sequences
        for title, one in (("HOTA", found.pooled), ("mean HOTA", found.mean_over_expressions)) if found else ():
            row |= {"against": one.baseline, f"Δ {title}": one.interval.value, f"Δ {title} low": one.interval.low,
                    f"Δ {title} high": one.interval.high, f"Δ {title} seeds' spread": one.spread,
                    f"Δ {title} verdict": one.verdict}
        out.append(row)
    return out
