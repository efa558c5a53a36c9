"""Jobs of submitit's local executor: processes that a scheduler starts, on this machine."""

import json

import pytest
from toy_world import start

LAUNCHER = ["launcher=submitit_local", "hydra.launcher.tasks_per_node=2", "trainer=cpu", "pictures=false"]


def sweep(folder, *more):
    """``flexhook train -m`` with two tasks per job: (exit status, output)."""
    with start(["train", "-m", *LAUNCHER, *more, f"hydra.sweep.dir={folder}/sweep"], folder) as process:
        said = process.communicate(timeout=900)[0]
    return process.returncode, said


@pytest.mark.slow
def test_two_tasks_of_a_job_train_one_run_together(cache, tmp_path):
    status, said = sweep(tmp_path, "experiment=synthetic_tiny", "optim.epochs=1", "seed=3")
    assert status == 0, said
    run = tmp_path / "sweep/run/seed3" if (tmp_path / "sweep/run").is_dir() else next((tmp_path / "sweep").glob("*/seed3"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["test/HOTA"] <= metrics["oracle/HOTA"]
    assert not (run / "failed.txt").exists() and not (run / ".running").exists()
    logs = [path.read_text() for path in (tmp_path / "sweep/.submitit").glob("*/*_log.out")]
    assert len(logs) == 2  # one per task
    assert all("into " in log and ", 2 processes" in log for log in logs)
    assert sum("epoch 1/1" in log for log in logs) == 1  # rank 0 tells
    steps = [row for row in (run / "metrics.csv").read_text().splitlines() if row]
    assert len(steps) > 1
    status, said = sweep(tmp_path, "experiment=synthetic_tiny", "optim.epochs=1", "seed=3")  # the same again is done
    assert status == 0, said
    assert json.loads((run / "metrics.json").read_text()) == metrics


@pytest.mark.slow
def test_a_job_that_fails_leaves_its_cause_not_that_of_the_tasks_that_waited(cache, tmp_path):
    status, said = sweep(tmp_path, "experiment=none", "data=refer_kitti", "data.root=/nonexistent", "seed=3")
    assert status != 0
    assert "Traceback" not in said
    (note,) = (tmp_path / "sweep").rglob("failed.txt")
    assert "/nonexistent: the dataset's folder does not exist" in note.read_text().splitlines()[0]
