"""Reads the reference points that a model decoded from sentences, to be drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from flexhook.errors import InputError

NAME = "reference_points.json"


def read_reference_points(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Read ``{sentence: [[[x, y], ... M points], ... scales]}``, coordinates in [-1, 1], finest scale first.

    Returns:
        Per sentence a list with an (M, 2) float64 array of (x, y) per scale.

    Raises:
        InputError: The file is missing or malformed.
    """
    expected = '{"sentence": [[[x, y], ...], ...]}: lists of points, one list per scale, coordinates from -1 to 1'
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"the file is not JSON ({error.msg})", file=path, line=error.lineno, expected=expected
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the reference points do not read ({reason})", file=path, expected=expected) from None
    if not isinstance(content, dict):
        raise InputError("the file holds no object", file=path, expected=expected)
    points: dict[str, list[np.ndarray]] = {}
    for sentence, scales in content.items():
        try:
            points[sentence] = [np.array(scale, np.float64) for scale in scales]
        except (TypeError, ValueError):
            points[sentence] = [np.full(1, np.nan)]
        for scale in points[sentence]:
            if scale.ndim != 2 or scale.shape[1] != 2 or not np.isfinite(scale).all():
                raise InputError(f"the points of “{sentence}” are malformed", file=path, expected=expected)
    return points
