"""What the camera sees of every object: the order of drawing, boxes, and how much of each object is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from flexhook.datasets.synthetic.camera import NEAR, Camera, clip_near, place
from flexhook.datasets.synthetic.config import WorldConfig
from flexhook.datasets.synthetic.scene import HISTORY, Scene, Thing
from flexhook.datasets.synthetic.shapes import Part, shape
from flexhook.datasets.synthetic.streets import blocks_near, trees_near

#: Objects, trees and houses farther than this, in metres, are not drawn.
OBJECT_RANGE, TREE_RANGE, BLOCK_RANGE = 75.0, 60.0, 75.0
#: Occlusion is measured on a raster of this share of the nominal frame.
_RASTER = 0.5
TREE_TRUNK, TREE_CROWN = 0.16, (2.6, 5.0, 1.3)


@dataclass(frozen=True, eq=False)
class Observations:
    """Everything visible in a scene, sorted by frame and object.

    Attributes:
        frame: (n,) int64.
        thing: (n,) int64 index of the object.
        box: (n, 4) float64 (x1, y1, x2, y2) in pixels of the nominal frame, clipped to it; hidden parts of the object count.
        unoccluded: (n,) share of what the frame shows of the object that nothing hides.
    """

    frame: np.ndarray
    thing: np.ndarray
    box: np.ndarray
    unoccluded: np.ndarray


def observe(scene: Scene, config: WorldConfig) -> Observations:
    """The visible objects of every frame by the rule of :class:`WorldConfig` (min_height, min_unoccluded, min_inside)."""
    rows = []
    for frame in range(scene.frames):
        for thing, box, unoccluded in _observe_frame(scene, frame, config):
            rows.append((frame, thing, *box, unoccluded))
    table = np.array(rows, np.float64).reshape(-1, 7)
    return Observations(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])


def _observe_frame(scene: Scene, frame: int, config: WorldConfig) -> list[tuple[int, np.ndarray, float]]:
    camera, ego = scene.camera, scene.ego[HISTORY + frame]
    raster = camera.scaled(_RASTER)
    owner = np.zeros(raster.size, np.uint8)
    height, width = camera.size
    found: dict[int, tuple[np.ndarray, int]] = {}
    for solid in drawing_order(scene, frame):
        outlines = [camera.to_pixels(outline) for outline in solid.outlines(camera, ego)]
        if not outlines:
            continue
        alone = np.zeros_like(owner) if solid.thing >= 0 else owner
        value = 1 if solid.thing >= 0 else 0
        for outline in outlines:
            cv2.fillConvexPoly(alone, _fixed(outline * _RASTER), value, cv2.LINE_8, _SHIFT)
        if solid.thing < 0:
            continue
        owner[alone > 0] = solid.thing + 1
        corners = np.concatenate(outlines)
        box = np.concatenate([corners.min(0), corners.max(0)])
        if solid.thing >= 0 and box[0] < width and box[2] > 0 and box[1] < height:
            found[solid.thing] = (np.clip(box, 0, [width, height, width, height]), int(alone.sum()))
    visible = []
    for thing, (box, area) in sorted(found.items()):
        if box[3] - box[1] < config.min_height or box[2] - box[0] < config.min_height / 4 or not area:
            continue
        unoccluded = float((owner == thing + 1).sum() / area)
        if unoccluded >= config.min_unoccluded and share_inside(scene, thing, frame) >= config.min_inside:
            visible.append((thing, box, unoccluded))
    return visible


def share_inside(scene: Scene, thing: int, frame: int) -> float:
    """Share of a 5x3x5 grid of points in the object's cuboid that the frame contains."""
    obj, camera = scene.things[thing], scene.camera
    length, width, height = obj.size
    grid = np.stack(np.meshgrid(*(np.linspace(-0.4, 0.4, 5), np.linspace(0.1, 0.9, 3), np.linspace(-0.4, 0.4, 5))), -1)
    points = place(grid.reshape(-1, 3) * (width, height, length), obj.poses[HISTORY + frame])
    points = camera.to_camera(points, scene.ego[HISTORY + frame])
    points = points[points[:, 2] > NEAR]
    pixel = camera.to_pixels(points)
    return float(((pixel >= 0) & (pixel <= np.array(camera.size)[::-1])).all(-1).sum() / 75)


_SHIFT = 4


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixel coordinates (of pixel corners) as OpenCV's fixed-point numbers (of pixel centres)."""
    return np.round((np.clip(points, -8000, 8000) - 0.5) * 2**_SHIFT).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Solid:
    """Something that hides what is behind it.

    Attributes:
        footprint: (4, 2) corners on the ground, counter-clockwise seen from above (x to the right, z upwards).
        thing: Index of the object, or -1 for houses and trees.
        parts: The object's parts in world coordinates: corners (n, 3) each; for a tree trunk and crown, for houses one prism.
        block: For a block of houses its (x1, z1, x2, z2).
        tree: For a tree its (x, z).
    """

    footprint: np.ndarray
    thing: int = -1
    parts: tuple[np.ndarray, ...] = ()
    block: tuple[float, float, float, float] | None = None
    tree: tuple[float, float] | None = None

    def outlines(self, camera: Camera, ego: np.ndarray) -> list[np.ndarray]:
        """Convex outlines of the parts in camera coordinates, (k, 3) each, cut at the near plane."""
        out = []
        for part in self.parts:
            points = camera.to_camera(part, ego)
            if points[:, 2].max() <= NEAR:
                continue
            if points[:, 2].min() < NEAR:
                points = _cut_hull(points)
            pixel = camera.to_pixels(points).astype(np.float32)
            hull = cv2.convexHull(pixel, returnPoints=False)
            out.append(points[hull[:, 0]])
        return out


def _cut_hull(points: np.ndarray) -> np.ndarray:
    """Points (n, 3) that span the part beyond the near plane of the convex hull of (n, 3) points."""
    front, back = points[points[:, 2] >= NEAR], points[points[:, 2] < NEAR]
    share = (front[:, None, 2] - NEAR) / (front[:, None, 2] - back[None, :, 2])
    cut = front[:, None] + (back[None] - front[:, None]) * share[..., None]
    return np.concatenate([front, cut.reshape(-1, 3)])


@lru_cache(maxsize=4096)
def parts_of(kind: str, size: tuple[float, float, float], colour: str, stride: float) -> tuple[Part, ...]:
    """The parts of an object; ``stride`` should be rounded so that the cache is of use."""
    return tuple(shape(kind, size, colour, stride))


def parts_at(thing: Thing, frame: int) -> tuple[Part, ...]:
    """The parts of an object in its pose of the legs at a frame."""
    return parts_of(thing.kind, thing.size, thing.colour, round(float(thing.stride[HISTORY + frame]) * 4) / 4)


@lru_cache(maxsize=1024)
def _block(x1: float, z1: float, x2: float, z2: float) -> Solid:
    footprint = np.array([[x1, z1], [x2, z1], [x2, z2], [x1, z2]])
    return Solid(footprint, parts=(_upright(footprint, 30.0),), block=(x1, z1, x2, z2))


@lru_cache(maxsize=4096)
def _tree(x: float, z: float) -> Solid:
    footprint = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * TREE_TRUNK + (x, z)
    return Solid(footprint, parts=(_upright(footprint, TREE_CROWN[0]),), tree=(x, z))


def _upright(footprint: np.ndarray, height: float) -> np.ndarray:
    """(8, 3) corners of a prism on a footprint (4, 2)."""
    return np.concatenate([np.insert(footprint, 1, y, axis=1) for y in (0.0, height)])


def drawing_order(scene: Scene, frame: int) -> list[Solid]:
    """Houses, trees and objects of a frame so that each comes after everything that it may hide."""
    ego = scene.ego[HISTORY + frame]
    solids = [_block(*block) for block in blocks_near(ego[0], ego[1], BLOCK_RANGE)]
    solids += [_tree(float(x), float(z)) for x, z in trees_near(ego[0], ego[1], TREE_RANGE)]
    for index, thing in enumerate(scene.things):
        pose = thing.poses[HISTORY + frame]
        if np.hypot(pose[0] - ego[0], pose[1] - ego[1]) < OBJECT_RANGE:
            length, width, _ = thing.size
            flat = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * (width / 2, 0, length / 2)
            parts = tuple(place(part.corners, pose) for part in parts_at(thing, frame))
            solids.append(Solid(place(flat, pose)[:, [0, 2]], index, parts))
    corners = np.stack([s.footprint for s in solids]) - ego[:2]
    sin, cos = np.sin(ego[2]), np.cos(ego[2])
    right, forward = corners[..., 0] * cos - corners[..., 1] * sin, corners[..., 0] * sin + corners[..., 1] * cos
    ahead = forward.max(1) > NEAR
    beside = np.abs(right).min(1) > 1.2 * forward.max(1) + 3.0
    across = right.min(1) * right.max(1) < 0
    return _farthest_first([s for s, a, b, c in zip(solids, ahead, beside, across, strict=True) if a and (c or not b)], ego[:2])


def _farthest_first(solids: list[Solid], eye: np.ndarray) -> list[Solid]:
    """Topological order of "may hide": a separating line between two footprints tells which of them is nearer to the eye."""
    if not solids:
        return []
    corners = np.stack([s.footprint for s in solids])
    edge = np.roll(corners, -1, axis=1) - corners
    normal = np.stack([edge[..., 1], -edge[..., 0]], -1)
    offset = (normal * corners).sum(-1)
    outside = (np.einsum("iec,jkc->iejk", normal, corners) >= offset[..., None, None] - 1e-6).all(-1)
    eye_outside = (normal @ eye >= offset)[..., None]
    other_nearer = (outside & eye_outside).any(1)
    self_nearer = (outside & ~eye_outside).any(1)
    never_hides = other_nearer | self_nearer.T
    behind = never_hides & ~never_hides.T
    distance = np.hypot(*(corners.mean(1) - eye).T)
    waiting = behind.sum(0)
    left = np.ones(len(solids), bool)
    order = []
    while left.any():
        free = np.flatnonzero(left & (waiting <= 0))
        pool = free if len(free) else np.flatnonzero(left)
        k = int(pool[np.argmax(distance[pool])])
        left[k] = False
        waiting = waiting - behind[k]
        order.append(solids[k])
    return order


def clipped(polygon: np.ndarray, camera: Camera, ego: np.ndarray) -> np.ndarray | None:
    """A world polygon (k, 3) in pixels (m, 2), cut at the near plane; None where nothing is left."""
    cut = clip_near(camera.to_camera(polygon, ego))
    return camera.to_pixels(cut) if len(cut) >= 3 else None
