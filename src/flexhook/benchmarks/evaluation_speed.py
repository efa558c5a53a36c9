"""``flexhook bench evaluation``: ours against the trackeval package over the same files, one core each."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.benchmarks.evaluation_content import contents, write_content
from flexhook.errors import InputError
from flexhook.evaluation.clear import clear
from flexhook.evaluation.evaluator import evaluate_folder
from flexhook.evaluation.hota import hota
from flexhook.evaluation.identity import identity
from flexhook.evaluation.sequence import Sequence
from flexhook.evaluation.statistics import METRICS
from flexhook.evaluation.trackeval_folder import read_trackeval_folder
from flexhook.memory import peak_memory

QUOTED = 20 / 171
"""Seconds per full-length sequence that the trackeval package took where this project's targets were set."""


@dataclass(frozen=True)
class Measurement:
    """What a child process on one core did.

    Attributes:
        seconds: CPU time.
        wall: Elapsed time.
        peak: Greatest memory of the process, imported libraries included, bytes.
        result: What it returned.
    """

    seconds: float
    wall: float
    peak: int
    result: Any


def run(argv: list[str]) -> int:
    """Make the content, measure both evaluations and print the table."""
    parser = argparse.ArgumentParser(prog="flexhook bench evaluation", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data"),
        help="folder with kitti/ and seqmaps/ (default: %(default)s); where it is missing moving boxes are made",
    )
    parser.add_argument(
        "--every", type=int, default=10, help="the baseline evaluates every n-th sequence and is scaled (default 10)"
    )
    parser.add_argument("--expressions", type=int, help="at most so many expressions per video, for a quick look")
    arguments = parser.parse_args(argv)
    if arguments.every < 1:
        raise InputError(f"--every is {arguments.every}", expected="a number from 1 on")
    data = arguments.data if (arguments.data / "seqmaps").is_dir() and (arguments.data / "kitti").is_dir() else None
    print(f"content: {'moving boxes' if data is None else f'KITTI labels and tracks below {data}'}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "results"
        frames, rows = _write(folder, data, arguments.expressions)
        print(f"{len(frames)} sequences over 4 videos, {rows} rows in {2 * len(frames)} files; one core", flush=True)
        ours = _measure(_evaluate, folder)
        phases = _measure(_phases, folder).result
        part = dict(sorted(frames.items())[:: arguments.every])
        print(f"the trackeval package evaluates {len(part)} of the sequences ...", flush=True)
        theirs = _measure(_trackeval, folder, part)
    _print_table(ours, theirs, len(frames), len(part))
    total = sum(phases.values())
    print("where our time goes: " + ", ".join(f"{name} {100 * s / total:.0f} %" for name, s in phases.items()))
    names, scores = ours.result
    place_of = {name: s for s, name in enumerate(names)}
    worst = max(abs(scores[m][place_of[n]] - values[m]) for n, values in theirs.result.items() for m in METRICS)
    print(f"largest difference of any metric of any sequence: {worst:.1e}")
    return 0 if worst < 1e-9 else 1


def _write(folder: Path, data: Path | None, limit: int | None) -> tuple[dict[str, int], int]:
    """Write the content; frames of each sequence by name, and the number of rows."""
    frames: dict[str, int] = {}
    rows = 0
    for content in contents(data):
        content = content.limited(limit)
        rows += write_content(folder, content)
        length = int(max(content.truth.frame.max(), content.tracks.frame.max())) + 1
        frames |= {f"{content.video}+{slug}": length for slug in content.slugs}
    return frames, rows


def _print_table(ours: Measurement, theirs: Measurement, count: int, part: int) -> None:
    measured, quoted = theirs.seconds / part * count, QUOTED * count
    best = min(measured, quoted)
    print(f"\n{'':46}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'ratio':>9}")
    name = f"trackeval {version('trackeval')}" + (f", {part} sequences, scaled" if part < count else "")
    for label, seconds, wall, peak in (
        (name, measured, theirs.wall / part * count, theirs.peak),
        (f"trackeval as quoted: {QUOTED * 171:.0f} s for 171 sequences", quoted, np.nan, np.nan),
        ("flexhook", ours.seconds, ours.wall, ours.peak),
    ):
        print(f"{label:46}{seconds:9.2f}{wall:9.2f}{peak / 2**20:9.0f}{best / seconds:9.2f}".replace("nan", "  -"))
    print("ratio: times as fast as the faster of the two trackeval figures, by CPU time\n")


def _measure(work: Callable[..., Any], *arguments: Any) -> Measurement:
    """Run ``work`` in a fresh process on one core."""
    with _one_thread(), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., Any], *arguments: Any) -> Measurement:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cpu, wall = time.process_time(), time.perf_counter()
    result = work(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Measurement(cpu, wall, peak_memory(), result)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Numerical libraries of processes started in this block use one thread."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    held = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in held.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _evaluate(folder: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    result = evaluate_folder(folder)
    return result.names, result.statistics.per_sequence()


def _phases(folder: Path) -> dict[str, float]:
    """CPU seconds of each step of our evaluation."""
    spent = dict.fromkeys(("reading", "overlaps", "selecting", "HOTA", "CLEAR", "Identity"), 0.0)
    last = time.process_time()

    def lap(name: str) -> None:
        nonlocal last
        now = time.process_time()
        spent[name] += now - last
        last = now

    for content in read_trackeval_folder(folder):
        lap("reading")
        overlaps = content.job.overlaps
        lap("overlaps")
        for rows in zip(content.job.truth_rows, content.job.track_rows, strict=True):
            sequence = Sequence(overlaps, *rows)
            lap("selecting")
            if len(sequence.iou):
                hota(sequence)
                lap("HOTA")
                clear(sequence)
                lap("CLEAR")
                identity(sequence)
                lap("Identity")
    return spent


def _trackeval(folder: Path, frames: dict[str, int]) -> dict[str, dict[str, float]]:
    """The whole package on the same files: its reader, its preprocessing, its three metrics."""
    with tempfile.TemporaryDirectory() as place, open(os.devnull, "w") as nowhere:
        tracker = Path(place) / "trackers" / "flexhook" / "data"
        tracker.mkdir(parents=True)
        for name in frames:  # the same files under the names that the package looks for
            source = folder.joinpath(*name.split("+", 1))
            truth = Path(place) / "gt" / name / "gt"
            truth.mkdir(parents=True)
            (truth / "gt.txt").symlink_to(source / "gt.txt")
            (tracker / f"{name}.txt").symlink_to(source / "predict.txt")
        with contextlib.redirect_stdout(nowhere):
            import trackeval

            silent = {"PRINT_CONFIG": False}
            off = dict.fromkeys(
                ("USE_PARALLEL", "PRINT_RESULTS", "TIME_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES"),
                False,
            )
            evaluator = trackeval.Evaluator({**silent, **off, "BREAK_ON_ERROR": True, "LOG_ON_ERROR": None})
            dataset = trackeval.datasets.MotChallenge2DBox(
                {
                    **silent,
                    "GT_FOLDER": str(Path(place) / "gt"),
                    "TRACKERS_FOLDER": str(Path(place) / "trackers"),
                    "SKIP_SPLIT_FOL": True,
                    "SEQ_INFO": frames,
                }
            )
            metrics = [
                trackeval.metrics.HOTA(),
                trackeval.metrics.CLEAR(dict(silent)),
                trackeval.metrics.Identity(dict(silent)),
            ]
            results, _ = evaluator.evaluate([dataset], metrics)
    found = results["MotChallenge2DBox"]["flexhook"]
    return {
        name: {
            metric: float(np.mean(values[metric]))
            for values in found[name]["pedestrian"].values()
            for metric in METRICS
            if metric in values
        }
        for name in frames
    }
