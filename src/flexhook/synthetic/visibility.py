"""What the camera sees of every object: its box, and how much of it is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from flexhook.synthetic.camera import NEAR, Camera, place
from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.order import Solid, drawing_order
from flexhook.synthetic.scene import Scene
from flexhook.synthetic.thing import HISTORY

#: Occlusion is measured on a raster of this share of the nominal frame.
_RASTER = 0.5
_SHIFT = 4
_GRID = np.stack(np.meshgrid(np.linspace(-0.4, 0.4, 5), np.linspace(0.1, 0.9, 3), np.linspace(-0.4, 0.4, 5)), -1)


@dataclass(frozen=True, eq=False)
class Observations:
    """Everything visible in a scene, sorted by frame and object.

    Attributes:
        frame: (n,) int64.
        thing: (n,) int64 index of the object.
        box: (n, 4) float64 (x1, y1, x2, y2) in pixels of the nominal frame, clipped to it, around the whole object,
            hidden parts included.
        unoccluded: (n,) share of what the frame shows of the object that nothing hides.
    """

    frame: np.ndarray
    thing: np.ndarray
    box: np.ndarray
    unoccluded: np.ndarray


def observe(scene: Scene, config: WorldConfig, orders: Sequence[list[Solid]] | None = None) -> Observations:
    """The visible objects of every frame.

    An object is visible if its box is at least ``min_height`` pixels high and a quarter of that wide, at least
    ``min_inside`` of its volume is inside the view, and at least ``min_unoccluded`` of what the frame shows of it is
    not hidden by something nearer.

    Args:
        scene: The scene.
        config: The world.
        orders: The scene's :func:`~flexhook.synthetic.order.drawing_order` at every frame, where it is known.
    """
    rows = [
        (frame, thing, *box, unoccluded)
        for frame in range(scene.frames)
        for thing, box, unoccluded in _observe_frame(scene, frame, config, orders[frame] if orders else None)
    ]
    table = np.array(rows, np.float64).reshape(-1, 7)
    return Observations(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])


def _observe_frame(
    scene: Scene, frame: int, config: WorldConfig, order: list[Solid] | None
) -> list[tuple[int, np.ndarray, float]]:
    """(object, box, unoccluded share) of a frame's visible objects, by object."""
    camera = scene.camera
    height, width = camera.size
    owner = np.zeros(camera.scaled(_RASTER).size, np.uint8)
    found: list[tuple[int, np.ndarray, tuple[slice, slice], int]] = []
    solids = drawing_order(scene, frame) if order is None else order
    for solid, outlines in zip(solids, outlines_of(solids, camera, scene.ego[HISTORY + frame]), strict=True):
        if not outlines:
            continue
        corners = np.concatenate(outlines)
        low, high = corners.min(0), corners.max(0)
        if low[0] >= width or high[0] <= 0 or low[1] >= height or high[1] <= 0:
            continue
        box = np.clip(np.concatenate([low, high]), 0, [width, height, width, height])
        x1, y1, x2, y2 = (box * _RASTER).astype(int)
        window = slice(y1, y2 + 2), slice(x1, x2 + 2)
        alone = np.zeros_like(owner[window])
        for outline in outlines:
            points = np.clip(outline, -8000, 8000) * _RASTER - (x1 + 0.5, y1 + 0.5)
            cv2.fillConvexPoly(alone, np.round(points * 2**_SHIFT).astype(np.int32), 1, cv2.LINE_8, _SHIFT)
        owner[window][alone > 0] = solid.thing + 1
        if solid.thing >= 0:
            found.append((solid.thing, box, window, int(alone.sum())))
    visible = []
    for thing, box, window, area in sorted(found, key=lambda row: row[0]):
        if box[3] - box[1] < config.min_height or box[2] - box[0] < config.min_height / 4 or not area:
            continue
        unoccluded = float((owner[window] == thing + 1).sum() / area)
        if unoccluded >= config.min_unoccluded and share_inside(scene, thing, frame) >= config.min_inside:
            visible.append((thing, box, unoccluded))
    return visible


def outlines_of(solids: list[Solid], camera: Camera, ego: np.ndarray) -> list[list[np.ndarray]]:
    """Convex outlines (k, 2) in pixels of the parts of each solid, cut at the near plane; none of what is behind it."""
    parts = [part for solid in solids for part in solid.parts]
    if not parts:
        return [[] for _ in solids]
    points = camera.to_camera(np.concatenate(parts), ego)
    pixels = camera.to_pixels(np.maximum(points, [-np.inf, -np.inf, NEAR]))
    hulls: list[np.ndarray | None] = []
    start = 0
    for part in parts:
        rows = slice(start, start + len(part))
        start += len(part)
        nearest, farthest = points[rows, 2].min(), points[rows, 2].max()
        if farthest <= NEAR:
            hulls.append(None)
            continue
        corners = pixels[rows] if nearest >= NEAR else camera.to_pixels(_cut(points[rows]))
        hulls.append(cv2.convexHull(corners.astype(np.float32))[:, 0].astype(np.float64))
    each = iter(hulls)
    return [[hull for _ in solid.parts if (hull := next(each)) is not None] for solid in solids]


def _cut(points: np.ndarray) -> np.ndarray:
    """Points (m, 3) that span what lies beyond the near plane of the convex hull of (n, 3) points."""
    front, back = points[points[:, 2] >= NEAR], points[points[:, 2] < NEAR]
    share = (front[:, None, 2] - NEAR) / (front[:, None, 2] - back[None, :, 2])
    return np.concatenate([front, (front[:, None] + (back[None] - front[:, None]) * share[..., None]).reshape(-1, 3)])


def share_inside(scene: Scene, thing: int, frame: int) -> float:
    """Share of a grid of 75 points in the object's cuboid that the frame contains."""
    obj, camera = scene.things[thing], scene.camera
    length, width, height = obj.size
    points = place(_GRID.reshape(-1, 3) * (width, height, length), obj.poses[HISTORY + frame])
    points = camera.to_camera(points, scene.ego[HISTORY + frame])
    points = points[points[:, 2] > NEAR]
    pixel = camera.to_pixels(points)
    inside = ((pixel >= 0) & (pixel <= np.array(camera.size)[::-1])).all(-1)
    return float(inside.sum() / (_GRID.size // 3))
