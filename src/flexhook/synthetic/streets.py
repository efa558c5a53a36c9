"""The ground plan: a grid of streets with lanes, pavements, blocks of houses and trees.

Streets run north along x = 0, +-PERIOD, ... and east along z = 0, +-PERIOD, ... Traffic keeps no side: vehicles use
every lane in both directions and park in every lane, so that the place of a vehicle does not tell whether it moves.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

_Number = TypeVar("_Number", float, np.ndarray)

PERIOD = 60.0
#: From a street's middle to the kerb, to the houses.
HALF_STREET, HALF_CLEAR = 9.0, 13.4
#: Middles of the lanes, from the middle of the street.
LANES = np.array([-7.2, -3.6, 0.0, 3.6, 7.2])
#: Trees stand in this distance from the middle of the street.
TREE_LINE = 12.8


def to_street(value: _Number) -> _Number:
    """Signed distance to the middle of the nearest parallel street."""
    return (value + PERIOD / 2) % PERIOD - PERIOD / 2


def in_block(x: np.ndarray, z: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Whether points (...) lie in a block of houses grown by ``margin`` metres."""
    clear = HALF_CLEAR - margin
    return (np.abs(to_street(x)) > clear) & (np.abs(to_street(z)) > clear)


def sees_past_blocks(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Whether the straight line from each eye (n, 2) to each target (n, 2) misses all blocks (n,)."""
    steps = np.linspace(0.05, 0.98, 24)[:, None, None]
    points = eye + (target - eye) * steps
    hidden = in_block(points[..., 0], points[..., 1])
    return np.logical_not(np.any(hidden, axis=0))


def blocks_near(x: float, z: float, radius: float) -> list[tuple[float, float, float, float]]:
    """(x1, z1, x2, z2) of the blocks that reach into a square around a point."""

    def span(v: float) -> range:
        return range(int(np.floor((v - radius) / PERIOD)), int(np.floor((v + radius) / PERIOD)) + 1)

    return [
        (i * PERIOD + HALF_CLEAR, j * PERIOD + HALF_CLEAR, (i + 1) * PERIOD - HALF_CLEAR, (j + 1) * PERIOD - HALF_CLEAR)
        for i in span(x)
        for j in span(z)
    ]


def trees_near(x: float, z: float, radius: float) -> np.ndarray:
    """(n, 2) places of the trees in a circle: along every pavement, never at a crossing."""
    along = np.arange(HALF_CLEAR + 2.5, PERIOD - HALF_CLEAR - 2.0, 7.2)
    line = np.array([-TREE_LINE, TREE_LINE])
    cell = np.concatenate(
        [
            np.stack(np.meshgrid(line, along), -1).reshape(-1, 2),
            np.stack(np.meshgrid(along, line), -1).reshape(-1, 2),
        ]
    )
    reach = int(radius / PERIOD) + 2
    corner = np.floor(np.array([x, z]) / PERIOD)
    tiles = np.stack(np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)), -1).reshape(-1, 2)
    places = (cell[None] + (tiles + corner)[:, None] * PERIOD).reshape(-1, 2)
    return places[np.hypot(places[:, 0] - x, places[:, 1] - z) < radius]
