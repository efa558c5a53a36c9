"""What makes runs hard to compare: other code, data, versions, configurations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flexhook.configuration.flat_config import changes_results, flat_config
from flexhook.evaluation.evaluation import Evaluation
from flexhook.reports.runs import Group, Run


def warnings(groups: Sequence[Group]) -> list[str]:
    """A sentence per finding; none where all is well.

    Runs of one name must agree in everything but their seed, runs of different names in code, data and versions.
    """
    out = []
    for group in groups:
        out += [f"the runs of '{group.name}' differ in {found}" for found in _differing(group.runs)]
        out += [f"the runs of '{group.name}' differ in their configuration: {keys}" for keys in _config_keys(group.runs)]
        out += [f"the runs of '{group.name}' {text}" for text in _tested(map(_sequences, group.evaluations))]
    first = [group.runs[0] for group in groups]
    out += [f"the runs compared differ in {found}" for found in _differing(first) if not any(found in said for said in out)]
    shared = [set.intersection(*map(_sequences, group.evaluations)) for group in groups if group.evaluations]
    out += [f"the runs compared {text}" for text in _tested(shared)]
    dirty = [run for group in groups for run in group.runs if str(run.meta.get("commit") or "").endswith("+")]
    if dirty:
        out.append(f"{len(dirty)} of {sum(len(g.runs) for g in groups)} runs were made by code with uncommitted changes")
    machines = {(str(h.get("cpu")), *h.get("gpus", ())) for g in groups for r in g.runs if (h := r.meta.get("hardware"))}
    if len(machines) > 1:
        out.append("the runs were made on different machines: their times do not compare")
    return out


def _sequences(evaluation: Evaluation) -> set[tuple[str, str]]:
    return {(info.video, info.slug) for info in evaluation.sequences}


def _tested(sets: Iterable[set[tuple[str, str]]]) -> list[str]:
    found = list(sets)
    if all(one == found[0] for one in found):
        return []
    return [f"were tested on different (video, expression) sequences: {len(set.intersection(*found))} in common, of "
            f"{_listed(sorted(map(len, found)))}; scores hold for each run's own, differences for the common ones"]


def _differing(runs: Sequence[Run]) -> list[str]:
    found = []
    for what, values in (
        ("code (commit)", [str(run.meta.get("commit")) for run in runs]),
        ("data", [str((run.meta.get("data") or {}).get("fingerprint")) for run in runs]),
        ("protocol", [str(run.meta.get("protocol")) for run in runs]),
    ):
        if len(set(values)) > 1:
            found.append(f"{what}: {_listed(values)}")
    codes = [run.meta.get("code") or {} for run in runs]
    if not found or not found[0].startswith("code"):  # one commit, but not the same files
        for package in sorted({name for code in codes for name in code}):
            digests = {code[package] for code in codes if package in code}  # of runs that use it
            if len(digests) > 1:
                found.append(f"code (files of {package}): {_listed(sorted(digests))}")
    packages = {name for run in runs for name in run.meta.get("versions", {})}
    for name in sorted(packages):
        values = [str(run.meta.get("versions", {}).get(name)) for run in runs]
        if len(set(values)) > 1:
            found.append(f"versions ({name}): {_listed(values)}")
    return found


def _config_keys(runs: Sequence[Run]) -> list[str]:
    flat = [flat_config(run.config) for run in runs]
    keys = {k for one in flat for k in one if len({str(f.get(k)) for f in flat}) > 1 and k != "seed" and changes_results(k)}
    return [", ".join(sorted(keys)[:5])] if keys else []


def _listed(values: Iterable[object]) -> str:
    texts = dict.fromkeys(map(str, values))
    return ", ".join(t[:12] + "+" * (len(t) > 12 and t.endswith("+")) for t in texts)  # + marks changes on top of a commit
