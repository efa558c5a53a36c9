"""The page of a study: question, command, tables, plots and what was learnt."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.utils import instantiate

from flexhook.configuration.trust import check_parts
from flexhook.datasets.cache import CachedReader
from flexhook.errors import InputError
from flexhook.reports.comparison import PREVIOUS
from flexhook.reports.point_distances import contrasting_pairs, distance_table, points_picture
from flexhook.reports.report_pages import write_report
from flexhook.reports.runs import Group, read_those_that_read, short_names
from flexhook.structures.reference_points import NAME, read_reference_points
from flexhook.sweeps.multirun import Sweep
from flexhook.sweeps.study import Study
from flexhook.training.resume import accepted

LEARNT = "learnt.md"


def report_study(study: Study, sweep: Sweep, folder: Path) -> Path:
    """Write a study's page and what belongs to it; ``learnt.md`` in its folder, written by hand, becomes its last section.

    Args:
        study: The study.
        sweep: Its runs, of which those that are not done are named.
        folder: Where it goes.

    Returns:
        The page: ``README.md`` of a study, ``report.md`` of a sweep without a question.
    """
    groups, names, problems = _groups(sweep)
    learnt = folder / LEARNT
    text = learnt.read_text(encoding="utf-8").strip() if learnt.is_file() else f"To be written into {LEARNT}."
    command = f"make study NAME={study.name}" if study.question else f"make sweep ABLATION={study.name} SEEDS={study.seeds}"
    more = sweep.overrides[len(study.overrides):]
    command += f" ARGS={shlex.quote(shlex.join(more))}" if more else ""
    sections = [line for name in study.sections for line in SECTIONS[name](groups, folder)]
    return write_report(
        folder,
        groups,
        title=study.title or f"Ablation: {study.name}",
        baseline=_baseline(study, names, {group.name for group in groups}),
        axis=study.axis,
        before=[*[study.question] * bool(study.question),
                f"```bash\n{command}\n# runs, and goes on with:\nflexhook {shlex.join(sweep.arguments)}\n```"],
        after=[*sections, *(["## What was learnt", text] if study.question else [])],
        problems=[*problems, *(f"not done: {line}" for line in sweep.failures())],
        page="README.md" if study.question else "report.md",
    )


def _baseline(study: Study, names: Mapping[str, str], there: set[str]) -> str | dict[str, str] | None:
    """What the report compares with: names in place of runs, as far as these have results."""
    if study.baseline == PREVIOUS:
        return PREVIOUS
    if isinstance(study.baseline, Mapping):
        pairs = {names[run]: names[other] for run, other in study.baseline.items()}
        return {name: other for name, other in pairs.items() if {name, other} <= there}
    name = names[study.baseline or study.runs[0]]
    return name if name in there else None


def _groups(sweep: Sweep) -> tuple[list[Group], dict[str, str], list[str]]:
    """The sweep's finished runs, the name in the report of each run, and a line for each run that does not read.

    Raises:
        InputError: None reads.
    """
    folders = sweep.run_folders()
    short = short_names([str(next(iter(seeds.values())).parent) for seeds in folders.values()])
    names = dict(zip(folders, short, strict=True))
    groups, problems = [], []
    for run, seeds in folders.items():
        runs, broken = read_those_that_read(path for path in seeds.values() if accepted(path))
        groups += [Group(names[run], tuple(runs))] if runs else []
        problems += broken
    if not groups:
        raise InputError("no run of the sweep reads" + "".join(f"; {text}" for text in problems[:1]), file=sweep.folder)
    return groups, names, problems


def reference_point_section(groups: Sequence[Group], folder: Path) -> list[str]:
    """Distances between reference points, and where those of contrasting sentences lie on one test frame."""
    table = distance_table(groups)
    if table is None:
        return []
    lines = [
        "## Reference points",
        table.markdown(),
        "Mean distance between the m-th points of two sentences, over scales, points and pairs; the frame is 2 wide and high. "
        "Paraphrases name the same attributes with the same values, contrasting sentences differ in one value.",
    ]
    rows = {g.name: read_reference_points(path) for g in groups if (path := g.runs[0].folder / "scores" / NAME).is_file()}
    pairs = contrasting_pairs(sorted(set.intersection(*(set(points) for points in rows.values()))))
    if pairs:
        run = groups[0].runs[0]
        check_parts(run.config, ["data.reader"], run.folder / "config.yaml")
        reader = CachedReader(instantiate(run.config["data"]["reader"]))
        video = reader.read(reader.video_names("test")[0])
        counts = [int((video.truth.frame == frame).sum()) for frame in range(video.num_frames)]
        image = video.frames.read(counts.index(max(counts)))
        picture = points_picture(folder / "reference_points.png", image, rows, pairs)
        lines.append(f"![where the reference points of contrasting sentences lie]({picture.name})")
    return lines


SECTIONS = {"reference_points": reference_point_section}
