"""flexhook report: groups, differences, warnings, files."""

import csv
import json

import numpy as np
import pytest
from fake_runs import make_run

from flexhook.commands.main import main
from flexhook.errors import InputError
from flexhook.reports.comparison import Difference, Interval, Spread, comparisons
from flexhook.reports.consistency import warnings
from flexhook.reports.runs import find_runs, group_runs
from flexhook.reports.scores import score_table
from flexhook.reports.table import Table
from flexhook.reports.write import _protocol_notes


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    root = tmp_path_factory.mktemp("outputs") / "components"
    for name, skill in (("ikun", 0.35), ("chook", 0.5), ("pcd", 0.5)):
        for seed in range(2):
            make_run(root / name / f"seed{seed}", skill, seed, dataset="refer_kitti_v2")
    (root / "late" / "seed0").mkdir(parents=True)
    (root / "late" / "seed0" / "config.yaml").write_text("seed: 0\n")
    return root


@pytest.fixture(scope="module")
def groups(sweep):
    return group_runs(find_runs([sweep])[0])


def test_seeds_beside_each_other_are_one_name(sweep, groups):
    assert {g.name: [r.seed for r in g.runs] for g in groups} == {"chook": [0, 1], "ikun": [0, 1], "pcd": [0, 1]}
    assert [p.parent.name for p in find_runs([sweep])[1]] == ["late"]


def test_mean_and_deviation_over_seeds():
    spread = Spread.of(np.array([1.0, 3.0]))
    assert (spread.mean, spread.deviation, spread.count) == (2.0, pytest.approx(2**0.5), 2)
    assert Spread.of(np.array([1.0])).deviation is None


@pytest.mark.parametrize(("value", "low", "high", "spread", "verdict"), [
    (2.0, 1.0, 3.0, 0.5, "higher"), (-2.0, -3.0, -1.0, 0.5, "lower"),
    (2.0, -0.1, 4.0, 0.5, "not resolved"),  # the interval holds 0
    (2.0, 1.0, 3.0, 2.5, "not resolved")])  # less than the seeds' spread
def test_a_difference_is_an_ordering_only_where_it_is_resolved(value, low, high, spread, verdict):
    assert Difference("base", Interval(value, low, high), spread).verdict == verdict


def test_differences_to_a_baseline_and_to_the_previous(groups):
    to_ikun = comparisons(groups, "ikun", draws=50)
    assert set(to_ikun) == {"chook", "pcd"}
    hota = {g.name: g.values("test/HOTA").mean() for g in groups}
    assert to_ikun["chook"].pooled.interval.value == pytest.approx(hota["chook"] - hota["ikun"])
    assert {k: v.pooled.baseline for k, v in comparisons(groups, "previous", draws=50).items()} == {
        "ikun": "chook", "pcd": "ikun"}
    steps = comparisons(groups, {"pcd": "chook", "chook": "ikun"}, draws=50)
    assert {k: v.pooled.baseline for k, v in steps.items()} == {"chook": "ikun", "pcd": "chook"}
    for wrong in ("nobody", {"pcd": "nobody"}, {"nobody": "pcd"}):
        with pytest.raises(InputError, match="no run 'nobody'"):
            comparisons(groups, wrong)


def test_limits_and_published_rows_stand_below(groups):
    names = [row[0] for row in score_table(groups, {}).rows]
    assert names[:5] == ["chook", "ikun", "pcd", "oracle", "accept all"]
    assert "published: iKUN" in names


def test_the_report_says_which_runs_follow_the_published_protocol(tmp_path):
    make_run(tmp_path / "a" / "seed0", 0.4, dataset="refer_kitti_v2")
    other = make_run(tmp_path / "b" / "seed0", 0.5, dataset="refer_kitti_v2")
    ours = _protocol_notes(group_runs(find_runs([tmp_path])[0]))
    assert len(ours) == 1
    assert ours[0].endswith("These runs follow ours; protocol=published compares like with like.")
    meta = json.loads((other / "meta.json").read_text())
    (other / "meta.json").write_text(json.dumps(meta | {"remarks": ["One.", "Two."]}))
    mixed = _protocol_notes(group_runs(find_runs([tmp_path])[0]))
    assert mixed[1:] == ["b: protocol=published. One. Two."]
    assert "like with like" not in mixed[0]
    assert _protocol_notes(group_runs(find_runs([other])[0]))[1] == "These runs follow protocol=published. One. Two."


def test_the_command_writes_tables_and_plots(sweep, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["report", str(sweep), "--order", "ikun,chook,pcd", "--baseline", "previous", "--out", str(out)]) == 0
    assert {p.name for p in out.iterdir()} == {
        "report.md", "table.tex", "table.csv", "scores.png", "differences.png", "thresholds.png", "groups.png", "speed.png"}
    with open(out / "table.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["run"] for r in rows] == ["ikun", "chook", "pcd"]
    assert not any("second" in key or "memory" in key for key in rows[0])
    assert "not finished" in (out / "report.md").read_text()
    assert "| ikun" in capsys.readouterr().out


def test_runs_that_differ_in_code_data_or_versions_are_named(tmp_path):
    make_run(tmp_path / "a" / "seed0", 0.4)
    make_run(tmp_path / "a" / "seed1", 0.4, 1, commit="b" * 40, data="d2", versions={"flexhook": "0.1.0", "torch": "2.1"})
    make_run(tmp_path / "b" / "seed0", 0.4, commit="c" * 39 + "+")
    said = " ".join(warnings(group_runs(find_runs([tmp_path])[0])))
    for text in ("'a' differ in code", "'a' differ in data: d1, d2", "versions (torch): 2.0, 2.1", "uncommitted changes"):
        assert text in said


def test_bad_input_is_one_message(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "does not exist" in said
    assert "no finished run" in said


def test_a_table_in_three_notations():
    table = Table(("run", "Δ HOTA"), (("a_b", "1.0 ± 0.1"), ("c", "")), (1,))
    assert table.markdown().splitlines()[2] == "| a_b | 1.0 ± 0.1 |"
    assert r"a\_b & 1.0 $\pm$ 0.1 \\" in table.latex()
