"""From score files to metrics, tables and pictures in a run folder."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from flexhook.datasets.reader import Reader
from flexhook.scoring.store import read_scores


def evaluate_split(cfg: DictConfig, reader: Reader, split: str, scores: Path, folder: Path | None):
    """Evaluate the score files of a split: model, oracle and accept-all side by side.

    Args:
        cfg: The run's configuration.
        reader: The dataset.
        split: Name of the split.
        scores: The folder of scores.
        folder: Where expressions.csv goes; None writes nothing.

    Returns:
        The evaluation.
    """
    from flexhook.evaluation.evaluate import evaluate_videos

    pairs = ((reader.read(name), read_scores(scores, name)) for name in reader.video_names(split))
    return evaluate_videos(pairs, judge_last_observation=cfg.protocol.judge_last_observation)


def leave_pictures(folder: Path, evaluation) -> None:
    """Learning curves, and after the evaluation contact sheets of good and of bad expressions, in ``pictures/``."""
