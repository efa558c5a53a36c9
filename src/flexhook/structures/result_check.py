"""What the numbers in files of results may be: finite, boxes with an area, frames that a video can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from flexhook.errors import InputError
from flexhook.structures.video import MOST_FRAMES

#: Bytes of a mapped column that are looked at together.
CHUNK = 1 << 22
#: By column, what is expected, and a function that is True for each sound row.
_RULES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "box": ("boxes x1, y1, x2, y2 of finite numbers with x1 < x2 and y1 < y2",
            lambda box: np.isfinite(box).all(1) & (box[:, 2:] > box[:, :2]).all(1)),
    "frame": (f"frames from 0 to {MOST_FRAMES - 1:,}", lambda frame: (frame >= 0) & (frame < MOST_FRAMES)),
    "score": ("scores from 0 to 1", lambda score: (score >= 0) & (score <= 1)),
}


def check_finite(values: np.ndarray, video: str, path: Path | None = None, what: str = "scores") -> np.ndarray:
    """The values themselves, e.g. (n, E, 2) logits; mapped ones are read in pieces.

    Args:
        values: The values.
        video: The video, for the message.
        path: The file.
        what: What they are, in the plural.

    Raises:
        InputError: One of them is not a finite number.
    """
    wide = (part if part.ndim > 1 else part[:, None] for _, part in _pieces(values))
    count = sum(int((~np.isfinite(part)).any(-1).sum()) for part in wide)
    if count:
        raise InputError(
            f"{count} {what} of video {video} are not finite numbers",
            file=path,
            expected="finite numbers",
            hint="Check that the training's loss did not diverge, and score with precision float32",
        )
    return values


#: Kinds of values (numpy's letters) and number of dimensions of a file's members.
_FORMS = {
    "frame": ("iu", 1), "identity": ("iu", 1), "category": ("iu", 1), "expression": ("iu", 1), "box": ("iuf", 2),
    "confidence": ("iuf", 1), "logits": ("f", 3), "score": ("f", 1), "accepted": ("b", 1), "keeps_rejected": ("b", 0),
    "categories": ("U", 1), "slugs": ("U", 1), "sentences": ("U", 1), "tags": ("U", 1),
}  # fmt: skip


def check_forms(members: Mapping[str, np.ndarray], path: Path, hint: str | None = None) -> None:
    """Refuse members of another type or number of dimensions than a file of results has.

    Raises:
        InputError: Naming the first of them.
    """
    for name, array in members.items():
        kinds, dimensions = _FORMS[name]
        if array.dtype.kind not in kinds or array.ndim != dimensions:
            raise InputError(f"{name} is {array.dtype} with {array.ndim} dimensions", file=path, hint=hint,
                             expected=f"{_WORDS[kinds]} with {dimensions}")


_WORDS = {"iu": "whole numbers", "iuf": "numbers", "f": "floats", "b": "booleans", "U": "texts"}


def check_observations(
    columns: Mapping[str, np.ndarray], video: str, path: Path | None = None, hint: str | None = None
) -> None:
    """Refuse rows that no video can have.

    Args:
        columns: ``frame`` (n,), ``box`` (n, 4) and, of results, ``score`` (n,).
        video: The video, for the message.
        path: The file.
        hint: What the user can do.

    Raises:
        InputError: A box is not finite or has no area, a frame is below 0 or absurdly large, or a score is not in [0, 1].
    """
    for name, (expected, sound) in _RULES.items():
        for start, part in _pieces(columns[name]) if name in columns else ():
            with np.errstate(invalid="ignore"):
                wrong = np.flatnonzero(~sound(part))
            if len(wrong):
                values = ", ".join(f"{value:g}" for value in np.atleast_1d(part[wrong[0]]).tolist())
                problem = f"the {name} is {values} in row {start + wrong[0] + 1} of {len(columns[name])} of video {video}"
                raise InputError(problem, file=path, expected=expected, hint=hint)


def check_last_frame(frame: np.ndarray, num_frames: int, video: str, path: Path | None = None, hint: str | None = None) -> None:
    """Refuse observations of frames that a video does not have; ``frame`` (n,) is 0-based.

    Raises:
        InputError: Naming the first of them.
    """
    beyond = np.flatnonzero(frame >= num_frames)
    if len(beyond):
        problem = (f"{len(beyond)} of {len(frame)} observations are of frames that video {video} does not have, the first of "
                   f"frame {frame[beyond[0]]} (from 0)")
        raise InputError(problem, file=path, expected=f"frames from 0 to {num_frames - 1}", hint=hint)


def _pieces(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive rows of an array, with the number of the first; an empty array has none."""
    step = max(1, CHUNK // max(1, values[:1].nbytes))
    return ((k, values[k : k + step]) for k in range(0, len(values), step) if values[k : k + step].size)
