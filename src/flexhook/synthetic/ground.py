"""The ground seen by the camera: asphalt, lane marks, pavements, blurred by the ego vehicle's own motion."""

from __future__ import annotations

import cv2
import numpy as np

from flexhook.synthetic.camera import Camera
from flexhook.synthetic.streets import HALF_CLEAR, HALF_STREET, LANES, PERIOD, to_street

#: Pixels per metre of the map of the ground.
_FINE = 10
#: Share of the time between two frames during which the shutter is open, and the pictures averaged over it.
_EXPOSURE, _SAMPLES = 0.45, 5


class Ground:
    """The ground of one video: a map of one street crossing that repeats in both directions.

    Args:
        rng: Draws the texture and the shades.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        fine = ground_map(rng)
        self.levels = [fine]
        while len(self.levels) < 6:
            last = self.levels[-1]
            self.levels.append(
                cv2.resize(last, (last.shape[1] // 2, last.shape[0] // 2), interpolation=cv2.INTER_AREA)
                if last.shape[0] % 2 == 0
                else cv2.blur(last, (3, 3))
            )

    def draw(self, image: np.ndarray, camera: Camera, before: np.ndarray, now: np.ndarray, haze: np.ndarray) -> None:
        """Fill everything below the horizon.

        Args:
            image: (h, w, 3) uint8 to draw into.
            camera: The camera on this raster.
            before: (3,) pose of the camera one frame earlier; the difference to ``now`` blurs.
            now: (3,) pose of the camera.
            haze: (3,) colour of the far distance.
        """
        height, width = image.shape[:2]
        first = int(np.ceil(camera.centre[1] + 1.0))
        rows = np.arange(first, height)
        depth = camera.height * camera.focal / (rows + 0.5 - camera.centre[1])
        right = (np.arange(width) + 0.5 - camera.centre[0])[None] / camera.focal * depth[:, None]
        footprint = depth**2 / (camera.height * camera.focal) * _FINE
        level = np.clip(np.round(np.log2(np.maximum(footprint, 1)) * 0.75), 0, len(self.levels) - 1).astype(int)
        moved = np.abs(now - before).max() > 1e-6
        total = np.zeros((height - first, width, 3), np.float32)
        shares = np.linspace(0, _EXPOSURE, _SAMPLES) if moved else np.zeros(1)
        for share in shares:
            x, z, yaw = now + (before - now) * share
            sin, cos = np.float32(np.sin(yaw)), np.float32(np.cos(yaw))
            east = (np.float32(x % PERIOD) + right * cos + depth[:, None] * sin).astype(np.float32)
            north = (np.float32(z % PERIOD) - right * sin + depth[:, None] * cos).astype(np.float32)
            east -= np.floor(east / np.float32(PERIOD)) * np.float32(PERIOD)
            north -= np.floor(north / np.float32(PERIOD)) * np.float32(PERIOD)
            for k in np.unique(level):
                here = np.flatnonzero(level == k)
                a, b = here[0], here[-1] + 1
                texture = self.levels[k]
                per_metre = np.float32(texture.shape[0] / PERIOD)
                total[a:b] += cv2.remap(
                    texture,
                    east[a:b] * per_metre - 0.5,
                    north[a:b] * per_metre - 0.5,
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REFLECT,
                )
        total /= len(shares)
        fade = np.clip((depth - 35) / 120, 0, 1)[:, None, None]
        image[first:] = total * (1 - fade) + haze * fade
        image[max(first - 2, 0) : first] = haze


def ground_map(rng: np.random.Generator) -> np.ndarray:
    """(n, n, 3) uint8 map of one period, first index north, second east, both from the crossing's middle."""
    n = int(PERIOD * _FINE)
    centre = (np.arange(n) + 0.5) / _FINE
    offset = to_street(centre)
    north, east = offset[:, None], offset[None, :]
    street_n, street_e = np.abs(east) < HALF_STREET, np.abs(north) < HALF_STREET
    street = street_n | street_e
    asphalt, pavement = rng.uniform(92, 112), rng.uniform(150, 172)
    value = np.where(street, asphalt, pavement) + np.zeros((n, n))
    grain, patches = _periodic_noise(n, 1.2, rng) * 16, _periodic_noise(n, 14.0, rng) * 130
    value += np.where(street, grain + patches, grain * 0.5)
    flags = ((centre % 1.2) < 0.1)[:, None] | ((centre % 1.2) < 0.1)[None, :]
    value[~street & flags] -= 24
    clear = 1.2
    crossing = (np.abs(north) < HALF_CLEAR - clear) & (np.abs(east) < HALF_CLEAR - clear)
    kerb = (np.abs(np.abs(east) - HALF_STREET) < 0.15) & (np.abs(north) > HALF_STREET)
    kerb |= (np.abs(np.abs(north) - HALF_STREET) < 0.15) & (np.abs(east) > HALF_STREET)
    value[kerb] = 190
    dashes = (centre % 6.0) < 2.6
    for mark in (LANES[1:] + LANES[:-1]) / 2:
        value[(np.abs(east - mark) < 0.09) & dashes[:, None] & ~crossing & street_n] = 215
        value[(np.abs(north - mark) < 0.09) & dashes[None, :] & ~crossing & street_e] = 215
    zebra = (centre % 1.2) < 0.6
    band_n, band_e = (np.abs(north) > 9.6) & (np.abs(north) < 12.0), (np.abs(east) > 9.6) & (np.abs(east) < 12.0)
    value[band_n & street_n & zebra[None, :]] = 205
    value[band_e & street_e & zebra[:, None]] = 205
    ground = np.repeat(value[..., None], 3, axis=2) * np.array([1.0, 0.99, 0.97])
    blocks = (np.abs(north) > HALF_CLEAR) & (np.abs(east) > HALF_CLEAR)
    ground[blocks] = (120, 116, 110)
    return ground.clip(0, 255).astype(np.uint8)


def _periodic_noise(n: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """(n, n) smoothed white noise whose opposite edges fit together."""
    margin = int(4 * sigma) + 1
    white = np.pad(rng.standard_normal((n, n)), margin, mode="wrap")
    return cv2.GaussianBlur(white, (0, 0), sigma)[margin:-margin, margin:-margin]
