"""flexhook report: groups, differences, warnings, files."""

import csv
import json

import numpy as np
import pytest
from fake_runs import SENTENCES, fake_evaluation, make_run

from flexhook.commands.main import main
from flexhook.errors import InputError
from flexhook.reports.comparison import Comparison, Difference, Interval, Spread, compare, comparisons
from flexhook.reports.conclusions import findings
from flexhook.reports.consistency import warnings
from flexhook.reports.report_pages import _protocol_notes
from flexhook.reports.runs import find_runs, group_runs
from flexhook.reports.scores import score_table
from flexhook.reports.table import Table


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
    assert find_runs([sweep])[1] == [f"not finished: {sweep}/late/seed0"]


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


def test_a_name_that_ends_in_a_seed_is_not_a_seed_of_its_folder(tmp_path):
    make_run(tmp_path / "ikun_seed0", 0.4, 0)
    make_run(tmp_path / "flexhook_seed1", 0.6, 1)
    assert sorted(g.name for g in group_runs(find_runs([tmp_path])[0])) == ["flexhook_seed1", "ikun_seed0"]


def break_nothing(run):
    (run / "wandb/offline-run-1/files").mkdir(parents=True)
    (run / "wandb/offline-run-1/files/config.yaml").write_text("a: 1\n")


def put_text_into_metrics(run):
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "test/HOTA": "high"}))


def cut(name):
    def half(run):
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])

    return half


@pytest.mark.parametrize(("damage", "words"), [
    (break_nothing, None),  # wandb's own config.yaml is no run
    (lambda run: (run / "meta.json").unlink(), "no meta.json"),
    (cut("metrics.json"), "the file is not JSON"),
    (cut("sequences.npz"), "sequences.npz: the file is truncated"),
    (put_text_into_metrics, "test/HOTA is 'high'"),
    (lambda run: (run / "config.yaml").write_text(""), "config.yaml"),
    (lambda run: (run / "config.yaml").write_text("seed: first\n"), "config.yaml: data or seed"),
])
def test_a_broken_run_folder_is_named_and_left_out(tmp_path, capsys, damage, words):
    make_run(tmp_path / "a" / "seed0", 0.4)
    damage(make_run(tmp_path / "b" / "seed0", 0.5))
    assert main(["report", str(tmp_path), "--baseline", "a"]) == 0
    page, said = (tmp_path / "report" / "report.md").read_text(), capsys.readouterr()
    assert "Traceback" not in said.err
    assert ("| b " in page) == (words is None)
    if words:
        assert f"left out: {tmp_path}/b/seed0" in page and words in page
    else:
        assert "left out" not in page and "not finished" not in page


def test_a_comparison_says_on_how_many_sequences_it_is_taken(tmp_path):
    make_run(tmp_path / "a" / "seed0", 0.4, evaluation=fake_evaluation(0.4, 0, SENTENCES[:8]))
    make_run(tmp_path / "a" / "seed1", 0.4, 1, evaluation=fake_evaluation(0.4, 1, SENTENCES[2:10]))
    make_run(tmp_path / "b" / "seed0", 0.6, evaluation=fake_evaluation(0.6, 0, SENTENCES[1:9]))
    make_run(tmp_path / "c" / "seed0", 0.6, evaluation=fake_evaluation(0.6, 0, SENTENCES[10:]))
    a, b, c = group_runs(find_runs([tmp_path])[0])
    assert compare(b, a, draws=20).sequences == 2 * 6  # two videos
    assert compare(c, a, draws=20) is None
    assert "b against a, on 12 sequences: pooled HOTA" in findings([a, b], comparisons([a, b], "a", draws=20))[0]
    said = warnings([a, b])
    assert any("the runs of 'a' were tested on different" in text and "12 in common, of 16;" in text for text in said)
    assert any("the runs compared were tested on different" in text and "12 in common, of 12, 16" in text for text in said)
    assert not any("tested on different" in text for text in warnings([b]))


@pytest.mark.parametrize(("pooled", "mean", "disagree"), [
    ((1, 3), (-3, -1), True), ((1, 3), (1, 3), False), ((1, 3), (-3, 1), False), ((-1, 3), (-3, -1), False)])
def test_rankings_disagree_only_where_both_are_resolved(groups, pooled, mean, disagree):
    one, two = (Difference("ikun", Interval(sum(ends) / 2, *ends), 0.1) for ends in (pooled, mean))
    said = findings(groups, {"chook": Comparison(one, two, 24)})
    assert any("disagree" in text for text in said) == disagree
    assert not any("disagree" in text for text in findings(groups, {}))


def test_previous_needs_an_order(sweep, capsys):
    assert main(["report", str(sweep), "--baseline", "previous"]) == 2
    assert "--order" in capsys.readouterr().err


def test_published_rows_of_every_dataset_stand_below(tmp_path):
    for name, dataset in (("a", "synthetic"), ("b", "refer_kitti_ikun"), ("c", "refer_dance")):
        make_run(tmp_path / name / "seed0", 0.4, dataset=dataset)
    groups = group_runs(find_runs([tmp_path])[0])
    names = [row[0] for row in score_table(groups, {}).rows if "published" in row[0]]
    assert names == ["published on refer_kitti: FlexHook", "published on refer_dance: FlexHook"]


def test_latex_shows_every_character_of_a_name():
    rows = tuple((name, "1") for name in ("a{b}$x^2~%", "c\\d<e>", "[x]"))
    lines = Table(("run", "HOTA"), rows).latex().splitlines()
    assert lines[4:7] == [r"a\{b\}\$x\textasciicircum{}2\textasciitilde{}\% & 1 \\",
                          r"c\textbackslash{}d\textless{}e\textgreater{} & 1 \\", r"{}[x] & 1 \\"]


def test_uncommitted_changes_show_in_a_shortened_commit(tmp_path):
    make_run(tmp_path / "a" / "seed0", 0.4, commit="a" * 40)
    make_run(tmp_path / "a" / "seed1", 0.4, 1, commit="a" * 40 + "+")
    assert f"{'a' * 12}, {'a' * 12}+" in " ".join(warnings(group_runs(find_runs([tmp_path])[0])))


def test_seeds_may_differ_in_what_results_do_not_depend_on(tmp_path):
    make_run(tmp_path / "a" / "seed0", 0.4, config={"pictures": True, "trainer": {"devices": "auto"}, "optim": {"lr": 1}})
    make_run(tmp_path / "a" / "seed1", 0.4, 1, config={"pictures": False, "trainer": {"devices": 1}, "optim": {"lr": 2}})
    (said,) = [text for text in warnings(group_runs(find_runs([tmp_path])[0])) if "configuration" in text]
    assert said.endswith("configuration: optim.lr")


def test_uncommitted_code_that_differs_is_named_by_its_package(tmp_path):
    make_run(tmp_path / "a" / "seed0", 0.4, commit="a" * 40 + "+", code={"flexhook": "1" * 16, "mypackage": "3" * 16})
    make_run(tmp_path / "a" / "seed1", 0.4, 1, commit="a" * 40 + "+", code={"flexhook": "2" * 16, "mypackage": "3" * 16})
    make_run(tmp_path / "b" / "seed0", 0.4, commit="a" * 40 + "+", code={"flexhook": "1" * 16})  # does not use mypackage
    said = warnings(group_runs(find_runs([tmp_path])[0]))
    assert [text for text in said if "code (files" in text] == [
        f"the runs of 'a' differ in code (files of flexhook): {'1' * 12}, {'2' * 12}"]


def test_a_run_that_was_refused_is_left_out_with_its_reason(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path / name / "seed0", 0.4)
    (tmp_path / "b/seed0/failed.txt").write_text("the folder holds a run of another configuration: lr: 1, now 2\n\nmore")
    runs, problems = find_runs([tmp_path])
    assert [run.folder.parent.name for run in runs] == ["a"]
    assert problems == [f"left out: {tmp_path}/b/seed0: the folder holds a run of another configuration: lr: 1, now 2"]
