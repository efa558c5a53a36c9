"""Prediction of whole videos with any method: results out, resumed and shared among processes by block of expressions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from flexhook.datasets.reader import Reader
from flexhook.inference.result_writer import BlockWriter, merge_blocks, remove_blocks
from flexhook.media.images import frames_fingerprint
from flexhook.structures import Video
from flexhook.structures.method import Method, PredictionReport
from flexhook.structures.result_folder import merge_expressions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoReport:
    """What one block of a video took.

    Attributes:
        video: Name of the video.
        frames: Frames that were computed.
        seconds: Wall time.
    """

    video: str
    frames: int
    seconds: float


def best_device(accelerator: str = "auto") -> torch.device:
    """The first GPU if there is one and it is not ruled out, else the CPU."""
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def score_videos(
    method: Method,
    reader: Reader,
    names: Sequence[str],
    folder: Path,
    share: tuple[int, int] = (0, 1),
    say: Callable[[str], object] = log.info,
    barrier: Callable[[], object] = lambda: None,
) -> list[VideoReport]:
    """Predict videos into a folder of results; what is already there and of the same making is not done again.

    The unit of work is a video, or a block of its expressions where there are more processes than videos.

    Args:
        method: The method, after :meth:`~flexhook.structures.method.Method.prepare_inference`.
        reader: The dataset.
        names: All videos.
        folder: The folder of results.
        share: (rank, number of processes): this process takes every so-many-th unit.
        say: Is told of every unit.
        barrier: Waits for the other processes.

    Returns:
        A report per unit of this process.
    """
    rank, world_size = share
    blocks = max(1, -(-world_size // max(len(names), 1)))
    key, reports = method.key(), []
    units = [(name, (index, blocks)) for index in range(blocks) for name in names]
    for name, block in units[rank::world_size]:
        video = reader.read(name)
        begin = time.perf_counter()
        report = predict_block(method, video, folder, block, key)
        seconds = time.perf_counter() - begin
        reports.append(VideoReport(name, report.frames, seconds))
        part = f", block {block[0] + 1} of {blocks}" if blocks > 1 else ""
        say(f"scored {name}{part}: {report.text or f'{report.frames} frames'} in {seconds:.1f} s")
    barrier()
    if rank == 0:
        expressions = {name: reader.read_expressions(name) for name in names}
        for name in names if blocks > 1 else ():
            video = reader.read(name)
            merge_blocks(folder, name, video.expressions, blocks, key=frames_fingerprint(video), model=key,
                         tracker=partial(tracker_key, method, video))
        remove_blocks(folder, names)
        method.write_extras(folder, expressions, merge_expressions(folder, expressions))
    return reports


def predict_block(
    method: Method, video: Video, folder: Path, block: tuple[int, int] = (0, 1), key: str | None = None
) -> PredictionReport:
    """Predict one block of a video's expressions into a folder, unless the results are there.

    Args:
        method: The method.
        video: The video.
        folder: The folder of results.
        block: (index, number of blocks).
        key: What :meth:`~flexhook.structures.method.Method.key` says; None asks for it.

    Returns:
        What it took.
    """
    with BlockWriter(
        folder, video.name, video.expressions, block, key=frames_fingerprint(video), model=method.key() if key is None else key,
        keeps_rejected=method.keeps_rejected, tracker=partial(tracker_key, method, video),
    ) as writer:
        report = method.predict(video, writer.expressions, writer)
        writer.finish()
    return report or PredictionReport()


def tracker_key(method: Method, video: Video) -> str:
    """The key of the tracks that a method takes from its tracker; empty for one that finds its objects itself."""
    return method.tracker.key(video) if method.needs_tracks and method.tracker is not None else ""
