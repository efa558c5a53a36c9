"""Making a synthetic dataset on disk."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from flexhook.datasets.expressions import slug
from flexhook.datasets.mot import write_mot
from flexhook.datasets.synthetic.config import VERSION, WorldConfig
from flexhook.datasets.synthetic.drawing import Painter
from flexhook.datasets.synthetic.kinds import CATEGORIES, KINDS
from flexhook.datasets.synthetic.meanings import Facts, facts_of
from flexhook.datasets.synthetic.scene import EGO_MODES, Scene, simulate
from flexhook.datasets.synthetic.selection import Statement, select
from flexhook.datasets.synthetic.tracker import simulate_tracker
from flexhook.datasets.synthetic.visibility import Observations, observe
from flexhook.errors import InputError
from flexhook.structures import Expression, ImageFiles, TrackSet, Video, make_labels

log = logging.getLogger(__name__)
MANIFEST = "synthetic.json"
_IMAGES, _LABELS = "KITTI/training/image_02", "KITTI/labels_with_ids/image_02"
_In, _Out = TypeVar("_In"), TypeVar("_Out")


def simulate_videos(config: WorldConfig, workers: int | None = None) -> dict[str, tuple[Scene, Observations]]:
    """Scenes and visible objects of all videos, without drawing anything.

    Args:
        config: The world.
        workers: Processes; by default one per processor. The result does not depend on it.
    """
    jobs = [
        (name, sum(len(names) for s, names in list(config.splits.items())[:split_number]) + k, EGO_MODES[k % len(EGO_MODES)], config)
        for split_number, names in enumerate(config.splits.values())
        for k, name in enumerate(names)
    ]
    results = _map(_simulate_one, jobs, workers)
    return {job[0]: result for job, result in zip(jobs, results, strict=True)}


def describe_videos(
    simulated: dict[str, tuple[Scene, Observations]], config: WorldConfig
) -> dict[str, tuple[Facts, list[Statement]]]:
    """Facts and sentences of all videos."""
    facts = {name: facts_of(scene, seen) for name, (scene, seen) in simulated.items()}
    statements = select(facts, config)
    return {name: (facts[name], statements[name]) for name in simulated}


def as_video(seen: Observations, scene: Scene, statements: list[Statement], frames: ImageFiles) -> Video:
    """A simulated video in the in-memory form, as the reader would give it (boxes unrounded)."""
    category = [CATEGORIES.index(KINDS[scene.things[t].kind].category) for t in seen.thing]
    truth = TrackSet.build(seen.frame, seen.thing, seen.box, category, categories=CATEGORIES)
    expressions = tuple(Expression(s.sentence, slug(s.sentence), s.tags) for s in statements)
    pairs = [(row, column) for column, s in enumerate(statements) for row in np.flatnonzero(s.true)]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    return Video(scene.name, scene.camera.size, frames, truth, expressions, make_labels(rows, columns, (len(truth), len(expressions))))


def generate(root: str | Path, config: WorldConfig, workers: int | None = None) -> None:
    """Make a dataset in the raw Refer-KITTI layout, with tracks of the simulated tracker under ``tracks/simulated``.

    Everything is written to a temporary folder beside ``root``, the manifest ``synthetic.json`` last, and then renamed.

    Args:
        root: Folder to make; it must not exist or be empty.
        config: The world.
        workers: Processes; by default one per processor. The files do not depend on it.

    Raises:
        InputError: ``root`` exists and is not an empty folder.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError("the folder is not empty", file=root, expected="a new folder", hint="Choose another one or remove it")
    root.parent.mkdir(parents=True, exist_ok=True)
    log.info("simulating %d videos of %d frames", sum(map(len, config.splits.values())), config.frames)
    simulated = simulate_videos(config, workers)
    described = describe_videos(simulated, config)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".tmp", dir=root.parent))
    try:
        jobs = [(temporary, *simulated[name], described[name][1], config) for name in simulated]
        log.info("drawing them")
        _map(_write_video, jobs, workers)
        counts = {
            "frames": config.frames * len(simulated),
            "observations": sum(len(seen.frame) for _, seen in simulated.values()),
            "sentences": len({s.sentence for _, statements in described.values() for s in statements}),
            "expressions": {name: len(statements) for name, (_, statements) in described.items()},
        }
        manifest = {"version": VERSION, "seed": config.seed, "config": asdict(config), "splits": config.splits, "counts": counts}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        temporary.chmod(0o755)
        os.replace(temporary, root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    log.info("wrote %s", root)


def ensure(root: str | Path, config: WorldConfig, workers: int | None = None) -> None:
    """Make the dataset unless it is there.

    Raises:
        InputError: The folder holds something else: another world, an older version's, or no synthetic world at all.
    """
    root = Path(root)
    manifest = root / MANIFEST
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        generate(root, config, workers)
        return
    hint = "Remove the folder to have it made anew, or choose another one (data.root=FOLDER; `flexhook data synthesize --out FOLDER`)"
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError("the folder holds no synthetic world", file=root, expected=f"{MANIFEST} in it", hint=hint) from None
    wanted = json.loads(json.dumps({"version": VERSION, "config": asdict(config)}))
    if not isinstance(found, dict) or found.get("version") != wanted["version"]:
        raise InputError("the synthetic world is of another version", file=manifest, expected=f"version {VERSION}", hint=hint)
    if found.get("config") != wanted["config"]:
        there = found.get("config") if isinstance(found.get("config"), dict) else {}
        names = [k for k, v in wanted["config"].items() if there.get(k) != v]
        raise InputError(
            f"the synthetic world was made from another configuration ({', '.join(names) or 'more settings'} differ)",
            file=manifest, expected=", ".join(f"{k} = {wanted['config'][k]}" for k in names) or None, hint=hint,
        )


def _simulate_one(job: tuple[str, int, str, WorldConfig]) -> tuple[Scene, Observations]:
    cv2.setNumThreads(1)
    scene = simulate(*job)
    return scene, observe(scene, job[3])


def _write_video(job: tuple[Path, Scene, Observations, list[Statement], WorldConfig]) -> None:
    root, scene, seen, statements, config = job
    cv2.setNumThreads(1)
    images, labels, expressions = root / _IMAGES / scene.name, root / _LABELS / scene.name, root / "expression" / scene.name
    for folder in (images, labels, expressions):
        folder.mkdir(parents=True)
    painter = Painter(scene, config)
    video = as_video(seen, scene, statements, ImageFiles([images / f"{k:06d}.jpg" for k in range(scene.frames)]))
    truth = video.truth
    fractions = video.normalised(np.concatenate([truth.box[:, :2], truth.box[:, 2:] - truth.box[:, :2]], 1))
    for frame in range(scene.frames):
        picture = cv2.cvtColor(painter.draw(frame), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality])
        if not done:
            raise RuntimeError("OpenCV did not encode a picture as JPEG")
        (images / f"{frame:06d}.jpg").write_bytes(data.tobytes())
        rows = np.flatnonzero(truth.frame == frame)
        (labels / f"{frame:06d}.txt").write_text("".join(
            f"{truth.category[r]} {truth.identity[r]} " + " ".join(f"{v:.6f}" for v in fractions[r]) + "\n" for r in rows
        ))
    for expression, statement in zip(video.expressions, statements, strict=True):
        label: dict[str, list[int]] = {}
        for row in np.flatnonzero(statement.true):
            label.setdefault(str(truth.frame[row]), []).append(int(truth.identity[row]))
        content = {"label": label, "ignore": [], "video_name": scene.name, "sentence": expression.sentence}
        if expression.tags:
            content["tags"] = list(expression.tags)
        (expressions / f"{expression.slug}.json").write_text(json.dumps(content), encoding="utf-8")
    tracks = simulate_tracker(video, config.tracker, config.seed)
    for number, category in enumerate(CATEGORIES):
        mine = tracks.select(tracks.category == number)
        write_mot(root / "tracks" / "simulated" / scene.name / category / "predict.txt", mine, first_frame=1)


def _map(function: Callable[[_In], _Out], jobs: Iterable[_In], workers: int | None) -> list[_Out]:
    """The function's results in the order of the jobs, from several processes."""
    jobs = list(jobs)
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    if workers == 1:
        return [function(job) for job in jobs]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(function, jobs))
