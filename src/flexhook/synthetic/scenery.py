"""Houses and trees as coloured polygons."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from flexhook.synthetic.mesh import Batch
from flexhook.synthetic.order import TREE_CROWN, TREE_TRUNK

_FACADES = np.array(
    [(176, 158, 138), (150, 140, 132), (190, 178, 160), (160, 150, 150), (182, 168, 156), (140, 136, 134)], float
)
_LEAVES, _BARK = np.array([84.0, 104.0, 74.0]), np.array([88.0, 74.0, 62.0])
#: Facades of a wall; farther than this, in metres, rows of windows become bands.
_FACADES_PER_WALL, _DETAILED = 4, 45.0
_RING = np.linspace(0, 2 * np.pi, 10, endpoint=False)
_WINDOWS = (0.1, 0.42, 0.74)

Polygons = list[tuple[np.ndarray, np.ndarray]]


class Scenery:
    """The houses and trees of one video.

    Args:
        seed: Makes the facades, together with their place.
        batch: Any batch of the video, for its light.
    """

    def __init__(self, seed: list[int], batch: Batch) -> None:
        self.seed, self.batch = seed, batch
        self._walls: dict[tuple[float, float, float, float], list[list[tuple[np.ndarray, Polygons, Polygons]]]] = {}

    def add_block(self, batch: Batch, block: tuple[float, float, float, float], ego: np.ndarray) -> None:
        """The walls of a block of houses that face the camera."""
        if block not in self._walls:
            self._walls[block] = self._make_walls(block)
        x1, z1, x2, z2 = block
        facing = (ego[1] < z1, ego[0] > x2, ego[1] > z2, ego[0] < x1)
        for wall, faces_us in zip(self._walls[block], facing, strict=True):
            if faces_us:
                for middle, fine, coarse in wall:
                    near = np.hypot(middle[0] - ego[0], middle[1] - ego[1]) < _DETAILED
                    for polygon, colour in fine if near else coarse:
                        batch.add(polygon, colour)

    def _make_walls(self, block: tuple[float, float, float, float]) -> list[list[tuple[np.ndarray, Polygons, Polygons]]]:
        """For the south, east, north and west wall its facades: middle, polygons with windows, polygons with bands."""
        x1, z1, x2, z2 = block
        corners = np.array([(x1, z1), (x2, z1), (x2, z2), (x1, z2)])
        rng = np.random.default_rng([*self.seed, round(x1) % 1000003, round(z1) % 1000003])
        walls = []
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            normal = np.array([end[1] - start[1], 0.0, start[0] - end[0]])
            light = self.batch.light(normal / np.linalg.norm(normal)) * 0.92
            cuts = np.linspace(start, end, _FACADES_PER_WALL + 1)
            walls.append(
                [
                    ((a + b) / 2, *_facade(a, b, rng.uniform(7, 15), _FACADES[rng.integers(len(_FACADES))] * light))
                    for a, b in pairwise(cuts)
                ]
            )
        return walls

    def add_tree(self, batch: Batch, tree: tuple[float, float], ego: np.ndarray) -> None:
        """A tree, turned to the camera."""
        x, z = tree
        side, foot = np.array([np.cos(ego[2]), 0.0, -np.sin(ego[2])]), np.array([x, 0.0, z])
        up = np.array([0.0, 1.0, 0.0])
        across, height = np.array([-1, 1, 1, -1]) * TREE_TRUNK, np.array([0, 0, 3, 3])
        batch.add(foot + across[:, None] * side + height[:, None] * up, _BARK)
        low, high, radius = TREE_CROWN
        shade = 0.85 + 0.3 * ((x * 0.37 + z * 0.73) % 1.0)
        for shift, rise, share, tone in ((0.0, 0.5, 1.0, 1.0), (-0.3, 0.62, 0.6, 1.12), (0.35, 0.4, 0.55, 0.9)):
            across = (shift + share * np.cos(_RING)) * radius
            height = low + (high - low) * rise + share * np.sin(_RING) * (high - low) / 2
            batch.add(foot + across[:, None] * side + height[:, None] * up, _LEAVES * shade * tone)


def _facade(a: np.ndarray, b: np.ndarray, height: float, colour: np.ndarray) -> tuple[Polygons, Polygons]:
    """Polygons of a facade from ``a`` (2,) to ``b`` (2,), with windows and with bands instead."""

    def rectangle(s1: float, y1: float, s2: float, y2: float) -> np.ndarray:
        (xa, za), (xb, zb) = a + (b - a) * s1, a + (b - a) * s2
        return np.array([[xa, y1, za], [xb, y1, zb], [xb, y2, zb], [xa, y2, za]])

    wall = (rectangle(0, 0, 1, height), colour)
    floors = np.arange(0.9, min(height - 1.5, 9), 3.1)
    fine = [(rectangle(s, y, s + 0.17, y + 1.5), colour * 0.62) for y in floors for s in _WINDOWS]
    return [wall, *fine], [wall, *((rectangle(0.08, y, 0.92, y + 1.5), colour * 0.8) for y in floors)]
