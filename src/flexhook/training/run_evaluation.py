"""From score files to metrics, tables and pictures in a run folder."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig

from flexhook.datasets.reader import Reader
from flexhook.evaluation.evaluation import Evaluation
from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.structures.reference_points import NAME, read_reference_points
from flexhook.structures.result_files import read_results
from flexhook.structures.result_folder import require_one_model
from flexhook.visualization.contact_sheet import write_good_and_bad
from flexhook.visualization.curves import write_learning_curves


def evaluate_split(cfg: DictConfig, reader: Reader, split: str, scores: Path, folder: Path | None) -> Evaluation:
    """Evaluate the score files of a split: model, oracle and accept-all side by side.

    Args:
        cfg: The run's configuration.
        reader: The dataset.
        split: Name of the split.
        scores: The folder of scores.
        folder: Where expressions.csv and sequences.npz go; None writes nothing.

    Returns:
        The evaluation.

    Raises:
        InputError: Scores are missing, damaged, or of several models.
    """
    require_one_model(scores, reader.video_names(split))
    pairs = ((reader.read(name), read_results(scores, name)) for name in reader.video_names(split))
    evaluation = evaluate_videos(pairs, judge_last_observation=cfg.protocol.judge_last_observation)
    if folder is not None:
        evaluation.write_expressions_csv(folder / "expressions.csv")
        evaluation.save(folder / "sequences.npz")
    return evaluation


def leave_curves(folder: Path) -> None:
    """Learning curves in ``pictures/``."""
    write_learning_curves(folder / "pictures" / "learning_curves.png", folder / "metrics.csv")


def leave_sheets(folder: Path, reader: Reader, evaluation: Evaluation) -> None:
    """Contact sheets of good and of bad expressions in ``pictures/``."""
    scores = folder / "scores"
    read = lru_cache(maxsize=None)(lambda name: (reader.read(name), read_results(scores, name)))
    points = read_reference_points(scores / NAME) if (scores / NAME).is_file() else None
    write_good_and_bad(folder / "pictures", read, evaluation.rows(), points=points)
