"""What stands in a scene, sorted so that each thing comes after everything that it may hide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flexhook.synthetic.camera import NEAR, place
from flexhook.synthetic.kinds import COLOURS
from flexhook.synthetic.people import cyclist, pedestrian
from flexhook.synthetic.scene import Scene
from flexhook.synthetic.solid_parts import Part
from flexhook.synthetic.streets import blocks_near, trees_near
from flexhook.synthetic.thing import HISTORY, Thing
from flexhook.synthetic.vehicles import bus, car, truck, van

#: Objects, trees and houses farther than this, in metres, are not drawn.
OBJECT_RANGE, TREE_RANGE, BLOCK_RANGE = 75.0, 60.0, 75.0
#: Half the width of a tree's trunk; its crown's (lowest, highest) point and radius, in metres.
TREE_TRUNK, TREE_CROWN = 0.16, (2.6, 5.0, 1.3)
_TALL = 30.0


@dataclass(frozen=True, eq=False)
class Solid:
    """Something that hides what is behind it.

    Attributes:
        footprint: (4, 2) corners on the ground in world coordinates (x, z), in turn.
        parts: World corners (n, 3) of convex bodies that together are its outline: an object's parts, a tree's trunk, a
            block of houses.
        thing: Index of the object, or -1.
        block: For a block of houses its (x1, z1, x2, z2).
        tree: For a tree its (x, z).
    """

    footprint: np.ndarray
    parts: tuple[np.ndarray, ...]
    thing: int = -1
    block: tuple[float, float, float, float] | None = None
    tree: tuple[float, float] | None = None


def parts_at(thing: Thing, frame: int) -> tuple[Part, ...]:
    """The parts of an object at a frame; legs have nine positions, so that equal parts are made once."""
    return _parts(thing.kind, thing.size, thing.colour, round(float(thing.stride[HISTORY + frame]) * 4) / 4)


@lru_cache(maxsize=4096)
def _parts(kind: str, size: tuple[float, float, float], colour: str, stride: float) -> tuple[Part, ...]:
    return tuple(shape(kind, size, colour, stride))


def drawing_order(scene: Scene, frame: int) -> list[Solid]:
    """Houses, trees and objects of a frame that the camera might see, the farthest first."""
    ego = scene.ego[HISTORY + frame]
    solids = [_block(*block) for block in blocks_near(ego[0], ego[1], BLOCK_RANGE)]
    solids += [_tree(float(x), float(z)) for x, z in trees_near(ego[0], ego[1], TREE_RANGE)]
    for index, thing in enumerate(scene.things):
        pose = thing.poses[HISTORY + frame]
        if np.hypot(pose[0] - ego[0], pose[1] - ego[1]) < OBJECT_RANGE:
            length, width, _ = thing.size
            flat = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * (width / 2, 0, length / 2)
            corners = [flat, *(part.outline for part in parts_at(thing, frame))]
            flat, *parts = np.split(place(np.concatenate(corners), pose), np.cumsum([len(c) for c in corners])[:-1])
            solids.append(Solid(flat[:, [0, 2]], tuple(parts), thing=index))
    footprints = np.stack([s.footprint for s in solids]) - ego[:2]
    sin, cos = np.sin(ego[2]), np.cos(ego[2])
    right = footprints[..., 0] * cos - footprints[..., 1] * sin
    forward = footprints[..., 0] * sin + footprints[..., 1] * cos
    reach = 1.2 * forward.max(1) + 3.0
    in_cone = (forward.max(1) > NEAR) & (right.min(1) < reach) & (right.max(1) > -reach)
    return farthest_first([s for s, seen in zip(solids, in_cone, strict=True) if seen], ego[:2])


@lru_cache(maxsize=1024)
def _block(x1: float, z1: float, x2: float, z2: float) -> Solid:
    footprint = np.array([[x1, z1], [x2, z1], [x2, z2], [x1, z2]])
    return Solid(footprint, (_upright(footprint, _TALL),), block=(x1, z1, x2, z2))


@lru_cache(maxsize=4096)
def _tree(x: float, z: float) -> Solid:
    footprint = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * TREE_TRUNK + (x, z)
    return Solid(footprint, (_upright(footprint, TREE_CROWN[0]),), tree=(x, z))


def _upright(footprint: np.ndarray, height: float) -> np.ndarray:
    """(8, 3) corners of a prism on a footprint (4, 2)."""
    return np.concatenate([np.insert(footprint, 1, y, axis=1) for y in (0.0, height)])


def farthest_first(solids: list[Solid], eye: np.ndarray) -> list[Solid]:
    """Sort by "may hide".

    Footprints are convex and do not overlap, so a line along an edge of one of them separates each pair; the one on the
    eye's side of it is never hidden by the other.

    Args:
        solids: Any order.
        eye: (2,) place of the camera.
    """
    if not solids:
        return []
    corners = np.stack([s.footprint for s in solids])
    edge = np.roll(corners, -1, axis=1) - corners
    normal = np.stack([edge[..., 1], -edge[..., 0]], -1)
    normal *= np.sign((normal * (corners - corners.mean(1, keepdims=True))).sum(-1))[..., None]
    offset = (normal * corners).sum(-1)
    outside = (np.einsum("iec,jkc->iejk", normal, corners) >= offset[..., None, None] - 1e-6).all(-1)
    eye_outside = (normal @ eye >= offset)[..., None]
    other_nearer = (outside & eye_outside).any(1)
    self_nearer = (outside & ~eye_outside).any(1)
    never_hides = other_nearer | self_nearer.T
    behind = never_hides & ~never_hides.T
    distance = np.hypot(*(corners.mean(1) - eye).T)
    waiting = behind.sum(0)
    order: list[Solid] = []
    left = np.ones(len(solids), bool)
    while left.any():
        free = left & (waiting <= 0)
        k = int(np.argmax(np.where(free if free.any() else left, distance, -1.0)))
        left[k] = False
        waiting = waiting - behind[k]
        order.append(solids[k])
    return order


def shape(kind: str, size: tuple[float, float, float], colour: str, stride: float = 0.0) -> list[Part]:
    """Parts of an object of a kind, (length, width, height) in metres and a colour of :data:`COLOURS`."""
    paint = COLOURS[colour]
    if kind == "pedestrian":
        return pedestrian(*size, paint, stride)
    if kind == "cyclist":
        return cyclist(*size, paint, stride)
    return {"car": car, "van": van, "truck": truck, "bus": bus}[kind](*size, paint)
