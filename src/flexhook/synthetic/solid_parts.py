"""Convex parts with coloured faces, in metres, (right, up, forward) from a point on the ground below the object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull

Colour = tuple[int, int, int]

TYRE, UNDERBODY = (22, 22, 24), (44, 44, 46)


@dataclass(frozen=True, eq=False)
class Face:
    """A flat convex polygon of a part with flat polygons on it.

    Attributes:
        corners: (k, 3), counter-clockwise seen from outside in (right, up, forward).
        colour: RGB.
        details: Smaller polygons in the face's plane with their colours: windows, lights, wheels.
    """

    corners: np.ndarray
    colour: Colour
    details: tuple[tuple[np.ndarray, Colour], ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """A convex body.

    Attributes:
        faces: Its faces.
        layer: Parts of a higher layer are drawn over lower ones; within a layer the farther part is drawn first.
    """

    faces: tuple[Face, ...]
    layer: int = 0

    @cached_property
    def middle(self) -> np.ndarray:
        """(3,) mean of the faces' corners."""
        return np.concatenate([face.corners for face in self.faces]).mean(0)

    @cached_property
    def outline(self) -> np.ndarray:
        """(n, 3) corners of the convex hull of the faces and of what is on them: wheels reach below the body."""
        corners = np.concatenate([c for face in self.faces for c in (face.corners, *(d for d, _ in face.details))])
        return corners[ConvexHull(corners).vertices]


def quad(face: np.ndarray, u1: float, v1: float, u2: float, v2: float) -> np.ndarray:
    """A rectangle on a four-cornered face, given as fractions along its first edge (u) and its last edge (v)."""
    a, b, d, c = face[0], face[1], face[3], face[2]

    def at(u: float, v: float) -> np.ndarray:
        return (a * (1 - u) + b * u) * (1 - v) + (d * (1 - u) + c * u) * v

    return np.array([at(u1, v1), at(u2, v1), at(u2, v2), at(u1, v2)])


def disc(x: float, y: float, z: float, radius: float) -> np.ndarray:
    """A twelve-cornered wheel in the plane right = x."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([np.full(12, x), y + radius * np.sin(angle), z + radius * np.cos(angle)], -1)


def prism(profile: np.ndarray, width: float, colours: list[Colour], side: Colour) -> list[Face]:
    """Faces of a convex side profile (k, 2) of (forward, up), in the order rear, up, front, drawn out to ``width``.

    Returns a face for each edge of the profile but the last, which is the bottom; then the left and the right side.
    """
    half = width / 2
    left = np.array([[-half, y, z] for z, y in profile])
    right = left * (-1, 1, 1)
    faces = [Face(np.array([left[k], right[k], right[k + 1], left[k + 1]]), colours[k]) for k in range(len(profile) - 1)]
    faces.append(Face(left, side))
    faces.append(Face(right[::-1], side))
    return faces


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: Colour) -> list[Face]:
    """Rear, top, front, left and right face of a box; seen from outside, first edges are below and run to the right."""
    (x1, x2), (y1, y2), (z1, z2) = x, y, z
    rear = np.array([[x1, y1, z1], [x2, y1, z1], [x2, y2, z1], [x1, y2, z1]])
    top = np.array([[x1, y2, z1], [x2, y2, z1], [x2, y2, z2], [x1, y2, z2]])
    front = np.array([[x2, y1, z2], [x1, y1, z2], [x1, y2, z2], [x2, y2, z2]])
    left = np.array([[x1, y1, z2], [x1, y1, z1], [x1, y2, z1], [x1, y2, z2]])
    right = np.array([[x2, y1, z1], [x2, y1, z2], [x2, y2, z2], [x2, y2, z1]])
    return [Face(c, colour) for c in (rear, top, front, left, right)]


def darker(colour: Colour, share: float) -> Colour:
    """The colour with ``share`` of its brightness."""
    red, green, blue = (int(c * share) for c in colour)
    return red, green, blue


def detailed(face: Face, *details: tuple[np.ndarray, Colour]) -> Face:
    """The face with details added."""
    return Face(face.corners, face.colour, face.details + details)
