"""From score files to metrics, tables and pictures in a run folder."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig

from flexhook.datasets.reader import Reader
from flexhook.datasets.sequence_list import SequenceList, read_sequence_list
from flexhook.evaluation.evaluation import Evaluation
from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.evaluation.selection import Selection
from flexhook.structures.reference_points import NAME, read_reference_points
from flexhook.structures.result_files import read_results
from flexhook.structures.result_folder import require_one_model
from flexhook.visualization.contact_sheet import write_good_and_bad
from flexhook.visualization.curves import write_learning_curves

log = logging.getLogger(__name__)


def listed_sequences(cfg: DictConfig) -> SequenceList | None:
    """The list of the test sequences that count; None for all.

    Raises:
        InputError: The list is missing or malformed.
    """
    listed = cfg.protocol.get("sequences")
    return None if listed is None else read_sequence_list(str(listed))


def require_sequences(cfg: DictConfig, reader: Reader) -> None:
    """See, before a training, that the test videos have the sequences that count.

    Raises:
        InputError: The list is missing or malformed, or names a sequence that they do not have.
    """
    listed = listed_sequences(cfg)
    if listed is not None:
        for name in listed.videos(reader.video_names("test")):
            listed.chosen(name, reader.read_expressions(name))


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
    selection = Selection(reader, scores, names, listed_sequences(cfg) if split == "test" else None)
    evaluation = evaluate_videos(selection, judge_last_observation=cfg.protocol.judge_last_observation)
    if folder is not None:
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
