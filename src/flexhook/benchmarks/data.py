"""``flexhook bench data``: reading a dataset of the size of Refer-KITTI-V2 from its files, and from the cache."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from flexhook.datasets.reader import load
from flexhook.datasets.refer_kitti import ReferKitti
from flexhook.errors import InputError

#: What is promised at the default size: seconds from files and from the cache, peak memory in MB.
TARGETS = {"files": 10.0, "cache": 1.0, "memory": 1000.0}


def run(argv: list[str]) -> int:
    """Make the files, read them in new processes and print the table."""
    parser = argparse.ArgumentParser(prog="flexhook bench data", description=__doc__)
    parser.add_argument("--videos", type=int, default=21, help="videos (default: %(default)s)")
    parser.add_argument("--boxes", type=int, default=65_000, help="true boxes of all videos (default: %(default)s)")
    parser.add_argument("--expressions", type=int, default=9_800, help="expression files (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=380, help="frames per video (default: %(default)s)")
    parser.add_argument(
        "--share", type=float, default=0.15, help="of the boxes that an expression names (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    if min(arguments.videos, arguments.boxes, arguments.expressions, arguments.frames) < 1:
        raise InputError("a number is below 1", expected="at least one video, box, expression and frame")
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place) / "data", Path(place) / "cache"
        size = _write(root, arguments)
        print(
            f"{arguments.videos} videos, {arguments.videos * arguments.frames:,} frames, {arguments.boxes:,} boxes,"
            f" {arguments.expressions:,} expression files ({size / 1e6:.0f} MB); one process, {os.cpu_count()} cores"
        )
        print(f"{'':24}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'referents':>14}{'target':>10}")
        for name, target in (("files", "files"), ("files, then the cache", "files"), ("cache", "cache")):
            wall, cpu, peak, referents = _measure(root, cache if "cache" in name else None, arguments.videos)
            print(f"{name:24}{wall:10.2f}{cpu:10.2f}{peak:10.0f}{referents:14,}{TARGETS[target]:10.0f}")
        print(f"target for memory: {TARGETS['memory']:.0f} MB")
    return 0


def _measure(root: Path, cache: Path | None, videos: int) -> tuple[float, float, float, int]:
    """Read in a new process: elapsed seconds, CPU seconds, peak memory in MB, number of referents."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_read, root, cache, videos).result()


def _read(root: Path, cache: Path | None, videos: int) -> tuple[float, float, float, int]:
    os.environ["FLEXHOOK_CACHE"] = "off" if cache is None else str(cache)
    start, cpu = time.perf_counter(), time.process_time()
    reader = ReferKitti(root, {"train": _names(videos)}, {"default": [375, 1242]})
    read = load(reader, "train")
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return wall, cpu, peak, sum(video.labels.nnz for video in read)


def _names(videos: int) -> list[str]:
    return [f"{k:04d}" for k in range(videos)]


def _write(root: Path, arguments: argparse.Namespace) -> int:
    """Write a dataset of drawn boxes and sentences (empty images); returns the bytes of its expression files."""
    rng = np.random.default_rng(0)
    size = 0
    boxes = np.diff(np.linspace(0, arguments.boxes, arguments.videos + 1).astype(int)).tolist()
    expressions = np.diff(np.linspace(0, arguments.expressions, arguments.videos + 1).astype(int)).tolist()
    for name, count, sentences in zip(_names(arguments.videos), boxes, expressions, strict=True):
        images = root / "KITTI/training/image_02" / name
        labels = root / "KITTI/labels_with_ids/image_02" / name
        folder = root / "expression" / name
        for made in (images, labels, folder):
            made.mkdir(parents=True)
        frame = np.sort(rng.integers(0, arguments.frames, count))
        identity = np.arange(count) - np.searchsorted(frame, frame)
        box = np.concatenate([rng.uniform(0, 0.8, (count, 2)), rng.uniform(0.02, 0.2, (count, 2))], axis=1).tolist()
        edges = np.searchsorted(frame, np.arange(arguments.frames + 1)).tolist()
        for k in range(arguments.frames):
            (images / f"{k:06d}.png").touch()
            rows = range(edges[k], edges[k + 1])
            lines = (f"1 {identity[r]} {' '.join(f'{v:.6f}' for v in box[r])}\n" for r in rows)
            (labels / f"{k:06d}.txt").write_text("".join(lines))
        for e in range(sentences):
            chosen = np.flatnonzero(rng.random(count) < arguments.share)
            label: dict[str, list[int]] = {}
            for f, i in zip(frame[chosen].tolist(), identity[chosen].tolist(), strict=True):
                label.setdefault(str(f), []).append(i)
            sentence = f"cars of the kind {e} that are in the left"
            text = json.dumps({"label": label, "ignore": [], "video_name": name, "sentence": sentence})
            (folder / f"{sentence.replace(' ', '-')}.json").write_text(text)
            size += len(text)
    return size
