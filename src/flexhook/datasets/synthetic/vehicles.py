"""The shapes of vehicles; lamps, panes and lights show which way they face."""

from __future__ import annotations

import numpy as np

from flexhook.datasets.synthetic.parts import (
    TYRE,
    UNDERBODY,
    Colour,
    Face,
    Part,
    box,
    darker,
    detailed,
    disc,
    prism,
    quad,
)

GLASS, LAMP, TAIL, CHROME = (58, 72, 84), (255, 248, 205), (235, 20, 24), (150, 152, 155)
_PLATE, _GRILLE, _ROUTE_SIGN = (232, 232, 225), (35, 35, 38), (250, 150, 30)


def wheels(x: float, places: tuple[float, ...], radius: float) -> list[tuple[np.ndarray, Colour]]:
    """Wheels with hubs on the side right = x."""
    return [d for z in places for d in ((disc(x, radius, z, radius), TYRE), (disc(x, radius, z, radius * 0.45), CHROME))]


def car(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A saloon: low body, cabin with glass all around."""
    waist, r = 0.56 * height, 0.19 * height
    low = 0.17 * height
    rear, top, front, left, right = box((-width / 2, width / 2), (low, waist), (-length / 2, length / 2), paint)
    rear = detailed(
        rear,
        (quad(rear.corners, 0.03, 0.45, 0.27, 0.9), TAIL),
        (quad(rear.corners, 0.73, 0.45, 0.97, 0.9), TAIL),
        (quad(rear.corners, 0.36, 0.25, 0.64, 0.5), _PLATE),
        (quad(rear.corners, 0.0, 0.0, 1.0, 0.16), UNDERBODY),
    )
    front = detailed(
        front,
        (quad(front.corners, 0.02, 0.5, 0.27, 0.92), LAMP),
        (quad(front.corners, 0.73, 0.5, 0.98, 0.92), LAMP),
        (quad(front.corners, 0.3, 0.35, 0.7, 0.75), _GRILLE),
        (quad(front.corners, 0.0, 0.0, 1.0, 0.16), UNDERBODY),
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
    profile = np.array(
        [
            [-length / 2, low],
            [-length / 2, height],
            [0.22 * length, height],
            [0.44 * length, 0.5 * height],
            [length / 2, 0.44 * height],
            [length / 2, low],
        ]
    )
    faces = prism(profile, width, [paint] * 5, paint)
    rear, roof, screen, bonnet, nose, left, right = faces
    rear = detailed(
        rear,
        *[
            (d, c)
            for d, c in (
                (_up(rear, 0.08, 0.62, 0.46, 0.9), GLASS),
                (_up(rear, 0.54, 0.62, 0.92, 0.9), GLASS),
                (_up(rear, 0.02, 0.16, 0.12, 0.5), TAIL),
                (_up(rear, 0.88, 0.16, 0.98, 0.5), TAIL),
                (_up(rear, 0.485, 0.06, 0.515, 0.95), UNDERBODY),
                (_up(rear, 0.0, 0.0, 1.0, 0.06), UNDERBODY),
            )
        ],
    )
    screen = detailed(screen, (_up(screen, 0.07, 0.08, 0.93, 0.92), GLASS))
    nose = detailed(
        nose,
        (_up(nose, 0.02, 0.55, 0.26, 0.95), LAMP),
        (_up(nose, 0.74, 0.55, 0.98, 0.95), LAMP),
        (_up(nose, 0.3, 0.4, 0.7, 0.85), _GRILLE),
        (_up(nose, 0.0, 0.0, 1.0, 0.2), UNDERBODY),
    )
    half = width / 2
    glass = np.array(
        [
            [0, 0.86 * height, 0.06 * length],
            [0, 0.86 * height, 0.22 * length],
            [0, 0.56 * height, 0.36 * length],
            [0, 0.56 * height, 0.06 * length],
        ]
    )
    places = (-0.3 * length, 0.31 * length)
    sides = []
    for face, x in ((left, -half), (right, half)):
        pane = glass + np.array([x, 0.0, 0.0])
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
        front,
        (quad(front.corners, 0.06, 0.5, 0.94, 0.93), GLASS),
        (quad(front.corners, 0.03, 0.14, 0.24, 0.32), LAMP),
        (quad(front.corners, 0.76, 0.14, 0.97, 0.32), LAMP),
        (quad(front.corners, 0.28, 0.16, 0.72, 0.42), _GRILLE),
        (quad(front.corners, 0.0, 0.0, 1.0, 0.09), UNDERBODY),
    )
    z_wheel = length / 2 - 0.55 * cab_length
    left = detailed(left, (quad(left.corners, 0.1, 0.5, 0.62, 0.92), GLASS), *wheels(-0.46 * width, (z_wheel,), r))
    right = detailed(right, (quad(right.corners, 0.38, 0.5, 0.9, 0.92), GLASS), *wheels(0.46 * width, (z_wheel,), r))
    cab = Part((rear, top, front, left, right))
    load_end = length / 2 - cab_length - 0.04 * length
    load = box((-width / 2, width / 2), (floor, height), (-length / 2, load_end), paint)
    dark = darker(paint, 0.72)
    load[0] = detailed(
        load[0],
        (quad(load[0].corners, 0.485, 0.0, 0.515, 1.0), UNDERBODY),
        (quad(load[0].corners, 0.0, 0.94, 1.0, 1.0), dark),
        (quad(load[0].corners, 0.0, 0.0, 1.0, 0.05), dark),
    )
    ribs = [(u, u + 0.02) for u in (0.18, 0.38, 0.58, 0.78)]
    for k in (3, 4):
        load[k] = detailed(load[k], *[(quad(load[k].corners, a, 0.0, b, 1.0), dark) for a, b in ribs])
    frame = box((-0.44 * width, 0.44 * width), (0.10 * height, floor), (-length / 2, load_end), UNDERBODY)
    frame[0] = detailed(
        frame[0], (quad(frame[0].corners, 0.0, 0.4, 0.2, 0.9), TAIL), (quad(frame[0].corners, 0.8, 0.4, 1.0, 0.9), TAIL)
    )
    frame[3] = detailed(frame[3], *wheels(-0.44 * width, (-0.28 * length,), r))
    frame[4] = detailed(frame[4], *wheels(0.44 * width, (-0.28 * length,), r))
    return [cab, Part(tuple(frame)), Part(tuple(load), 1)]


def bus(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A bus: one long box with a band of windows all around."""
    r = 0.15 * height
    rear, top, front, left, right = box((-width / 2, width / 2), (0.11 * height, height), (-length / 2, length / 2), paint)
    rear = detailed(
        rear,
        (quad(rear.corners, 0.1, 0.52, 0.9, 0.88), GLASS),
        (quad(rear.corners, 0.02, 0.12, 0.16, 0.42), TAIL),
        (quad(rear.corners, 0.84, 0.12, 0.98, 0.42), TAIL),
        (quad(rear.corners, 0.25, 0.12, 0.75, 0.34), UNDERBODY),
    )
    front = detailed(
        front,
        (quad(front.corners, 0.04, 0.36, 0.96, 0.84), GLASS),
        (quad(front.corners, 0.2, 0.87, 0.8, 0.98), _ROUTE_SIGN),
        (quad(front.corners, 0.03, 0.1, 0.22, 0.26), LAMP),
        (quad(front.corners, 0.78, 0.1, 0.97, 0.26), LAMP),
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
        post = np.array(
            [
                [middle[0], bottom, z - 0.05],
                [middle[0], bottom, z + 0.05],
                [middle[0], top, z + 0.05],
                [middle[0], top, z - 0.05],
            ]
        )
        details.append((post, face.colour))
    return Face(face.corners, face.colour, tuple(details))
