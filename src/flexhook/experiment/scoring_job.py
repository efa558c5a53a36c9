"""Scoring a split of a dataset with a model: tracks in, score files out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError
from flexhook.experiment.build import build_reader, training_videos
from flexhook.experiment.features import weights_fingerprint
from flexhook.experiment.run_folder import write_json
from flexhook.model.early_exit import first_scales
from flexhook.pictures.reference_points import NAME as REFERENCE_POINTS
from flexhook.scoring.engine import ScoringEngine, ScoringReport
from flexhook.scoring.store import write_expressions
from flexhook.scoring.writer import ScoreWriter

log = logging.getLogger(__name__)


def best_device(accelerator: str = "auto") -> torch.device:
    """The first GPU if there is one and it is not ruled out, else the CPU."""
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def build_engine(model: Any, cfg: DictConfig, device: torch.device) -> ScoringEngine:
    """The engine that ``cfg.scoring`` describes; a calibration learns from the training videos."""
    options: Any = OmegaConf.to_container(cfg.scoring, resolve=True)
    calibration, exit_scale = options.pop("calibration", None), options.pop("exit_scale", None)
    if exit_scale is not None:
        model = first_scales(model, exit_scale)
    engine = ScoringEngine(model, model.text.tokenize, tuple(cfg.image_size), device, **options)
    if calibration is not None:
        engine.calibration = instantiate(calibration).fit(training_videos(cfg, build_reader(cfg)), engine.sentence_features)
    return engine


def build_tracker(cfg: DictConfig):
    """The tracker output that ``cfg.tracker`` names, or ``cfg.data.tracker``.

    Raises:
        ConfigError: The dataset's configuration has none.
    """
    tracker = cfg.get("tracker") or cfg.data.get("tracker")
    if not tracker:
        raise ConfigError("the dataset has no tracker output", expected="data.tracker",
                          hint="Set data.tracker.root to a folder of MOT files")
    return instantiate(tracker)


def score_videos(
    engine: ScoringEngine, reader: Reader, tracker, names: Sequence[str], folder: Path,
    share: tuple[int, int] = (0, 1), say: Callable[[str], object] = log.info,
) -> list[ScoringReport]:
    """Score videos into a folder; what is already there and of the same making is not done again.

    Args:
        engine: The engine.
        reader: The dataset.
        tracker: Gives the trajectories of a video.
        names: All videos; expressions.json names them all.
        folder: The folder of scores.
        share: (rank, number of processes): this process takes every so-many-th video.
        say: Is told of every video.

    Returns:
        A report per video scored here.
    """
    key = f"{weights_fingerprint(engine.model)} {engine.image_size} {engine.dtype}"
    key += f" {engine.calibration}" if engine.calibration else ""
    reports, expressions = [], {}
    for k, name in enumerate(names):
        if k % share[1] != share[0] and share[0] != 0:
            continue
        video = reader.read(name)
        expressions[name] = video.expressions
        if k % share[1] != share[0]:
            continue
        tracks = tracker.read(video)
        with ScoreWriter(folder, name, tracks, video.expressions, key=key) as writer:
            report = engine.score(video, tracks, video.expressions, writer)
        reports.append(report)
        again = f", {report.frames_again} frames encoded again" if report.frames_again else ""
        say(f"scored {name}: {report.windows} windows x {report.expressions} expressions, {report.frames} frames in "
            f"{report.seconds:.1f} s{again}")
    if share[0] == 0:
        write_expressions(folder, expressions)
        write_reference_points(engine, [e.sentence for named in expressions.values() for e in named], folder)
    return reports


@torch.inference_mode()
def write_reference_points(engine: ScoringEngine, sentences: Sequence[str], folder: Path) -> None:
    """``reference_points.json``: where the model looks for each sentence, for the pictures; nothing without conditioning."""
    texts = list(dict.fromkeys(sentences))
    points: dict[str, list] = {}
    for start in range(0, len(texts), 256):
        part = texts[start : start + 256]
        ids, mask = engine.tokenize(part)
        scales = engine.model.prepare_sentences(ids.to(engine.device), mask.to(engine.device)).points
        if scales is None:  # the model has none
            return
        rounded = [[[round(v, 4) for v in xy] for xy in m] for scale in scales for m in scale.tolist()]
        for k, text in enumerate(part):
            points[text] = rounded[k :: len(part)]
    write_json(folder / REFERENCE_POINTS, points)
