"""Coloured polygons by the hundred: shaded, projected and filled together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from flexhook.synthetic.camera import NEAR, Camera, clip_near, place
from flexhook.synthetic.solid_parts import Part

_SHIFT = 4


@dataclass(eq=False)
class Mesh:
    """The faces of one part with what is drawn on them.

    Attributes:
        corners: (v, 3) corners of all polygons.
        ends: (p,) end of each polygon in ``corners``.
        colours: (p, 3) RGB.
        face: (p,) the face that each polygon lies on.
        normals: (f, 3) outward unit normals of the faces.
        on_face: (f, 3) a point of each face.
        middle: (3,) middle of the part.
        layer: See :class:`flexhook.synthetic.solid_parts.Part`.
    """

    corners: np.ndarray
    ends: np.ndarray
    colours: np.ndarray
    face: np.ndarray
    normals: np.ndarray
    on_face: np.ndarray
    middle: np.ndarray
    layer: int


@lru_cache(maxsize=4096)
def meshes(parts: tuple[Part, ...]) -> tuple[Mesh, ...]:
    """The meshes of an object's parts."""
    return tuple(_mesh(part) for part in parts)


def _mesh(part: Part) -> Mesh:
    polygons: list[np.ndarray] = []
    colours, face = [], []
    middle = part.middle
    for number, f in enumerate(part.faces):
        for corners, colour in ((f.corners, f.colour), *f.details):
            polygons.append(corners)
            colours.append(colour)
            face.append(number)
    return Mesh(
        np.concatenate(polygons),
        np.cumsum([len(p) for p in polygons]),
        np.array(colours, float),
        np.array(face),
        _outward(np.stack([f.corners[:3] for f in part.faces]), np.stack([f.corners.mean(0) for f in part.faces]) - middle),
        np.stack([f.corners[0] for f in part.faces]),
        middle,
        part.layer,
    )


def _outward(corners: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Unit normals (f, 3) of faces by three corners (f, 3, 3) of each, on the side to which ``out`` (f, 3) points."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.sqrt((normal**2).sum(-1, keepdims=True))
    return np.where((normal * out).sum(-1, keepdims=True) < 0, -normal, normal)


@dataclass(eq=False)
class Batch:
    """Polygons in world coordinates in the order in which they are filled.

    Args:
        sun: (3,) unit vector towards the sun, in world coordinates.
    """

    sun: np.ndarray
    _corners: list[np.ndarray] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _colours: list[np.ndarray] = field(default_factory=list)

    def light(self, normals: np.ndarray) -> np.ndarray:
        """Brightness (...) of faces with outward unit normals (..., 3) in world coordinates."""
        return 0.86 + 0.10 * (normals @ self.sun) + 0.14 * (normals[..., 1] > 0.5)

    def add(self, polygon: np.ndarray, colour: np.ndarray) -> None:
        """One polygon (k, 3) of a colour (3,)."""
        self._corners.append(polygon)
        self._sizes.append(len(polygon))
        self._colours.append(colour)

    def add_object(self, parts: tuple[Part, ...], pose: np.ndarray, eye: np.ndarray) -> None:
        """The faces of an object at ``pose`` (3,) that face the ``eye`` (3,), shaded."""
        local = place(np.array([eye[0] - pose[0], eye[1], eye[2] - pose[1]]), np.array([0.0, 0.0, -pose[2]]))
        turn = np.array([0.0, 0.0, pose[2]])
        for mesh in sorted(meshes(parts), key=lambda m: (m.layer, -float(np.linalg.norm(m.middle - local)))):
            facing = ((local - mesh.on_face) * mesh.normals).sum(-1) > 0
            bright = self.light(place(mesh.normals, turn))
            corners = place(mesh.corners, pose)
            start = 0
            for end, colour, face in zip(mesh.ends.tolist(), mesh.colours, mesh.face.tolist(), strict=True):
                if facing[face]:
                    self.add(corners[start:end], colour * bright[face])
                start = end

    def fill(self, canvas: np.ndarray, camera: Camera, ego: np.ndarray) -> None:
        """Draw all polygons on (h, w, 3) uint8 as the camera sees them."""
        if not self._corners:
            return
        points = camera.to_camera(np.concatenate(self._corners), ego)
        depth = points[:, 2]
        ends = np.cumsum(self._sizes)
        starts: np.ndarray = ends - np.array(self._sizes)
        nearest = np.minimum.reduceat(depth, starts)
        farthest = np.maximum.reduceat(depth, starts)
        pixel = _fixed(camera.to_pixels(np.where(depth[:, None] < NEAR, NEAR, points)))
        colours = np.clip(np.stack(self._colours), 0, 255).tolist()
        for k, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            if farthest[k] <= NEAR:
                continue
            polygon = pixel[start:end]
            if nearest[k] < NEAR:
                polygon = _fixed(camera.to_pixels(clip_near(points[start:end])))
            cv2.fillConvexPoly(canvas, polygon, colours[k], cv2.LINE_8, _SHIFT)


def _fixed(pixel: np.ndarray) -> np.ndarray:
    """Pixels (of corners) as OpenCV's fixed-point numbers (of pixel centres)."""
    return np.round((np.clip(pixel, -8000, 8000) - 0.5) * 2**_SHIFT).astype(np.int32)
