"""What the scores of several videos in one folder have to do with each other: their expressions, and the model they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flexhook.errors import InputError
from flexhook.structures import Expression
from flexhook.structures.result_files import model_of, read_expressions, result_file, write_expressions


def merge_expressions(folder: str | Path, expressions: Mapping[str, Sequence[Expression]]) -> list[str]:
    """Write ``expressions.json`` with the entries it has of other videos whose scores are there.

    Args:
        folder: The folder of scores.
        expressions: The entries to write; they replace what the file has of these videos.

    Returns:
        The sentences of the entries that were kept.
    """
    try:
        there = read_expressions(folder)
    except InputError:  # none, or a damaged one
        there = {}
    kept = {video: e for video, e in there.items() if video not in expressions and result_file(folder, video).is_file()}
    write_expressions(folder, {**kept, **expressions})
    return list(dict.fromkeys(e.sentence for entries in kept.values() for e in entries))


def require_one_model(folder: str | Path, videos: Sequence[str]) -> None:
    """Refuse scores of several models, which an interrupted scoring with another checkpoint leaves behind.

    Args:
        folder: The folder of scores.
        videos: The videos to be looked at together; those without scores, or with damaged ones, do not count.

    Raises:
        InputError: Naming the files of each model.
    """
    made: dict[str, list[str]] = {}
    for video in videos:
        model = model_of(result_file(folder, video))
        if model is not None:
            made.setdefault(model, []).append(f"{video}.npz")
    if len(made) > 1:
        groups = sorted(made.values(), key=len)
        raise InputError(
            f"the scores were made by {len(made)} models or settings: " + "; ".join(_few(names) for names in groups),
            file=folder,
            expected="scores of one checkpoint, image size, precision, calibration and smoothing",
            hint="Run the `flexhook score` again that you want the scores of: it replaces those of others",
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
