"""Reads the reference points that a model decoded from sentences, to be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexhook.errors import InputError
from flexhook.structures.files import read_json

NAME = "reference_points.json"


def read_reference_points(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Read ``{sentence: [[[x, y], ... M points], ... scales]}``, coordinates in [-1, 1], finest scale first.

    Returns:
        Per sentence a list with an (M, 2) float64 array of (x, y) per scale.

    Raises:
        InputError: The file is missing or malformed.
    """
    expected = '{"sentence": [[[x, y], ...], ...]}: lists of points, one list per scale, coordinates from -1 to 1'
    content = read_json(path, expected=expected)
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
