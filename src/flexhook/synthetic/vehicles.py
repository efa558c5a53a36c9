"""The shapes of vehicles; lamps, panes and lights show which way they face."""

from __future__ import annotations

import numpy as np

from flexhook.synthetic.solid_parts import (
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

WINDSCREEN, SIDE_GLASS, REAR_GLASS = (150, 178, 198), (66, 80, 92), (26, 28, 32)
LAMP, TAIL, CHROME = (255, 250, 215), (240, 16, 20), (150, 152, 155)
_PLATE, _HOUSING, _ROUTE_SIGN = (232, 232, 225), (24, 24, 26), (250, 150, 30)
_STRIPE = (205, 205, 200)


def wheels(x: float, places: tuple[float, ...], radius: float) -> list[tuple[np.ndarray, Colour]]:
    """Wheels with hubs on the side right = x."""
    return [d for z in places for d in ((disc(x, radius, z, radius), TYRE), (disc(x, radius, z, radius * 0.45), CHROME))]


def lights(corners: np.ndarray, width: float, low: float, high: float, colour: Colour) -> list[tuple[np.ndarray, Colour]]:
    """A light at each side of a four-cornered face, on a dark band that sets them off from any paint.

    Args:
        corners: (4, 3) corners of the face.
        width: Of a light, as a share of the face's.
        low: Lower edge of the band, as a share of the face's height.
        high: Upper edge.
        colour: Of the lights.
    """
    inset = 0.12 * (high - low)
    return [
        (quad(corners, 0.0, low, 1.0, high), _HOUSING),
        *((quad(corners, u, low + inset, u + width, high - inset), colour) for u in (0.02, 0.98 - width)),
    ]


def car(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A saloon: low body, cabin with glass all around."""
    waist, r = 0.56 * height, 0.19 * height
    low = 0.17 * height
    rear, top, front, left, right = box((-width / 2, width / 2), (low, waist), (-length / 2, length / 2), paint)
    rear = detailed(
        rear,
        *lights(rear.corners, 0.36, 0.44, 0.94, TAIL),
        (quad(rear.corners, 0.36, 0.20, 0.64, 0.42), _PLATE),
        (quad(rear.corners, 0.0, 0.0, 1.0, 0.16), UNDERBODY),
    )
    front = detailed(
        front,
        *lights(front.corners, 0.30, 0.44, 0.96, LAMP),
        (quad(front.corners, 0.0, 0.0, 1.0, 0.16), UNDERBODY),
    )
    places = (-0.3 * length, 0.31 * length)
    left, right = detailed(left, *wheels(-width / 2, places, r)), detailed(right, *wheels(width / 2, places, r))
    profile = np.array([[-0.42 * length, waist], [-0.27 * length, height], [0.08 * length, height], [0.25 * length, waist]])
    cabin = prism(profile, 0.88 * width, [REAR_GLASS, paint, WINDSCREEN], paint)
    cabin = cabin[:3] + [_side_glass(face, 0.84, 2) for face in cabin[3:]]
    cabin[0] = _framed(cabin[0], paint, 0.08)
    cabin[2] = _framed(cabin[2], paint, 0.08)
    return [Part((rear, top, front, left, right)), Part(tuple(cabin), 1)]


def van(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A panel van: one tall body with a sloping nose, no glass behind the doors."""
    low, r, half = 0.11 * height, 0.15 * height, width / 2
    screen_top, screen_foot = (0.22 * length, height), (0.44 * length, 0.50 * height)
    profile = [(-length / 2, low), (-length / 2, height), screen_top, screen_foot]
    profile += [(length / 2, 0.44 * height), (length / 2, low)]
    rear, roof, screen, bonnet, nose, left, right = prism(np.array(profile), width, [paint] * 5, paint)
    back, pane, front = rear.corners, _from_below(screen), _from_below(nose)
    rear = detailed(
        rear,
        (quad(back, 0.10, 0.64, 0.46, 0.90), REAR_GLASS),
        (quad(back, 0.54, 0.64, 0.90, 0.90), REAR_GLASS),
        (quad(back, 0.485, 0.06, 0.515, 0.95), UNDERBODY),
        *lights(back, 0.34, 0.16, 0.42, TAIL),
        (quad(back, 0.0, 0.0, 1.0, 0.06), UNDERBODY),
    )
    screen = detailed(screen, (quad(pane, 0.07, 0.08, 0.93, 0.92), WINDSCREEN))
    nose = detailed(
        nose,
        *lights(front, 0.32, 0.46, 0.98, LAMP),
        (quad(front, 0.0, 0.0, 1.0, 0.2), UNDERBODY),
    )
    door = np.array([(0.86 * height, 0.06), (0.86 * height, 0.22), (0.56 * height, 0.36), (0.56 * height, 0.06)])
    door[:, 1] *= length
    sides = [
        detailed(face, (np.insert(door, 0, x, axis=1), SIDE_GLASS), *wheels(x, (-0.30 * length, 0.31 * length), r))
        for face, x in ((left, -half), (right, half))
    ]
    return [Part((rear, roof, screen, bonnet, nose, *sides))]


def truck(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A box truck: a separate cab, a taller windowless box with ribs on a dark frame."""
    r, half = 0.16 * height, 0.46 * width
    cab_length, floor = 0.26 * length, 0.30 * height
    cab_rear, load_front = length / 2 - cab_length, length / 2 - 1.15 * cab_length
    rear, top, front, left, right = box((-half, half), (0.14 * height, 0.80 * height), (cab_rear, length / 2), paint)
    front = detailed(
        front,
        (quad(front.corners, 0.06, 0.50, 0.94, 0.93), WINDSCREEN),
        *lights(front.corners, 0.32, 0.12, 0.40, LAMP),
        (quad(front.corners, 0.0, 0.0, 1.0, 0.09), UNDERBODY),
    )
    axle = length / 2 - 0.55 * cab_length
    left = detailed(left, (quad(left.corners, 0.1, 0.5, 0.62, 0.92), SIDE_GLASS), *wheels(-half, (axle,), r))
    right = detailed(right, (quad(right.corners, 0.38, 0.5, 0.9, 0.92), SIDE_GLASS), *wheels(half, (axle,), r))
    load = box((-width / 2, width / 2), (floor, height), (-length / 2, load_front), paint)
    dark, back = darker(paint, 0.72), load[0].corners
    load[0] = detailed(
        load[0],
        (quad(back, 0.485, 0.0, 0.515, 1.0), UNDERBODY),
        (quad(back, 0.0, 0.94, 1.0, 1.0), dark),
        (quad(back, 0.0, 0.0, 1.0, 0.05), dark),
    )
    for k in (3, 4):
        ribs = [(quad(load[k].corners, u, 0.0, u + 0.02, 1.0), dark) for u in (0.18, 0.38, 0.58, 0.78)]
        load[k] = detailed(load[k], *ribs)
    frame = box((-half, half), (0.10 * height, floor), (-length / 2, load_front), UNDERBODY)
    frame[0] = detailed(frame[0], *lights(frame[0].corners, 0.34, 0.15, 1.0, TAIL))
    frame[3] = detailed(frame[3], *wheels(-half, (-0.28 * length,), r))
    frame[4] = detailed(frame[4], *wheels(half, (-0.28 * length,), r))
    return [Part((rear, top, front, left, right)), Part(tuple(frame)), Part(tuple(load), 1)]


def bus(length: float, width: float, height: float, paint: Colour) -> list[Part]:
    """A bus: one long box with a band of windows all around and a pale stripe below it."""
    r, half = 0.15 * height, width / 2
    rear, top, front, left, right = box((-half, half), (0.11 * height, height), (-length / 2, length / 2), paint)
    rear = detailed(
        rear,
        (quad(rear.corners, 0.10, 0.54, 0.90, 0.90), REAR_GLASS),
        *lights(rear.corners, 0.34, 0.10, 0.36, TAIL),
    )
    front = detailed(
        front,
        (quad(front.corners, 0.04, 0.36, 0.96, 0.84), WINDSCREEN),
        (quad(front.corners, 0.2, 0.87, 0.8, 0.98), _ROUTE_SIGN),
        *lights(front.corners, 0.32, 0.06, 0.30, LAMP),
    )
    sides = []
    for face, x in ((left, -half), (right, half)):
        panes = [(quad(face.corners, u, 0.48, u + 0.135, 0.85), SIDE_GLASS) for u in 0.03 + 0.158 * np.arange(6)]
        stripe = (quad(face.corners, 0.0, 0.37, 1.0, 0.43), _STRIPE)
        sides.append(detailed(face, stripe, *panes, *wheels(x, (-0.28 * length, 0.30 * length), r)))
    return [Part((rear, top, front, *sides))]


def _from_below(face: Face) -> np.ndarray:
    """(4, 3) corners of a falling face of :func:`prism`, turned so that the first edge is the lower one."""
    return face.corners[::-1]


def _framed(face: Face, frame: Colour, border: float) -> Face:
    """A pane of the face's colour within a frame."""
    return Face(face.corners, frame, ((quad(face.corners, border, border, 1 - border, 1 - border), face.colour),))


def _side_glass(face: Face, share: float, panes: int) -> Face:
    """Panes in a side of the cabin: the side shrunk around its middle and divided upright."""
    middle = face.corners.mean(0)
    inner = middle + (face.corners - middle) * share
    details = [(inner, SIDE_GLASS)]
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
