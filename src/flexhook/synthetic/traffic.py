"""Ways that objects of each kind may take through the streets, drawn at random in front of the camera."""

from __future__ import annotations

import numpy as np

from flexhook.synthetic.kinds import Kind
from flexhook.synthetic.paths import Path
from flexhook.synthetic.streets import HALF_STREET, LANES, in_block, to_street

#: Of the vehicles at a crossing, this share turns (or stands as if it were turning);
#: and this share of the other places is drawn again, so that there is much turning.
_TURNING, _RATHER_AT_CROSSINGS = 0.9, 0.75
#: Distance from the camera at which objects are placed, metres.
_DISTANCE = (5.5, 31.0)
_HALF_VIEW = np.radians(37)


def way_of(kind: Kind, ego: np.ndarray, rng: np.random.Generator) -> Path | None:
    """A path whose anchor is in view.

    Args:
        kind: The kind of the object.
        ego: (3,) pose of the camera.
        rng: Source of chance.

    Returns:
        The path; None where the place that was drawn is not one for this kind.
    """
    near, far = _DISTANCE
    distance, bearing = near + (far - near) * rng.random() ** 1.3, ego[2] + rng.uniform(-_HALF_VIEW, _HALF_VIEW)
    x, z = ego[0] + distance * np.sin(bearing), ego[1] + distance * np.cos(bearing)
    if kind.on_foot:
        return _on_foot(x, z, float(ego[2]), rng)
    return _on_wheels(kind, x, z, rng)


def _on_wheels(kind: Kind, x: float, z: float, rng: np.random.Generator) -> Path | None:
    dx, dz = to_street(x), to_street(z)
    on_north, on_east = abs(dx) < HALF_STREET, abs(dz) < HALF_STREET
    if not on_north and not on_east:
        return None
    if on_north and on_east and rng.random() < _TURNING:
        return _turn(kind, x, z, rng)
    if rng.random() < _RATHER_AT_CROSSINGS:
        return None
    around = rng.choice([0.0, np.pi])
    offset = rng.uniform(-0.8, 0.8)
    if on_north and (not on_east or rng.random() < 0.5):
        return Path((x - dx + _lane(dx) + offset, z, around))
    return Path((x, z - dz + _lane(dz) + offset, around + np.pi / 2))


def _lane(offset: float) -> float:
    return float(LANES[np.argmin(np.abs(LANES - offset))])


def _turn(kind: Kind, x: float, z: float, rng: np.random.Generator) -> Path | None:
    """A quarter or half turn at a crossing that keeps to the streets."""
    quarters, sign, around = rng.integers(4), int(rng.choice([-1, 1])), int(rng.choice([1, 2]))
    radius, done = rng.uniform(*kind.turn_radius) / around**0.5, rng.uniform(0.1, 0.9)
    angle = around * np.pi / 2
    heading = quarters * np.pi / 2 + sign * done * angle
    path = Path((x, z, heading), done * angle * radius, (1 - done) * angle * radius, sign / radius)
    (x1, z1, _), (x2, z2, _) = path.poses(np.array([-path.before, path.after]))
    enters = x1 if quarters % 2 == 0 else z1
    leaves = x2 if (quarters + around) % 2 == 0 else z2
    limit = HALF_STREET - 1.3
    return path if abs(to_street(enters)) < limit and abs(to_street(leaves)) < limit else None


def _on_foot(x: float, z: float, ego_yaw: float, rng: np.random.Generator) -> Path | None:
    """Mostly across the view, sometimes along the street."""
    if in_block(np.array(x), np.array(z), margin=0.6):
        return None
    heading = ego_yaw + rng.choice([-1, 1]) * np.pi / 2 if rng.random() < 0.7 else rng.choice([0.0, np.pi])
    return Path((x, z, heading + rng.normal(0, 0.2)))


def stretch_on_foot(path: Path) -> tuple[float, float]:
    """(least, greatest) arc length that a straight path reaches before it meets a house."""
    reach = np.arange(0, 40, 0.25)
    ends = []
    for way in (-1, 1):
        poses = path.poses(way * reach)
        hit = np.flatnonzero(in_block(poses[:, 0], poses[:, 1], margin=0.5))
        ends.append(way * float(reach[hit[0]] if len(hit) else reach[-1]))
    return ends[0], ends[1]
