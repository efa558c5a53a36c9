"""A sweep killed again and again and started again ends with the report of an uninterrupted one."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_world import run_here, start

HELPERS = Path(__file__).parents[1] / "helpers"
#: Where ten processes die, one after the other: within checkpoints, scores and metrics, and between runs.
DEATHS = [
    "config.yaml:1:after", "*.ckpt:1:before", "*.ckpt:3:before", "*.ckpt:2:after", "metrics.json:1:before", "u.npz:1:before",
    "metrics.json:1:after", "expressions.csv:1:after", "meta.json:2:before", "metrics.json:2:before",
]  # fmt: skip
TIMES = ("second", "memory")


def table(sweep):
    """Rows of a sweep's report, times left out."""
    status, said = run_here(["report", sweep, "--out", sweep / "report"], sweep.parent)
    assert status == 0, said
    with (sweep / "report" / "table.csv").open() as file:
        rows = [{k: v for k, v in row.items() if not any(t in k.lower() or t in v.lower() for t in TIMES)}
                for row in csv.DictReader(file)]
    assert len(rows) == 2 and all(float(row["test/HOTA"]) > 0 for row in rows)
    return rows


@pytest.mark.slow
def test_a_sweep_killed_ten_times_reports_what_an_uninterrupted_one_does(toy, tmp_path):
    arguments = ["train", "-m", *toy.overrides, "optim.epochs=3", "seed=0,1,2,3", "perturbation=none,published",
                 "callbacks.checkpoint.save_top_k=2"]
    with start([*arguments, f"hydra.sweep.dir={tmp_path}/whole"], tmp_path) as process:
        said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said
    killed = [*arguments, f"hydra.sweep.dir={tmp_path}/killed"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])}
    for death in DEATHS:
        dying = subprocess.run([sys.executable, str(HELPERS / "killed.py"), death, *killed], cwd=tmp_path, env=environment,
                               capture_output=True, text=True, timeout=600)
        assert dying.returncode == -signal.SIGKILL, (death, dying.stdout[-2000:], dying.stderr[-2000:])
    with start(killed, tmp_path) as process:
        said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said
    assert table(tmp_path / "killed") == table(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("failed.txt"))
