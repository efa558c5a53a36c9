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
