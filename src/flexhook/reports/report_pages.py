"""A report's folder: report.md, table.tex, table.csv and the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.reports.comparison import Comparison, comparisons
from flexhook.reports.conclusions import findings
from flexhook.reports.consistency import warnings
from flexhook.reports.plots import write_plots
from flexhook.reports.published_scores import published
from flexhook.reports.runs import Group
from flexhook.reports.scores import attribute_table, cost_table, score_table, shared_limits, value_rows
from flexhook.reports.table import csv_text
from flexhook.structures.files import atomic_write

NOTES = {
    "HOTA": "HOTA, DetA and AssA are pooled over all (video, expression) sequences; *mean HOTA* is the mean over them, "
    "*HOTA 0* the number of them with HOTA 0. Scores from 0 to 100, mean ± standard deviation over seeds.",
    "limits": "The *oracle* gives each tracked box the labels of the true box it overlaps, *accept all* accepts every box for "
    "every expression: a model lies between what these tracks allow and what no model is needed for.",
    "difference": "Differences hold a paired bootstrap interval over expressions. One is called higher or lower only where the "
    "interval excludes 0 and it is larger than the seeds' spread (the standard deviation of a difference of two seeds).",
}


def write_report(
    folder: Path,
    groups: Sequence[Group],
    *,
    title: str = "Report",
    baseline: str | Mapping[str, str] | None = None,
    axis: str | None = None,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    problems: Sequence[str] = (),
    page: str = "report.md",
) -> Path:
    """Write a report.

    Args:
        folder: Where it goes; files of an earlier report are replaced.
        groups: The runs, in the order of the table.
        title: Heading of the page.
        baseline: The run that others are compared with, ``previous``, or a run for each that is compared.
        axis: Name of the number in the runs' names.
        before: Paragraphs before the tables.
        after: Paragraphs at the end.
        problems: Further warnings: runs that are missing.
        page: Name of the page.

    Returns:
        The page.

    Raises:
        InputError: There is no such baseline.
    """
    compared = comparisons(groups, baseline)
    table = score_table(groups, compared)
    texts = {"table.tex": table.latex(), "table.csv": csv_text(value_rows(groups, compared))}
    pictures = write_plots(folder, groups, compared, axis)
    texts[page] = "\n".join(_page(groups, compared, title, table.markdown(), pictures, before, after, problems))
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder / page


def _page(
    groups: Sequence[Group],
    compared: Mapping[str, Comparison],
    title: str,
    table: str,
    pictures: Sequence[Path],
    before: Sequence[str],
    after: Sequence[str],
    problems: Sequence[str],
) -> list[str]:
    lines = [f"# {title}", ""]
    lines += [line for paragraph in before for line in (paragraph, "")]
    found = [*problems, *warnings(groups)]
    if found:
        lines += ["**Warnings**", "", *(f"- {text}" for text in found), ""]
    notes = [NOTES["HOTA"], NOTES["limits"] * shared_limits(groups), NOTES["difference"] * bool(compared)]
    lines += ["## Scores", "", table, *(line for note in [*notes, *_protocol_notes(groups)] if note for line in (note, ""))]
    lines += [*_images(pictures, ("scores.png", "differences.png", "axis.png"))]
    sentences = findings(groups, compared)
    if sentences:
        lines += ["## What the numbers say", "", *(f"- {text}" for text in sentences), ""]
    attributes = attribute_table(groups)
    if attributes is not None:
        lines += ["## By what the sentence names", "", attributes.markdown(), *_images(pictures, ("groups.png",))]
    lines += ["## Over the localisation thresholds", "", *_images(pictures, ("thresholds.png",))]
    lines += ["## Cost", "", cost_table(groups).markdown(), _hardware(groups), "", *_images(pictures, ("speed.png",))]
    lines += [line for paragraph in after for line in (paragraph, "")]
    return lines


def _images(pictures: Sequence[Path], names: Sequence[str]) -> list[str]:
    return [line for path in pictures if path.name in names for line in (f"![{path.stem}]({path.name})", "")]


def _protocol_notes(groups: Sequence[Group]) -> list[str]:
    """Whose protocol the published rows follow, and which of these runs do not follow the default one, and in what."""
    said: dict[str, list[str]] = {}
    for group in groups:
        remarks = dict.fromkeys(text for run in group.runs for text in run.meta.get("remarks", ()))
        if remarks:
            said.setdefault(" ".join(remarks), []).append(group.name)
    notes = []
    if any(published(run.dataset) for group in groups for run in group.runs):
        ours = "" if said else " These runs follow ours; protocol=published compares like with like."
        notes.append("Published rows are the authors' numbers, with their protocol (the test videos chose the checkpoint; a "
                     f"track's last observation is not judged).{ours}")
    for text, names in said.items():
        whose = "These runs follow" if len(names) == len(groups) else f"{', '.join(names)}:"
        notes.append(f"{whose} protocol=published. {text}")
    return notes


def _hardware(groups: Sequence[Group]) -> str:
    seen = dict.fromkeys(
        ", ".join([str(h.get("cpu")), f"{h.get('cores')} cores", *h.get("gpus", ())])
        for group in groups for run in group.runs if (h := run.meta.get("hardware"))
    )  # fmt: skip
    return f"Measured on: {'; '.join(seen)}. Times hold as far as the machine had nothing else to do." if seen else ""
