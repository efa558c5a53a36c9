"""Making a synthetic dataset on disk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from flexhook.datasets.mot import write_mot
from flexhook.errors import InputError
from flexhook.media.images import ImageFiles
from flexhook.structures import Video
from flexhook.structures.boxes import xyxy_to_xywh
from flexhook.structures.files import atomic_folder
from flexhook.synthetic.config import VERSION, WorldConfig
from flexhook.synthetic.drawing import picture_names
from flexhook.synthetic.tracker_errors import simulate_tracker
from flexhook.synthetic.workers import spread
from flexhook.synthetic.world import SimulatedVideo, simulate_world

log = logging.getLogger(__name__)

#: Written last: a folder with it is whole.
MANIFEST = "synthetic.json"
_IMAGES, _LABELS = "KITTI/training/image_02", "KITTI/labels_with_ids/image_02"


def generate(root: str | Path, config: WorldConfig, workers: int | None = None) -> None:
    """Make a dataset in the raw Refer-KITTI layout, with the simulated tracker's output under ``tracks/simulated``.

    Everything is written to a temporary folder beside ``root``, the manifest ``synthetic.json`` last, and then renamed.

    Args:
        root: Folder to make; it must not exist or be empty.
        config: The world.
        workers: Processes; by default one per processor. The files do not depend on it.

    Raises:
        InputError: ``root`` is a file or a folder that is not empty, or cannot be made.
        ConfigError: The world is so small that nothing can be said about a video.
    """
    root = Path(root)
    _refuse_full(root)
    with _ended_in_order(), atomic_folder(root) as temporary:
        log.info("simulating and drawing %d videos of %d frames", sum(map(len, config.splits.values())), config.frames)
        videos = simulate_world(config, workers, temporary / _IMAGES)
        spread(_write_video, [(temporary, video, config) for video in videos.values()], workers)
        text = json.dumps(_manifest(videos, config), indent=1)
        (temporary / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _refuse_full(root)
    log.info("wrote %s", root)


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """A request to end (SIGTERM) leaves the block as an exception: temporary folders and processes are cleared up."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ensure(root: str | Path, config: WorldConfig, workers: int | None = None) -> None:
    """Make the dataset unless it is there already.

    Args:
        root: Its folder.
        config: The world that should be there.
        workers: Processes, see :func:`generate`.

    Raises:
        InputError: The folder holds something else: another world, that of another version, or no synthetic world.
    """
    root = Path(root)
    if _is_free(root):
        try:
            generate(root, config, workers)
            return
        except InputError:
            if _is_free(root):
                raise
            log.info("another process was faster with %s", root)
    manifest = root / MANIFEST
    hint = "Remove the folder to have it made anew, or set another data.root (--out of `flexhook data synthesize`)"
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        version, there = found["version"], dict(found["config"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError("the folder holds no synthetic world", file=root, expected=f"{MANIFEST} in it", hint=hint) from None
    if version != VERSION:
        raise InputError(
            f"the synthetic world is of version {version}", file=manifest, expected=f"version {VERSION}", hint=hint
        )
    wanted = json.loads(json.dumps(asdict(config)))
    differing = sorted(k for k in wanted.keys() | there.keys() if there.get(k) != wanted.get(k))
    if differing:
        raise InputError(
            "the synthetic world has " + ", ".join(f"{k} = {there.get(k)}" for k in differing),
            file=manifest,
            expected=", ".join(f"{k} = {wanted.get(k)}" for k in differing),
            hint=hint,
        )


def _is_free(root: Path) -> bool:
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _refuse_full(root: Path) -> None:
    if root.is_symlink() and not root.exists():
        raise InputError("the folder is a link to what is not there", file=root, expected="a new folder or a link to a folder",
                         hint=f"Make {os.readlink(root)}, or remove the link")
    if not _is_free(root):
        hint = "Choose another folder or remove this one"
        raise InputError("the folder is not empty", file=root, expected="a new folder", hint=hint)


def _manifest(videos: dict[str, SimulatedVideo], config: WorldConfig) -> dict:
    counts = {
        "frames": config.frames * len(videos),
        "observations": sum(len(video.seen.frame) for video in videos.values()),
        "sentences": len({s.sentence for video in videos.values() for s in video.statements}),
        "expressions": {name: len(video.statements) for name, video in videos.items()},
    }
    settings = {"version": VERSION, "seed": config.seed, "config": asdict(config)}
    return {**settings, "splits": config.splits, "counts": counts}


def _write_video(job: tuple[Path, SimulatedVideo, WorldConfig]) -> None:
    root, simulated, config = job
    scene = simulated.scene
    files = [root / _IMAGES / scene.name / name for name in picture_names(scene.frames)]
    video = simulated.as_video(ImageFiles(files))
    _write_labels(root / _LABELS / scene.name, video)
    _write_expressions(root / "expression" / scene.name, video)
    tracks = simulate_tracker(video, config.tracker, config.seed)
    for number, category in enumerate(tracks.categories):
        file = root / "tracks" / "simulated" / scene.name / category / "predict.txt"
        write_mot(file, tracks.select(tracks.category == number), first_frame=1)


def _write_labels(folder: Path, video: Video) -> None:
    folder.mkdir(parents=True)
    truth = video.truth
    fractions = video.normalised(xyxy_to_xywh(truth.box))
    for frame in range(video.num_frames):
        rows = np.flatnonzero(truth.frame == frame)
        text = (
            f"{truth.category[row]} {truth.identity[row]} " + " ".join(f"{v:.6f}" for v in fractions[row]) + "\n"
            for row in rows
        )
        (folder / f"{frame:06d}.txt").write_text("".join(text), encoding="utf-8")


def _write_expressions(folder: Path, video: Video) -> None:
    folder.mkdir(parents=True)
    truth, labels = video.truth, video.labels.toarray()
    for expression, true in zip(video.expressions, labels.T, strict=True):
        label: dict[str, list[int]] = {}
        for row in np.flatnonzero(true):
            label.setdefault(str(truth.frame[row]), []).append(int(truth.identity[row]))
        content = {"label": label, "ignore": [], "video_name": video.name, "sentence": expression.sentence}
        if expression.tags:
            content["tags"] = list(expression.tags)
        (folder / f"{expression.slug}.json").write_text(json.dumps(content), encoding="utf-8")
