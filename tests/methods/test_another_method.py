"""A method of another kind joins with one class and one yaml file: every command takes it, nothing of the package changes."""

import json

import numpy as np
import pytest
import torch
from colour_method import write_colour_world
from toy_world import put, run_here, start

from flexhook.reports.runs import read_run
from flexhook.structures.result_files import read_results


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("colour")
    write_colour_world(root / "data", "abcd")
    put(root / "my_conf/method/colour.yaml").write_text("_target_: colour_method.ColourMethod\nname: colour\nlr: 0.1\n")
    return root


def overrides(world, folder):
    names = {"train": "[a,b]", "val": "[c]", "test": "[d]"}
    return ["train", "--config-dir", world / "my_conf", "method=colour", "experiment=none", "name=colour", "data=refer_kitti",
            f"data.root={world}/data", *(f"data.reader.splits.{s}={v}" for s, v in names.items()),
            "data.reader.sizes.default=[64,192]", "sampling.batch_size=10", "optim.epochs=2", "trainer.log_every_n_steps=1",
            "trainer.accelerator=cpu", f"hydra.run.dir={folder}"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(world / "cache"))
        status, said = run_here(overrides(world, world / "run"), world)
    assert status == 0, said
    return world / "run", said


def threshold(path):
    return torch.load(path, weights_only=True)["state_dict"]["threshold"].item()


def test_it_trains_validates_by_its_own_metric_and_is_tested(trained):
    run, said = trained
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0.05 < threshold(run / "checkpoints/last.ckpt") < 0.85  # from 1.5; the colours' strength is 0.9
    assert metrics["val/agreement"] == 100 and "val/F1" not in metrics
    assert metrics["test/HOTA"] == pytest.approx(100) and metrics["test/expressions"] == 3
    assert "val/agreement 100.00" in said
    assert (run / "checkpoints/epoch001-agreement_100.00.ckpt").is_file()
    assert json.loads((run / "meta.json").read_text())["monitor"] == "val/agreement"
    assert (run / "pictures/good_expressions.png").is_file()


def test_limits_that_it_cannot_have_are_left_out_by_name(trained):
    run, said = trained
    metrics = json.loads((run / "metrics.json").read_text())
    assert not any(key.startswith(("oracle", "accept_all")) for key in metrics)
    header = (run / "expressions.csv").read_text().splitlines()[0].split(",")
    assert "HOTA" in header and "oracle_HOTA" not in header and "F1" not in header
    assert "oracle" not in said
    assert read_run(run).evaluation.oracle is None


def test_its_results_are_rows_with_identities_of_every_expression(trained):
    results = read_results(trained[0] / "scores", "d")
    assert [e.slug for e in results.expressions] == ["blue-cars", "cars", "red-cars"] and not results.keeps_rejected
    identities = [set(item.tracks.identity.tolist()) for item in results]
    assert identities == [{0}, {100, 101}, {200}]
    assert all((item.score == 0.75).all() and item.accepted.all() for item in results)
    assert [len(item.tracks) for item in results] == [10, 20, 10]


def test_scores_evaluates_renders_and_reports(world, trained):
    run, _ = trained
    checkpoint = max((run / "checkpoints").glob("epoch*"))
    status, said = run_here(["score", f"ckpt={checkpoint}", f"out={world}/scored"], world)
    assert status == 0, said
    assert (world / "scored/scores/d.npz").read_bytes() == (run / "scores/d.npz").read_bytes()
    status, said = run_here(["score", f"ckpt={checkpoint}", f"out={world}/scored"], world)
    assert status == 0 and "scored d: 0 expressions" in said  # nothing is done again
    status, said = run_here(["evaluate", f"run={world}/scored", f"trackeval={world}/trackeval"], world)
    assert status == 0 and "oracle" not in said, said
    assert json.loads((world / "scored/metrics.json").read_text())["test/HOTA"] == pytest.approx(100)
    status, said = run_here(["evaluate", f"results={world}/trackeval"], world)
    assert status == 0 and "100.00" in said, said
    status, said = run_here(["render", run, "--expression", "red cars", "--frames", "2"], world)
    assert status == 0 and (run / "pictures/d/red-cars.mp4").is_file(), said
    status, said = run_here(["report", run, "--out", world / "report"], world)
    assert status == 0, said
    assert "oracle" not in (world / "report/report.md").read_text().partition("## ")[2].partition("## ")[0]


def test_killed_training_goes_on_to_the_same_results(world, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXHOOK_CACHE", str(world / "cache"))
    kill = ["+callbacks.kill._target_=toy_world.KillAt", "+callbacks.kill.step=8"]
    with start([*overrides(world, tmp_path / "run"), *kill], world) as process:
        said = process.communicate(timeout=300)[0]
    assert process.returncode not in (0, None), said
    last = tmp_path / "run/checkpoints/last.ckpt"
    status, said = run_here([*overrides(world, tmp_path / "run"), f"ckpt_path={last}"], world)
    assert status == 0, said
    for name in ("metrics.json", "expressions.csv"):
        assert (tmp_path / "run" / name).read_text() == (trained[0] / name).read_text()
    assert threshold(last) == threshold(trained[0] / "checkpoints/last.ckpt")


@pytest.mark.slow
def test_two_processes_train_and_share_the_blocks_of_one_video(world, trained, tmp_path, monkeypatch):
    """One test video, two processes: each predicts a block of its expressions."""
    monkeypatch.setenv("FLEXHOOK_CACHE", str(world / "cache"))
    with start([*overrides(world, tmp_path / "run"), "trainer=ddp", "sampling.batch_size=5"], world) as process:
        said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    one, two = (json.loads((run / "metrics.json").read_text()) for run in (trained[0], tmp_path / "run"))
    assert one == pytest.approx(two)
    results = [read_results(run / "scores", "d") for run in (trained[0], tmp_path / "run")]
    for a, b in zip(*results, strict=True):
        assert a.expression == b.expression and np.array_equal(a.tracks.box, b.tracks.box)
    assert not list((tmp_path / "run/scores").glob(".*"))
