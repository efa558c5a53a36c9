"""Paths on the ground and how objects travel along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Path:
    """A straight line, an arc and a straight line, without corners; the arc may be empty.

    Arc length 0 is the anchor, which lies ``before`` metres past the beginning of the arc (on a straight path:
    anywhere).

    Attributes:
        anchor: (x, z, yaw) at arc length 0.
        before: Metres of the arc that lie before the anchor.
        after: Metres of the arc that lie after the anchor.
        curvature: Of the arc, in radians per metre, positive to the right; 0 makes the whole path straight.
    """

    anchor: tuple[float, float, float]
    before: float = 0.0
    after: float = 0.0
    curvature: float = 0.0

    def poses(self, length: np.ndarray) -> np.ndarray:
        """(n,) arc lengths to (n, 3) poses (x, z, yaw)."""
        x, z, yaw = self.anchor
        inside = np.clip(length, -self.before, self.after)
        beyond = length - inside
        turned = yaw + self.curvature * inside
        if self.curvature:
            x_arc = x + (np.cos(yaw) - np.cos(turned)) / self.curvature
            z_arc = z + (np.sin(turned) - np.sin(yaw)) / self.curvature
        else:
            x_arc, z_arc = x + np.sin(yaw) * inside, z + np.cos(yaw) * inside
        return np.stack([x_arc + np.sin(turned) * beyond, z_arc + np.cos(turned) * beyond, turned], axis=-1)


def steady(time: np.ndarray, at: float, speed: float) -> np.ndarray:
    """Arc length at each time (n,) of an object that passes arc length 0 at time ``at`` with constant ``speed``."""
    return (time - at) * speed


def with_stop(time: np.ndarray, at: float, speed: float, until: float, acceleration: float) -> np.ndarray:
    """Arc length at each time (n,) of an object that brakes, stands at 0 from ``at`` to ``until`` and drives on."""
    ramp = speed / acceleration

    def from_rest(t: np.ndarray) -> np.ndarray:
        t = np.maximum(t, 0)
        return np.where(t < ramp, 0.5 * acceleration * t**2, speed * (t - 0.5 * ramp))

    return from_rest(time - until) - from_rest(at - time)


#: Seconds for which an object that stops and goes stands still, and for which it drives, its starting and braking included.
_STANDS, _DRIVES = (4.5, 7.0), (3.4, 5.2)
_FINE = 0.05


def stop_and_go(
    time: np.ndarray, now: float, speed: float, moves: bool, acceleration: float, rng: np.random.Generator
) -> np.ndarray:
    """Arc length at each time (n,) of an object that stands and drives in turn; ``now`` it is at 0, driving if it ``moves``."""

    def phase(drives: bool) -> float:
        return float(rng.uniform(*(_DRIVES if drives else _STANDS)))

    length = phase(moves)
    first = last = now - rng.uniform(0.3, 0.9) * length
    last += length
    switches, earlier, later = [first, last], moves, moves
    while first > time[0]:
        earlier = not earlier
        first -= phase(earlier)
        switches.insert(0, first)
    while last < time[-1]:
        later = not later
        last += phase(later)
        switches.append(last)
    fine = np.arange(switches[0], switches[-1] + _FINE, _FINE)
    drives = (np.searchsorted(switches, fine, side="right") - 1) % 2 == (0 if earlier else 1)
    ramp = max(round(speed / acceleration / _FINE), 1)
    velocity = np.convolve(np.pad(drives * speed, (ramp - 1, 0)), np.full(ramp, 1 / ramp), "valid")
    travelled = np.cumsum(velocity) * _FINE
    return np.interp(time, fine, travelled) - np.interp(now, fine, travelled)
