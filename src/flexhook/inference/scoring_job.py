"""Scoring a split of a dataset with a model: tracks in, score files out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError, InputError
from flexhook.inference.score_writer import ScoreWriter
from flexhook.media.images import frames_fingerprint
from flexhook.methods.flexhook.early_exit import first_scales
from flexhook.methods.two_stage.engine import Points, ScoringEngine, ScoringReport
from flexhook.methods.two_stage.feature_cache import visual_settings
from flexhook.structures import TrackSet, Video
from flexhook.structures.reference_points import NAME as REFERENCE_POINTS
from flexhook.structures.reference_points import read_reference_points
from flexhook.structures.score_folder import merge_expressions
from flexhook.training.build import build_reader, training_videos
from flexhook.training.checkpoints import weights_fingerprint
from flexhook.training.run_folder import write_json

log = logging.getLogger(__name__)


def best_device(accelerator: str = "auto") -> torch.device:
    """The first GPU if there is one and it is not ruled out, else the CPU."""
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def scoring_options(given: DictConfig, trained: DictConfig) -> DictConfig:
    """The options of scoring, where they are missing (``???``) those that the model was trained with.

    Args:
        given: ``scoring`` of the command.
        trained: The configuration in the checkpoint. What it does not have, of an earlier version, is left to the engine.
    """
    options, other = OmegaConf.create(), trained.get("scoring") or {}
    for key in given:
        if not OmegaConf.is_missing(given, key):
            options[key] = given[key]
        elif key in other:
            options[key] = other[key]
    return options


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
    model = model_key(engine)
    reports, expressions = [], {}
    for k, name in enumerate(names):
        if k % share[1] != share[0] and share[0] != 0:
            continue
        video = reader.read(name)
        expressions[name] = video.expressions
        if k % share[1] != share[0]:
            continue
        report = score_video(engine, video, tracker.read(video), folder, model)
        reports.append(report)
        again = f", {report.frames_again} frames encoded again" if report.frames_again else ""
        say(f"scored {name}: {report.windows} windows x {report.expressions} expressions, {report.frames} frames in "
            f"{report.seconds:.1f} s{again}")
    if share[0] == 0:
        points: Points = {}
        for report in reports:
            points |= report.points
        others = {e.sentence for named in expressions.values() for e in named}.difference(points)
        points |= engine.reference_points(sorted(others))  # of videos that were scored before, or by other processes
        merge_reference_points(folder, points, merge_expressions(folder, expressions))
    return reports


def score_video(engine: ScoringEngine, video: Video, tracks: TrackSet, folder: Path, model: str) -> ScoringReport:
    """Score one video into a folder, unless the same model has scored the same frames, tracks and expressions there.

    Args:
        engine: The engine.
        video: The video.
        tracks: Its trajectories.
        folder: The folder of scores.
        model: What :func:`model_key` says of the engine.
    """
    with ScoreWriter(folder, video.name, tracks, video.expressions, key=frames_fingerprint(video), model=model,
                     smoothing=engine.smoothing) as writer:
        return engine.score(video, tracks, video.expressions, writer)


def model_key(engine: ScoringEngine) -> str:
    """What makes the scores: weights, grids, image size, precision and calibration; the writer adds smoothing."""
    seen = f"{visual_settings(engine.model.visual)} {getattr(engine.model, 'grids', None)}"
    key = f"{weights_fingerprint(engine.model)} {seen} {engine.image_size} {engine.dtype}"
    return f"{key} {engine.calibration}" if engine.calibration else key


def merge_reference_points(folder: Path, points: Points, kept: Sequence[str]) -> None:
    """``reference_points.json``: where the model looks for each sentence, for the pictures; none without conditioning.

    Args:
        folder: The folder of scores.
        points: What to write.
        kept: Other sentences, whose points stay where the file has them.
    """
    path = folder / REFERENCE_POINTS
    there = {}
    if kept and path.is_file():
        with contextlib.suppress(InputError):
            there = {s: [scale.tolist() for scale in scales] for s, scales in read_reference_points(path).items()}
    merged = {sentence: there[sentence] for sentence in kept if sentence in there} | points
    if merged:
        write_json(path, merged)
    else:
        path.unlink(missing_ok=True)
