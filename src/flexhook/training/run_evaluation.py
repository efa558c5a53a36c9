"""From score files to metrics, tables and pictures in a run folder."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig

from flexhook.datasets.reader import Reader
from flexhook.datasets.sequence_list import read_sequence_list
from flexhook.evaluation.evaluation import Evaluation
from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.evaluation.selection import Selection
from flexhook.structures.reference_points import NAME, read_reference_points
from flexhook.structures.result_files import read_results
from flexhook.structures.result_folder import require_one_model
from flexhook.visualization.contact_sheet import write_good_and_bad
from flexhook.visualization.curves import write_learning_curves

log = logging.getLogger(__name__)


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
    names = reader.video_names(split)
    require_one_model(scores, names)
    listed = cfg.protocol.get("sequences") if split == "test" else None
    selection = Selection(reader, scores, names, None if listed is None else read_sequence_list(listed))
    evaluation = evaluate_videos(selection, judge_last_observation=cfg.protocol.judge_last_observation)
    selection.say(log.info)
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
