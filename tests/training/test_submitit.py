"""Jobs of submitit: of its local executor, processes that a scheduler starts on this machine, and refused by SLURM."""

import json
import os
import subprocess
import sys

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
    assert not (run / "failed.txt").exists() and not (run / ".running").exists() and not list(run.glob(".prepared-*"))
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


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster whose sbatch refuses every job."""
    for name, line in (("srun", "exit 0"), ("sbatch", "echo 'sbatch: error: invalid partition specified: gold' >&2; exit 1")):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")


def test_a_job_that_sbatch_refuses_is_one_message_with_the_options(slurm, tmp_path):
    with start(["train", "-m", "launcher=slurm", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep"], tmp_path) as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "Traceback" not in said
    line = said.splitlines()[-1]
    assert line.startswith("flexhook train: sbatch refused the job: sbatch: error: invalid partition specified: gold.")
    assert "hydra.launcher.partition" in line


def test_an_sbatch_that_names_no_job_is_one_message_with_what_it_said(slurm, tmp_path):
    (tmp_path / "bin/sbatch").write_text("#!/bin/sh\necho 'dry run: nothing is submitted'\n")
    with start(["train", "-m", "launcher=slurm", "seed=0", f"hydra.sweep.dir={tmp_path}/sweep"], tmp_path) as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "Traceback" not in said
    line = said.splitlines()[-1]
    assert line.startswith("flexhook train: sbatch did not say which job it has submitted: ")
    assert "dry run: nothing is submitted" in line
    assert "Submitted batch job NUMBER" in line


def test_a_sweep_whose_jobs_are_refused_says_so_and_what_is_not_done(slurm, tmp_path):
    sweep = ["sweep", "window", "--seeds", "1", "launcher=slurm", "--no-report"]
    command = [sys.executable, "-m", "flexhook.commands.main", *sweep]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("sbatch refused the job") == 1
    assert "0 of 4 runs are done" in done.stdout


def test_without_slurm_the_launcher_names_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with start(["train", "-m", "launcher=slurm", "seed=0", f"hydra.sweep.dir={tmp_path}/sweep"], tmp_path) as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "there is no SLURM on this machine" in said.splitlines()[-1]
    assert "Traceback" not in said
