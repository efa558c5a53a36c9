"""An object of the world and its whole way through a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Steps before the first frame that are simulated too, so that motion is known at frame 0.
HISTORY = 3


@dataclass(frozen=True, eq=False)
class Thing:
    """An object of the world.

    Attributes:
        kind: A key of :data:`KINDS`.
        colour: A key of :data:`COLOURS`.
        size: (length, width, height) in metres.
        poses: (HISTORY + frames, 3) poses (x, z, yaw).
        stride: (HISTORY + frames,) swing of the legs in [-1, 1].
    """

    kind: str
    colour: str
    size: tuple[float, float, float]
    poses: np.ndarray
    stride: np.ndarray
