"""The mixed LaMOT configuration: checks clean, trains and evaluates end to end."""

import json
import subprocess
import sys
from pathlib import Path

import lamot_world
import pytest

from flexhook.commands.data import run

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "lamot_annotations"
SOURCES = {"MOT17", "SportsMOT", "VisDrone", "TAO"}

pytest.importorskip("wordninja")


@pytest.fixture
def lamot(tmp_path):
    lamot_world.annotations_from_structure(tmp_path / "data")
    lamot_world.draw(tmp_path / "data")
    return tmp_path / "data"


def check(root, capsys):
    status = run(["check", "data=lamot", f"data.root={root}", "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_the_mixture_checks_clean(lamot, capsys):
    status, report = check(lamot, capsys)
    assert (status, report["problems"]["error"]) == (0, 0)
    assert (report["counts"]["videos"], report["counts"]["frames"]) == (12, 12 * lamot_world.FRAMES)
    assert report["frame_shift"]["fits"] == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="the real annotation files are not beside this checkout")
def test_real_annotations_check_clean_over_drawn_sources(tmp_path, capsys):
    lamot_world.annotations_from_real_files(tmp_path, REAL)
    lamot_world.draw(tmp_path)
    status, report = check(tmp_path, capsys)
    assert (status, report["problems"]["error"]) == (0, 0)
    assert report["counts"]["expressions"] == 81


@pytest.mark.slow
def test_the_mixture_trains_and_evaluates(lamot, tmp_path):
    run_dir = tmp_path / "run"
    command = [sys.executable, "-m", "flexhook.commands.main", "train", "experiment=synthetic_tiny", "data=lamot"]
    changes = [
        f"data.root={lamot}",
        "data.validation_share=0.5",
        "sampling=windows",
        "sampling.stride={TAO:5,VisDrone:7,MOT17:4,SportsMOT:6}",
        "sampling.val_stride=${data.strides.val}",
        "sampling.val_keep_every=${data.strides.keep_every}",
        "optim.epochs=1",
        "trainer=cpu",
        f"cache_dir={tmp_path / 'cache'}",
        f"hydra.run.dir={run_dir}",
    ]
    done = subprocess.run([*command, *changes], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["test/expressions"] == 8  # two sentences of one test video per source
    assert 0 <= metrics["test/HOTA"] <= metrics["oracle/HOTA"] + 1e-9
    assert {path.stem for path in (run_dir / "scores").glob("*.npz")} == {
        "MOT17-03-FRCNN",
        "v_03aZ_c001",
        "uav0000003_00000_v",
        "03qi1gD2Sw_scene_1_28435-31083",
    }
