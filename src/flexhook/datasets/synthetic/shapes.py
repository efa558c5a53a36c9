"""The shapes of objects: convex parts with coloured faces, in metres, (right, up, forward) with the origin on the ground below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexhook.datasets.synthetic.kinds import COLOURS

Colour = tuple[int, int, int]

GLASS, TYRE, LAMP, TAIL, CHROME = (58, 72, 84), (22, 22, 24), (255, 248, 205), (235, 20, 24), (150, 152, 155)
SKIN, HAIR, TROUSERS, UNDERBODY = (224, 178, 145), (62, 42, 28), (74, 68, 66), (44, 44, 46)


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

    @property
    def corners(self) -> np.ndarray:
        """(n, 3) corners of all faces."""
        return np.concatenate([face.corners for face in self.faces])


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

    Returns the k faces of the profile's edges (the last one is the bottom and is left out), then the left and the right side.
    """
    half = width / 2
    left = np.array([[-half, y, z] for z, y in profile])
    right = left * (-1, 1, 1)
    faces = [
        Face(np.array([left[k], right[k], right[k + 1], left[k + 1]]), colours[k]) for k in range(len(profile) - 1)
    ]
    faces.append(Face(left, side))
    faces.append(Face(right[::-1], side))
    return faces


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: Colour) -> list[Face]:
    """Rear, top, front, left and right face of a box; first edges run to the viewer's right on the rear and left sides."""
    (x1, x2), (y1, y2), (z1, z2) = x, y, z
    rear = np.array([[x1, y1, z1], [x2, y1, z1], [x2, y2, z1], [x1, y2, z1]])
    top = np.array([[x1, y2, z1], [x2, y2, z1], [x2, y2, z2], [x1, y2, z2]])
    front = np.array([[x2, y1, z2], [x1, y1, z2], [x1, y2, z2], [x2, y2, z2]])
    left = np.array([[x1, y1, z2], [x1, y1, z1], [x1, y2, z1], [x1, y2, z2]])
    right = np.array([[x2, y1, z1], [x2, y1, z2], [x2, y2, z2], [x2, y2, z1]])
    return [Face(c, colour) for c in (rear, top, front, left, right)]


def detailed(face: Face, *details: tuple[np.ndarray, Colour]) -> Face:
    """The face with details added."""
    return Face(face.corners, face.colour, face.details + details)


def wheels(x: float, places: tuple[float, ...], radius: float) -> list[tuple[np.ndarray, Colour]]:
    """Wheels with hubs on the side right = x."""
    return [d for z in places for d in ((disc(x, radius, z, radius), TYRE), (disc(x, radius, z, radius * 0.45), CHROME))]


def car(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A saloon: low body, cabin with glass all around."""
    waist, r = 0.56 * height, 0.19 * height
    low = 0.17 * height
    rear, top, front, left, right = box((-width / 2, width / 2), (low, waist), (-length / 2, length / 2), paint)
    rear = detailed(
        rear, (quad(rear.corners, 0.03, 0.45, 0.27, 0.9), TAIL), (quad(rear.corners, 0.73, 0.45, 0.97, 0.9), TAIL),
        (quad(rear.corners, 0.36, 0.25, 0.64, 0.5), (232, 232, 225)), (quad(rear.corners, 0.0, 0.0, 1.0, 0.16), UNDERBODY),
    )
    front = detailed(
        front, (quad(front.corners, 0.02, 0.5, 0.27, 0.92), LAMP), (quad(front.corners, 0.73, 0.5, 0.98, 0.92), LAMP),
        (quad(front.corners, 0.3, 0.35, 0.7, 0.75), (35, 35, 38)), (quad(front.corners, 0.0, 0.0, 1.0, 0.16), UNDERBODY),
    )
    places = (-0.3 * length, 0.31 * length)
    left, right = detailed(left, *wheels(-width / 2, places, r)), detailed(right, *wheels(width / 2, places, r))
    profile = np.array([[-0.42 * length, waist], [-0.27 * length, height], [0.08 * length, height], [0.25 * length, waist]])
    cabin = prism(profile, 0.88 * width, [GLASS, paint, GLASS, paint], paint)
    cabin = cabin[:3] + [_side_glass(face, 0.84, 2) for face in cabin[3:]]
    cabin[0] = _framed(cabin[0], paint, 0.08)
    cabin[2] = _framed(cabin[2], paint, 0.08)
    return [Part((rear, top, front, left, right)), Part(tuple(cabin), 1)]


def van(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A panel van: one tall body with a sloping nose, no glass behind the doors."""
    low, r = 0.11 * height, 0.15 * height
    profile = np.array([
        [-length / 2, low], [-length / 2, height], [0.22 * length, height], [0.44 * length, 0.5 * height],
        [length / 2, 0.44 * height], [length / 2, low],
    ])
    faces = prism(profile, width, [paint] * 5, paint)
    rear, roof, screen, bonnet, nose, left, right = faces
    rear = detailed(rear, *[(d, c) for d, c in (
        (_up(rear, 0.08, 0.62, 0.46, 0.9), GLASS), (_up(rear, 0.54, 0.62, 0.92, 0.9), GLASS),
        (_up(rear, 0.02, 0.16, 0.12, 0.5), TAIL), (_up(rear, 0.88, 0.16, 0.98, 0.5), TAIL),
        (_up(rear, 0.485, 0.06, 0.515, 0.95), UNDERBODY), (_up(rear, 0.0, 0.0, 1.0, 0.06), UNDERBODY),
    )])
    screen = detailed(screen, (_up(screen, 0.07, 0.08, 0.93, 0.92), GLASS))
    nose = detailed(
        nose, (_up(nose, 0.02, 0.55, 0.26, 0.95), LAMP), (_up(nose, 0.74, 0.55, 0.98, 0.95), LAMP),
        (_up(nose, 0.3, 0.4, 0.7, 0.85), (35, 35, 38)), (_up(nose, 0.0, 0.0, 1.0, 0.2), UNDERBODY),
    )
    half = width / 2
    glass = np.array([[0, 0.86 * height, 0.06 * length], [0, 0.86 * height, 0.22 * length], [0, 0.56 * height, 0.36 * length],
                      [0, 0.56 * height, 0.06 * length]])
    places = (-0.3 * length, 0.31 * length)
    sides = []
    for face, x in ((left, -half), (right, half)):
        pane = glass + (x, 0, 0)
        sides.append(detailed(face, (pane, GLASS), *wheels(x, places, r)))
    return [Part((rear, roof, screen, bonnet, nose, *sides))]


def truck(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A box truck: a separate cab, a taller windowless box on a dark frame."""
    r = 0.16 * height
    cab_length, floor = 0.26 * length, 0.30 * height
    rear, top, front, left, right = box(
        (-0.46 * width, 0.46 * width), (0.14 * height, 0.80 * height), (length / 2 - cab_length, length / 2), paint
    )
    front = detailed(
        front, (quad(front.corners, 0.06, 0.5, 0.94, 0.93), GLASS), (quad(front.corners, 0.03, 0.14, 0.24, 0.32), LAMP),
        (quad(front.corners, 0.76, 0.14, 0.97, 0.32), LAMP), (quad(front.corners, 0.28, 0.16, 0.72, 0.42), (35, 35, 38)),
        (quad(front.corners, 0.0, 0.0, 1.0, 0.09), UNDERBODY),
    )
    z_wheel = length / 2 - 0.55 * cab_length
    left = detailed(left, (quad(left.corners, 0.1, 0.5, 0.62, 0.92), GLASS), *wheels(-0.46 * width, (z_wheel,), r))
    right = detailed(right, (quad(right.corners, 0.38, 0.5, 0.9, 0.92), GLASS), *wheels(0.46 * width, (z_wheel,), r))
    cab = Part((rear, top, front, left, right))
    load_end = length / 2 - cab_length - 0.04 * length
    load = box((-width / 2, width / 2), (floor, height), (-length / 2, load_end), paint)
    dark = tuple(int(c * 0.72) for c in paint)
    load[0] = detailed(load[0], (quad(load[0].corners, 0.485, 0.0, 0.515, 1.0), UNDERBODY),
                       (quad(load[0].corners, 0.0, 0.94, 1.0, 1.0), dark), (quad(load[0].corners, 0.0, 0.0, 1.0, 0.05), dark))
    ribs = [(u, u + 0.02) for u in (0.18, 0.38, 0.58, 0.78)]
    for k in (3, 4):
        load[k] = detailed(load[k], *[(quad(load[k].corners, a, 0.0, b, 1.0), dark) for a, b in ribs])
    frame = box((-0.44 * width, 0.44 * width), (0.10 * height, floor), (-length / 2, load_end), UNDERBODY)
    frame[0] = detailed(frame[0], (quad(frame[0].corners, 0.0, 0.4, 0.2, 0.9), TAIL), (quad(frame[0].corners, 0.8, 0.4, 1.0, 0.9), TAIL))
    frame[3] = detailed(frame[3], *wheels(-0.44 * width, (-0.28 * length,), r))
    frame[4] = detailed(frame[4], *wheels(0.44 * width, (-0.28 * length,), r))
    return [cab, Part(tuple(frame)), Part(tuple(load), 1)]


def bus(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A bus: one long box with a band of windows all around."""
    r = 0.15 * height
    rear, top, front, left, right = box((-width / 2, width / 2), (0.11 * height, height), (-length / 2, length / 2), paint)
    rear = detailed(
        rear, (quad(rear.corners, 0.1, 0.52, 0.9, 0.88), GLASS), (quad(rear.corners, 0.02, 0.12, 0.16, 0.42), TAIL),
        (quad(rear.corners, 0.84, 0.12, 0.98, 0.42), TAIL), (quad(rear.corners, 0.25, 0.12, 0.75, 0.34), UNDERBODY),
    )
    front = detailed(
        front, (quad(front.corners, 0.04, 0.36, 0.96, 0.84), GLASS), (quad(front.corners, 0.2, 0.87, 0.8, 0.98), (250, 150, 30)),
        (quad(front.corners, 0.03, 0.1, 0.22, 0.26), LAMP), (quad(front.corners, 0.78, 0.1, 0.97, 0.26), LAMP),
    )
    places = (-0.28 * length, 0.30 * length)
    panes = [(0.03 + 0.158 * k, 0.165 + 0.158 * k) for k in range(6)]
    left = detailed(left, *[(quad(left.corners, a, 0.46, b, 0.85), GLASS) for a, b in panes], *wheels(-width / 2, places, r))
    right = detailed(right, *[(quad(right.corners, a, 0.46, b, 0.85), GLASS) for a, b in panes], *wheels(width / 2, places, r))
    return [Part((rear, top, front, left, right))]


def _up(face: Face, u1: float, v1: float, u2: float, v2: float) -> np.ndarray:
    """A rectangle on a face of :func:`prism`, v from the face's lower edge; rising and falling faces are told apart."""
    c = face.corners
    if c[0, 1] > c[2, 1]:
        c = np.array([c[3], c[2], c[1], c[0]])
    return quad(c, u1, v1, u2, v2)


def _framed(face: Face, frame: Colour, border: float) -> Face:
    """A pane of the face's colour within a frame."""
    return Face(face.corners, frame, ((quad(face.corners, border, border, 1 - border, 1 - border), face.colour),))


def _side_glass(face: Face, share: float, panes: int) -> Face:
    """Panes in a side of the cabin: the side shrunk around its middle and divided upright."""
    middle = face.corners.mean(0)
    inner = middle + (face.corners - middle) * share
    details = [(inner, GLASS)]
    low, high = inner[:, 2].min(), inner[:, 2].max()
    bottom, top = inner[:, 1].min(), inner[:, 1].max()
    for k in range(1, panes):
        z = low + (high - low) * k / panes
        post = np.array([[middle[0], bottom, z - 0.05], [middle[0], bottom, z + 0.05], [middle[0], top, z + 0.05], [middle[0], top, z - 0.05]])
        details.append((post, face.colour))
    return Face(face.corners, face.colour, tuple(details))


def head(y: float, z: float, radius: float) -> Part:
    """A head whose face looks forward."""
    rear, top, front, left, right = box((-radius, radius), (y, y + 2.1 * radius), (z - radius, z + radius), HAIR)
    front = detailed(front, (quad(front.corners, 0.0, 0.0, 1.0, 0.72), SKIN))
    left = detailed(left, (quad(left.corners, 0.0, 0.0, 0.55, 0.72), SKIN))
    right = detailed(right, (quad(right.corners, 0.45, 0.0, 1.0, 0.72), SKIN))
    return Part((rear, top, front, left, right), 2)


def limb(x: float, top: tuple[float, float], bottom: tuple[float, float], thickness: float, colour: Colour, layer: int) -> Part:
    """A limb at right = x from ``top`` (up, forward) to ``bottom``."""
    half = thickness / 2
    (y2, z2), (y1, z1) = top, bottom
    lower = np.array([[x - half, y1, z1 - half], [x + half, y1, z1 - half], [x + half, y1, z1 + half], [x - half, y1, z1 + half]])
    upper = lower.copy()
    upper[:, 1] = y2
    upper[:, 2] += z2 - z1
    faces = [Face(np.array([lower[a], lower[b], upper[b], upper[a]]), colour) for a, b in ((0, 1), (2, 3), (3, 0), (1, 2))]
    return Part(tuple(faces), layer)


def pedestrian(length: float, width: float, height: float, coat: Colour, stride: float) -> list[Part]:
    """A person on foot; ``stride`` in [-1, 1] swings legs and arms, of walking and standing people alike."""
    hip, shoulder, r = 0.42 * height, 0.84 * height, 0.075 * height
    swing = 0.17 * height * stride
    parts = [
        limb(-0.09 * width / 0.5, (hip, 0), (0, swing), 0.17, TROUSERS, 0),
        limb(0.09 * width / 0.5, (hip, 0), (0, -swing), 0.17, TROUSERS, 0),
    ]
    torso = box((-0.40 * width, 0.40 * width), (0.36 * height, shoulder), (-0.30 * width, 0.30 * width), coat)
    dark = tuple(int(c * 0.8) for c in coat)
    arms = [
        limb(side * 0.47 * width, (0.82 * height, 0), (0.46 * height, -side * swing * 0.8), 0.11, dark, 1) for side in (-1, 1)
    ]
    return [*parts, *arms, Part(tuple(torso), 1), head(shoulder + 0.01, 0.02, r)]


def cyclist(length: float, width: float, height: float, coat: Colour, stride: float) -> list[Part]:
    """A person on a bicycle, leaning forward; ``stride`` turns the pedals."""
    r = 0.20 * length
    axle = length / 2 - r
    thin = 0.05
    parts = []
    for z in (-axle, axle):
        rim, hole = disc(0, r, z, r), disc(0, r, z, r * 0.66)
        parts.append(Part((
            Face(rim - (thin, 0, 0), TYRE, ((hole - (thin, 0, 0), (128, 128, 130)),)),
            Face(rim[::-1] + (thin, 0, 0), TYRE, ((hole[::-1] + (thin, 0, 0), (128, 128, 130)),)),
            *box((-thin, thin), (0.06, 2 * r - 0.04), (z - 0.3 * r, z + 0.3 * r), TYRE),
        )))
    saddle, shoulder = 0.52 * height, 0.80 * height
    parts.append(limb(0.0, (saddle, -0.12 * length), (r, -0.45 * axle), 0.09, (150, 30, 35), 0))
    parts.append(limb(0.0, (0.56 * height, 0.24 * length), (r, axle), 0.09, (150, 30, 35), 0))
    lift = 0.10 * height * stride
    for side in (-1, 1):
        parts.append(limb(side * 0.12, (saddle, -0.10 * length), (0.16 * height + side * lift, 0.06 * length), 0.16, TROUSERS, 1))
    torso = box((-0.38 * width, 0.38 * width), (saddle - 0.04, shoulder), (-0.16 * width, 0.34 * width), coat)
    lean = 0.16 * length
    torso = [Face(f.corners + (f.corners[:, 1:2] > saddle) * np.array([0, 0, lean]) - (0, 0, 0.10 * length), f.colour) for f in torso]
    dark = tuple(int(c * 0.8) for c in coat)
    arms = [limb(s * 0.42 * width, (0.78 * height, 0.10 * length), (0.58 * height, 0.26 * length), 0.1, dark, 1) for s in (-1, 1)]
    return [*parts, *arms, Part(tuple(torso), 1), head(shoulder + 0.02, 0.14 * length, 0.075 * height)]


def shape(kind: str, size: tuple[float, float, float], colour: str, stride: float = 0.0) -> list[Part]:
    """Parts of an object of a kind, (length, width, height) in metres and a colour of :data:`COLOURS`."""
    paint = COLOURS[colour]
    if kind == "pedestrian":
        return pedestrian(*size, paint, stride)
    if kind == "cyclist":
        return cyclist(*size, paint, stride)
    return {"car": car, "van": van, "truck": truck, "bus": bus}[kind](*size, paint)
