"""A simulated scene: where the ego vehicle and every object are at every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexhook.synthetic.camera import Camera
from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.crowd import Crowd
from flexhook.synthetic.paths import Path, steady, with_stop
from flexhook.synthetic.thing import HISTORY, Thing

#: How the ego vehicle drives, in turn over the videos of a split.
EGO_MODES = ("driving", "standing", "turning", "stop_and_go")


@dataclass(frozen=True, eq=False)
class Scene:
    """All that happens in one video.

    Attributes:
        name: The video's name.
        index: Its number within the dataset; seeds what is drawn.
        camera: The camera, in pixels of the nominal frame.
        frames: Number of frames.
        frame_rate: Frames per second.
        ego: (HISTORY + frames, 3) poses of the camera.
        things: The objects; an object's identity is its index.
    """

    name: str
    index: int
    camera: Camera
    frames: int
    frame_rate: float
    ego: np.ndarray
    things: tuple[Thing, ...]


def simulate(name: str, index: int, mode: str, config: WorldConfig) -> Scene:
    """Simulate one video.

    Args:
        name: Its name.
        index: Its number, a part of the seed.
        mode: One of :data:`EGO_MODES`.
        config: The world.
    """
    rng = np.random.default_rng([config.seed, index, 1])
    height, width = config.size
    centre = width / 2 + rng.uniform(-8, 8), height * rng.uniform(0.43, 0.48)
    camera = Camera(config.size, 0.58 * width, centre, rng.uniform(1.55, 1.95))
    time = np.arange(-HISTORY, config.frames) / config.frame_rate
    ego = _ego_poses(mode, time, rng)
    things = Crowd(camera, time, ego, config, rng).fill()
    return Scene(name, index, camera, config.frames, config.frame_rate, ego, tuple(things))


def _ego_poses(mode: str, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) poses of the ego vehicle, which keeps to the middle of the street."""
    speed, middle = rng.uniform(1.2, 2.2), time[-1] / 2
    if mode == "turning":
        radius, sign = 13.0, rng.choice([-1, 1])
        quarter = radius * np.pi / 2
        path = Path((0.0, -radius, 0.0), 0.0, quarter, sign / radius)
        return path.poses(steady(time, middle, speed) + quarter * rng.uniform(0.3, 0.7))
    path = Path((0.0, rng.uniform(-27, -15), 0.0))
    if mode == "standing":
        return path.poses(np.zeros_like(time))
    if mode == "stop_and_go":
        stand = 0.3 * time[-1]
        return path.poses(with_stop(time, middle - stand / 2, speed, middle + stand / 2, 2.5))
    return path.poses(steady(time, middle * rng.uniform(0.3, 0.6), speed))
