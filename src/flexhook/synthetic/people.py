"""The shapes of people on foot and on bicycles; hair and face show which way they face."""

from __future__ import annotations

import numpy as np

from flexhook.synthetic.solid_parts import TYRE, Colour, Face, Part, box, darker, detailed, disc, quad

_SKIN, _HAIR, _TROUSERS = (224, 178, 145), (62, 42, 28), (74, 68, 66)
_SPOKES, _BICYCLE = (128, 128, 130), (150, 30, 35)


def head(y: float, z: float, radius: float) -> Part:
    """A head whose face looks forward."""
    rear, top, front, left, right = box((-radius, radius), (y, y + 2.1 * radius), (z - radius, z + radius), _HAIR)
    front = detailed(front, (quad(front.corners, 0.0, 0.0, 1.0, 0.72), _SKIN))
    left = detailed(left, (quad(left.corners, 0.0, 0.0, 0.55, 0.72), _SKIN))
    right = detailed(right, (quad(right.corners, 0.45, 0.0, 1.0, 0.72), _SKIN))
    return Part((rear, top, front, left, right), 2)


def limb(x: float, top: tuple[float, float], bottom: tuple[float, float], thickness: float, colour: Colour, layer: int) -> Part:
    """A limb at right = x from ``top`` (up, forward) to ``bottom``."""
    half = thickness / 2
    (y2, z2), (y1, z1) = top, bottom
    lower = np.array(
        [[x - half, y1, z1 - half], [x + half, y1, z1 - half], [x + half, y1, z1 + half], [x - half, y1, z1 + half]]
    )
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
        limb(-0.09 * width / 0.5, (hip, 0), (0, swing), 0.17, _TROUSERS, 0),
        limb(0.09 * width / 0.5, (hip, 0), (0, -swing), 0.17, _TROUSERS, 0),
    ]
    torso = box((-0.40 * width, 0.40 * width), (0.36 * height, shoulder), (-0.30 * width, 0.30 * width), coat)
    dark = darker(coat, 0.8)
    arms = [
        limb(side * 0.47 * width, (0.82 * height, 0), (0.46 * height, -side * swing * 0.8), 0.11, dark, 1) for side in (-1, 1)
    ]
    return [*parts, *arms, Part(tuple(torso), 1), head(shoulder + 0.01, 0.02, r)]


def cyclist(length: float, width: float, height: float, coat: Colour, stride: float) -> list[Part]:
    """A person on a bicycle, leaning forward; ``stride`` turns the pedals."""
    r = 0.20 * length
    axle = length / 2 - r
    thin = np.array([0.02, 0.0, 0.0])
    parts = []
    for z in (-axle, axle):
        rim, hole = disc(0, r, z, r), disc(0, r, z, r * 0.66)
        parts.append(
            Part(
                (
                    Face(rim - thin, TYRE, ((hole - thin, _SPOKES),)),
                    Face(rim + thin, TYRE, ((hole + thin, _SPOKES),)),
                    *box((-0.03, 0.03), (0.06, 2 * r - 0.04), (z - 0.3 * r, z + 0.3 * r), TYRE),
                )
            )
        )
    saddle, shoulder = 0.52 * height, 0.80 * height
    parts.append(limb(0.0, (saddle, -0.12 * length), (r, -0.45 * axle), 0.09, _BICYCLE, 0))
    parts.append(limb(0.0, (0.56 * height, 0.24 * length), (r, axle), 0.09, _BICYCLE, 0))
    lift = 0.10 * height * stride
    for side in (-1, 1):
        parts.append(
            limb(side * 0.12, (saddle, -0.10 * length), (0.16 * height + side * lift, 0.06 * length), 0.16, _TROUSERS, 1)
        )
    torso = box((-0.38 * width, 0.38 * width), (saddle - 0.04, shoulder), (-0.16 * width, 0.34 * width), coat)
    lean = 0.16 * length
    torso = [
        Face(f.corners + (f.corners[:, 1:2] > saddle) * np.array([0, 0, lean]) - (0, 0, 0.10 * length), f.colour) for f in torso
    ]
    dark = darker(coat, 0.8)
    arms = [
        limb(s * 0.42 * width, (0.78 * height, 0.10 * length), (0.58 * height, 0.26 * length), 0.1, dark, 1) for s in (-1, 1)
    ]
    return [*parts, *arms, Part(tuple(torso), 1), head(shoulder + 0.02, 0.14 * length, 0.075 * height)]
