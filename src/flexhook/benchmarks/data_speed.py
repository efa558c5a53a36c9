"""``flexhook bench data``: reading a dataset of the size of Refer-KITTI-V2 from files and cache against plain dictionaries."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.benchmarks.measurement import Clock, machine
from flexhook.datasets.cache import CachedReader
from flexhook.datasets.dataset import Dataset
from flexhook.datasets.expression_files import Annotation
from flexhook.datasets.expression_folder import ExpressionFolder
from flexhook.datasets.frame_labels import FrameLabels, read_frame_labels
from flexhook.datasets.naming import FramePattern
from flexhook.datasets.parts import VideoPlace
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.reader import load
from flexhook.errors import InputError
from flexhook.memory import peak_memory
from flexhook.structures import TrackSet

#: What is promised at the default size: seconds from files and from the cache, peak memory in MB.
TARGETS = {"files": 10.0, "cache": 1.0, "memory": 1000.0}
_IMAGES = "KITTI/training/image_02/{video}/{frame:06d}.{ext}"


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
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place) / "data", Path(place) / "cache"
        size = _write(root, arguments)
        print(
            f"{arguments.videos} videos, {arguments.videos * arguments.frames:,} frames, {arguments.boxes:,} boxes,"
            f" {arguments.expressions:,} expression files ({size / 1e6:.0f} MB), just written: the system has them in memory;"
            " one process"
        )
        print(f"{'':28}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'referents':>14}{'ratio':>8}{'target':>10}", flush=True)
        plain = _measure(_read_plainly, root, arguments.videos)
        _print_row("json.load and dictionaries", plain, plain, "")
        good = True
        for name, target in (("files", "files"), ("files, then the cache", "files"), ("cache", "cache")):
            measured = _measure(_read, root, cache if "cache" in name else None, arguments.videos)
            _print_row(name, measured, plain, f"{TARGETS[target]:.0f} s")
            good &= measured.seconds <= TARGETS[target] and measured.peak <= TARGETS["memory"]
            good &= measured.referents == plain.referents
        parts = _measure(_read_timed, root, arguments.videos).parts
        total = sum(parts.values())
        print("where the time of the files goes: " + ", ".join(f"{n} {100 * s / total:.0f} %" for n, s in parts.items()))
        print(f"ratio: times as fast as the plain reading, which checks nothing; target for memory: {TARGETS['memory']:.0f} MB")
    return 0 if good else 1


@dataclass(frozen=True)
class Measured:
    """What a reading in a process of its own took.

    Attributes:
        seconds: Elapsed.
        cpu: CPU seconds.
        peak: Greatest memory of the process, MB.
        referents: Pairs of a box and an expression that refers to it.
        parts: Seconds by part, where they were taken.
    """

    seconds: float
    cpu: float
    peak: float
    referents: int
    parts: dict[str, float]


def _print_row(name: str, measured: Measured, plain: Measured, target: str) -> None:
    print(f"{name:28}{measured.seconds:10.2f}{measured.cpu:10.2f}{measured.peak:10.0f}{measured.referents:14,}"
          f"{plain.seconds / measured.seconds:8.1f}{target:>10}", flush=True)


def _measure(work: Callable[..., tuple[int, dict[str, float]]], *arguments: Any) -> Measured:
    """Read in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., tuple[int, dict[str, float]]], *arguments: Any) -> Measured:
    clock = Clock()
    with clock():
        referents, parts = work(*arguments)
    return Measured(clock.wall, clock.cpu, peak_memory() / 1e6, referents, parts)


def _read(root: Path, cache: Path | None, videos: int) -> tuple[int, dict[str, float]]:
    os.environ["FLEXHOOK_CACHE"] = "off" if cache is None else str(cache)
    reader = CachedReader(_dataset(root, videos, FramePattern(_IMAGES), FrameLabels(), ExpressionFolder()))
    return sum(video.labels.nnz for video in load(reader, "train")), {}


def _dataset(
    root: Path, videos: int, images: FramePattern, truth: FrameLabels, expressions: ExpressionFolder
) -> Dataset:
    splits = {"train": _names(videos)}
    return Dataset(root, truth, {"default": [375, 1242]}, splits, images, expressions)


def _read_plainly(root: Path, videos: int) -> tuple[int, dict[str, float]]:
    """As the published code holds its data: {video: {identity: {frame: {"bbox", "expression_raw": [sentences]}}}}."""
    everything: dict[str, dict[int, dict[int, dict[str, Any]]]] = {}
    for name in _names(videos):
        video = everything.setdefault(name, {})
        for path in sorted((root / "KITTI/labels_with_ids/image_02" / name).iterdir()):
            for line in path.read_text().splitlines():
                _, identity, *box = line.split()
                video.setdefault(int(identity), {})[int(path.stem)] = {"bbox": [*map(float, box)], "expression_raw": []}
        for path in sorted((root / "expression" / name).iterdir()):
            with path.open() as file:
                content = json.load(file)
            for frame, identities in content["label"].items():
                for identity in identities:
                    video[identity][int(frame)]["expression_raw"].append(content["sentence"])
    boxes = (box for video in everything.values() for track in video.values() for box in track.values())
    return sum(len(box["expression_raw"]) for box in boxes), {}


def _read_timed(root: Path, videos: int) -> tuple[int, dict[str, float]]:
    listing, parsing, everything = Clock(), Clock(), Clock()

    class Images(FramePattern):
        def files(self, root: Path, video: str, report: Report = strict) -> dict[int, str]:
            with listing():
                return super().files(root, video, report)

    class Labels(FrameLabels):
        def read(self, video: VideoPlace, report: Report = strict) -> TrackSet:
            with listing():
                files = self.pattern.files(video.root, video.key, report)
            with parsing():
                return read_frame_labels(files, video.size, classes=self.classes, origin=self.origin, report=report)

    class Sentences(ExpressionFolder):
        def read(self, video: VideoPlace, report: Report = strict) -> list[Annotation]:
            with parsing():
                return super().read(video, report)

    dataset = _dataset(root, videos, Images(_IMAGES), Labels(), Sentences())
    with everything():
        with listing():
            names = dataset.video_names("train")
        read = [dataset.read(name) for name in names]
    rest = everything.wall - listing.wall - parsing.wall
    parts = {"listing": listing.wall, "parsing": parsing.wall, "assembling and checking": rest}
    return sum(video.labels.nnz for video in read), parts


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
