"""Commands killed at random times and at chosen files, and given again: equal results, nothing left over.

``make campaign`` kills 60 times, the slow tests 12 times, other ones every day. A failure names the seed and the kill:
``FLEXHOOK_CAMPAIGN_SEED=7 FLEXHOOK_CAMPAIGN_KILLS=4:5 pytest -m slow tests/campaign/test_kills.py`` repeats one.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tiny_video import SIZE
from toy_world import run_here, start, toy_overrides, write_toy_world

from flexhook.media.video_files import VideoWriter

SEED = int(os.environ.get("FLEXHOOK_CAMPAIGN_SEED", date.today().toordinal()))
HELPERS = Path(__file__).parents[1] / "helpers"
LONGEST = 300  # seconds of one command


@dataclass
class Job:
    """A command to kill.

    Attributes:
        name: Of the command.
        arguments: Of a folder that it works in.
        results: Patterns of the files that have to be equal, below that folder.
        files: Files at whose writing it may be killed, as ``killed.py`` names them.
        prepare: Fills the folder before.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    results: tuple[str, ...]
    files: tuple[str, ...] = ()
    prepare: Callable[[Path], object] = lambda folder: None


def kills():
    """The kills that are asked for: a number, or FIRST:STOP."""
    first, _, stop = os.environ.get("FLEXHOOK_CAMPAIGN_KILLS", "12").rpartition(":")
    return range(int(first or 0), int(stop))


def digests(folder, job):
    """The digests of a command's results."""
    files = sorted({path for pattern in job.results for path in folder.glob(pattern) if path.is_file()})
    assert files, f"{job.name} left nothing in {folder}"
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def leftovers(*folders):
    """What killed processes left behind."""
    return [str(path) for folder in folders for path in folder.rglob("*")
            if path.name.endswith((".tmp", ".partial")) or path.name.startswith(".flexhook")]  # fmt: skip


def finish(job, folder, how=""):
    """The command to its end, in seconds."""
    begin = time.monotonic()
    with start(job.arguments(folder), folder.parent) as process:
        said = process.communicate(timeout=LONGEST)[0]
    assert process.returncode == 0, (job.name, how, said[-3000:])
    return time.monotonic() - begin


def killed(job, folder, seconds, rng):
    """Kill the command once; how, in words."""
    if job.files and rng.random() < 0.5:
        death = f"{job.files[int(rng.integers(len(job.files)))]}:1:{('before', 'after')[int(rng.integers(2))]}"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])}
        subprocess.run([sys.executable, str(HELPERS / "killed.py"), death, *job.arguments(folder)], cwd=folder.parent,
                       env=environment, capture_output=True, timeout=LONGEST)  # fmt: skip
        return death
    after = float(rng.uniform(0.3, 1.0)) * seconds  # it imports before
    with start(job.arguments(folder), folder.parent, start_new_session=True) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return f"after {after:.1f} s"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The commands, on a toy world and its run."""
    root = tmp_path_factory.mktemp("campaign")
    spans = {"a": {1: range(6), 2: range(2, 6)}, "u": {1: range(5), 2: range(3)}, "v": {3: range(4)}}
    world = write_toy_world(root / "world", spans)
    overrides, run = toy_overrides(world, "a", "u", "uv"), root / "run"
    status, said = run_here(["train", *overrides, f"hydra.run.dir={run}"], root)
    assert status == 0, said
    checkpoint = run / "checkpoints/last.ckpt"
    clip = root / "clip.mp4"
    with VideoWriter(clip, frame_rate=10, quality=5) as out:
        for k in range(90):
            image = np.full((*SIZE, 3), 90, np.uint8)
            image[20:40, 2 * k : 2 * k + 25] = (230, 40, 40)
            out.write(image)
    frames, tracks = world / "KITTI/training/image_02/u", world / "tracks/u/car/predict.txt"
    small = ["--train-videos", "1", "--test-videos", "1", "--frames", "6", "--expressions", "4", "--image-height", "96"]

    def scored(folder):
        shutil.copytree(run / "scores", folder / "scores")
        shutil.copy(run / "config.yaml", folder)

    listed = [
        Job("score", lambda f: ["score", f"ckpt={checkpoint}", f"out={f}/out", "accelerator=cpu"],
            ("out/scores/*",), ("u.npz", "v.npz", "expressions.json", "config.yaml")),
        Job("predict", lambda f: ["predict", f"video={frames}", f"tracks={tracks}", f"ckpt={checkpoint}", f"out={f}/out",
                                  'sentences=["cars","red cars"]', f"frame_size=[{SIZE[0]},{SIZE[1]}]"],
            ("out/*.txt", "out/*.csv", "out/scores/*"), ("cars.txt", "red-cars.mp4", "cars.csv", "u.npz")),
        Job("evaluate", lambda f: ["evaluate", f"run={f}"], ("metrics.json", "expressions.csv"),
            ("metrics.json", "expressions.csv", "sequences.npz"), scored),
        Job("track", lambda f: ["track", f"video={clip}", "detector=background", f"out={f}/out", "detector.warmup=1"],
            ("out/*",), ("clip.txt", "classes.txt")),
        Job("synthesize", lambda f: ["data", "synthesize", "--out", f"{f}/world", "--workers", "1", *small], ("world/**/*",)),
        Job("sweep", lambda f: ["train", "-m", *overrides, "seed=0,1", "optim.epochs=1", f"hydra.sweep.dir={f}/sweep"],
            ("sweep/**/scores/*.npz",), ("last.ckpt", "u.npz", "metrics.json", "meta.json")),
        Job("render", lambda f: ["render", f"{f}", "--video", "u", "--expression", "cars"], ("pictures/**/*.png",),
            ("*.png", "*.mp4"), scored),
    ]  # fmt: skip
    return listed


@pytest.mark.slow
def test_killed_commands_that_are_given_again_end_as_uninterrupted_ones(jobs, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole, failures = {}, []
    for number in kills():
        rng = np.random.default_rng([SEED, number])
        job = jobs[int(rng.integers(len(jobs)))]
        cache = tmp_path_factory.mktemp("cache")
        monkeypatch.setenv("FLEXHOOK_CACHE", str(cache))
        if job.name not in whole:
            folder = tmp_path_factory.mktemp(job.name)
            job.prepare(folder)
            seconds = finish(job, folder)
            whole[job.name] = (digests(folder, job), seconds)
            shutil.rmtree(cache)
            cache.mkdir()
        expected, seconds = whole[job.name]
        folder = tmp_path_factory.mktemp(f"{job.name}{number}")
        job.prepare(folder)
        how = killed(job, folder, seconds, rng)
        try:
            finish(job, folder, how)
            found = digests(folder, job)
            different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
            assert not different, f"{different[:5]} differ"
            assert not leftovers(folder, cache), leftovers(folder, cache)[:5]
        except AssertionError as error:
            failures.append(f"kill {number} of seed {SEED}, {job.name} {how}: {str(error)[-1500:]}")
        shutil.rmtree(folder)
    assert not failures, json.dumps(failures, indent=1)
