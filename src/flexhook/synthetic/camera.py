"""A pinhole camera on a vehicle above flat ground.

World coordinates are (x to the east, y up, z to the north) in metres; a pose is (x, z, yaw), yaw in radians clockwise
from north seen from above, so that a right turn raises it. Camera coordinates are (right, down, forward).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Nothing nearer than this, in metres, is drawn.
NEAR = 0.4


@dataclass(frozen=True)
class Camera:
    """The camera of one video.

    Attributes:
        size: (height, width) of the frame in pixels.
        focal: Focal length in pixels; a larger one narrows the view.
        centre: (x, y) of the principal point in pixels; the horizon lies at its y.
        height: Metres above the ground.
    """

    size: tuple[int, int]
    focal: float
    centre: tuple[float, float]
    height: float

    def scaled(self, factor: float) -> Camera:
        """The same view on a raster that is ``factor`` times as large."""
        height, width = self.size
        return Camera(
            (round(height * factor), round(width * factor)),
            self.focal * factor,
            (self.centre[0] * factor, self.centre[1] * factor),
            self.height,
        )

    def to_camera(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """World points (..., 3) to camera coordinates (..., 3) for an ego ``pose`` (3,)."""
        sin, cos = np.sin(pose[2]), np.cos(pose[2])
        turn = np.array([[cos, 0.0, sin], [0.0, -1.0, 0.0], [-sin, 0.0, cos]])
        return (points - (pose[0], self.height, pose[1])) @ turn

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Camera points (..., 3) in front of the camera to pixels (..., 2)."""
        return points[..., :2] / points[..., 2:] * self.focal + np.asarray(self.centre)


def clip_near(polygon: np.ndarray) -> np.ndarray:
    """The part of a polygon (k, 3) in camera coordinates that lies beyond :data:`NEAR`; (m, 3), m = 0 if none does."""
    depth = polygon[:, 2] - NEAR
    if depth.min() >= 0:
        return polygon
    if depth.max() <= 0:
        return polygon[:0]
    out = []
    for k in range(len(polygon)):
        j = (k + 1) % len(polygon)
        if depth[k] >= 0:
            out.append(polygon[k])
        if (depth[k] >= 0) != (depth[j] >= 0):
            out.append(polygon[k] + (polygon[j] - polygon[k]) * (depth[k] / (depth[k] - depth[j])))
    return np.array(out)


def place(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points (..., 3) of an object (right, up, forward) at ``pose`` (3,) to world points (..., 3)."""
    sin, cos = np.sin(pose[2]), np.cos(pose[2])
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return points @ turn + (pose[0], 0.0, pose[1])
