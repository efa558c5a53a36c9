"""``flexhook report``: one table and plots from many run folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flexhook.errors import InputError

DESCRIPTION = """\
Reads finished runs and writes one table (Markdown, LaTeX, CSV) and plots (png). Runs in folders seed0, seed1, ... beside
each other are seeds of one name. Every folder is searched, so that `flexhook report outputs/components` takes a sweep.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = argparse.ArgumentParser("flexhook report", description=DESCRIPTION)
    add = arguments.add_argument
    add("runs", type=Path, nargs="+", metavar="RUNS", help="run folders, or folders of them")
    add("--baseline", metavar="NAME", help="compare every run with this one; 'previous': each with the one before it in ORDER")
    add("--order", metavar="NAMES", help="names of the runs in the order of the table, with commas; others are left out")
    add("--axis", metavar="TEXT", help="also plot over the number in the runs' names; what it is (M, T, ...)")
    add("--title", default="Report", metavar="TEXT", help="heading (%(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="where the report goes (report/ in the first of RUNS)")
    return arguments


def run(argv: list[str]) -> int:
    """Run ``flexhook report``."""
    given = parser().parse_args(argv)
    from flexhook.reports.comparison import PREVIOUS
    from flexhook.reports.report_pages import write_report
    from flexhook.reports.runs import find_runs, group_runs
    from flexhook.structures.files import require_inside

    if given.baseline == PREVIOUS and not given.order:
        raise InputError("--baseline previous compares each run with the one before it, and there is no order",
                         expected="--order NAMES beside it")
    finished, problems = find_runs(given.runs)
    groups = group_runs(finished)
    if given.order:
        named = {group.name: group for group in groups}
        wanted = [name.strip() for name in given.order.split(",")]
        unknown = [name for name in wanted if name not in named]
        if unknown:
            raise InputError(f"there is no run '{unknown[0]}'", expected=f"some of {', '.join(named)}",
                             hint="; ".join(problems[:3]) or None)
        groups = [named[name] for name in wanted]
    print(f"{len(finished)} runs under {len(groups)} names", flush=True)
    if given.out is None:
        require_inside(given.runs[0] / "report", given.runs[0])
    page = write_report(
        given.out or given.runs[0] / "report",
        groups,
        title=given.title,
        baseline=given.baseline,
        axis=given.axis,
        problems=problems,
    )
    for line in page.read_text(encoding="utf-8").split("\n## Scores\n", 1)[0].splitlines():
        if line.startswith("- "):
            print(f"warning: {line.removeprefix('- ')}", file=sys.stderr)
    print(page.read_text(encoding="utf-8").split("\n## Scores\n\n", 1)[1].split("\n\n", 1)[0])
    print(f"the report lies in {page.parent}: {page.name}, table.tex, table.csv and plots")
    return 0
