"""The built wheel, alone: its configurations and everything else travel in it."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def call(*argv, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=900, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The interpreter of an environment that holds the wheel and sees this one's dependencies, not this source tree."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("flexhook-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    here = Path(next(p for p in sys.path if p.endswith("site-packages")))
    call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(f"{here}\n")  # as a path alone: its own .pth files, an editable install, stay out
    return python


@pytest.mark.slow
def test_wheel_trains_from_an_empty_folder(installed, tmp_path, cache):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    where = call(installed, "-c", "import flexhook; print(flexhook.__file__)", cwd=tmp_path, env=environment)
    assert str(installed.parents[1]) in where
    said = call(installed.with_name("flexhook"), "train", "experiment=synthetic_tiny", "visual.strides=[16,32]",
                "optim.epochs=1", cwd=tmp_path, env=environment)
    assert "results: " in said
    metrics = json.loads((tmp_path / "outputs/latest/metrics.json").read_text())
    assert metrics["oracle/HOTA"] > metrics["accept_all/HOTA"] > 0
    assert json.loads((tmp_path / "outputs/latest/meta.json").read_text())["commit"] is None
