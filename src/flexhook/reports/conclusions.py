"""What a table says, in sentences: which differences are resolved, where two rankings disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flexhook.reports.comparison import ONE_SEED, Comparison, Difference
from flexhook.reports.runs import Group


def findings(groups: Sequence[Group], compared: Mapping[str, Comparison]) -> list[str]:
    """A sentence per comparison, and one where pooled scores and means over expressions rank a pair of runs differently."""
    out = []
    for name, found in compared.items():
        out.append(f"{name} against {found.pooled.baseline}, on {found.sequences} sequences: "
                   f"{_sentence(found.pooled, 'pooled HOTA')}; "
                   f"{_sentence(found.mean_over_expressions, 'mean over expressions')}.")
    if compared and any(len(group.runs) < 2 for group in groups):
        out.append(f"Where a run has one seed, its spread is not known; differences up to {ONE_SEED} HOTA count as noise.")
    for name, found in compared.items():
        one, two = found.pooled, found.mean_over_expressions
        if one.resolved and two.resolved and one.verdict != two.verdict:
            out.append(f"The two rankings disagree: {name} is {one.verdict} than {one.baseline} by pooled HOTA, and "
                       f"{two.verdict} by the mean over expressions.")
    return out


def _sentence(difference: Difference, what: str) -> str:
    if difference.resolved:
        return f"{what} is {difference.verdict}, {difference.text()}"
    why = []
    if not difference.interval.resolved:
        why.append("the interval over expressions holds 0")
    if abs(difference.interval.value) <= difference.spread:
        why.append(f"the seeds' spread is {difference.spread:.2f}")
    return f"{what} is not resolved, {difference.text()} ({' and '.join(why)})"
