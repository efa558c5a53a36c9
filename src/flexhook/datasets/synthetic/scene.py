"""A simulated scene: where the ego vehicle and every object are at every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexhook.datasets.synthetic.camera import Camera
from flexhook.datasets.synthetic.config import WorldConfig
from flexhook.datasets.synthetic.kinds import COLOURS, KINDS
from flexhook.datasets.synthetic.paths import Path, steady, with_stop
from flexhook.datasets.synthetic.streets import in_block, sees_past_blocks
from flexhook.datasets.synthetic.traffic import stretch_on_foot, way_of

#: Steps before the first frame that are simulated too, so that motion is known at frame 0.
HISTORY = 3
#: How the ego vehicle drives, in turn over the videos of a split.
EGO_MODES = ("driving", "standing", "turning", "stop_and_go")
_MOST_IN_A_FRAME = 10
_ATTEMPTS = 6000
#: Objects in view for more frames than this are rather not taken: many short tracks teach more than a few long ones.
_LONG = 24


@dataclass(frozen=True, eq=False)
class Thing:
    """An object of the world.

    Attributes:
        kind: A key of :data:`KINDS`.
        colour: A key of :data:`COLOURS`.
        size: (length, width, height) in metres.
        poses: (HISTORY + frames, 3) poses (x, z, yaw).
        stride: (HISTORY + frames,) swing of the legs in [-1, 1].
    """

    kind: str
    colour: str
    size: tuple[float, float, float]
    poses: np.ndarray
    stride: np.ndarray


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
    camera = Camera(
        config.size, 0.58 * width, (width / 2 + rng.uniform(-8, 8), height * rng.uniform(0.43, 0.48)), rng.uniform(1.55, 1.95)
    )
    time = np.arange(-HISTORY, config.frames) / config.frame_rate
    ego = _ego_poses(mode, time, rng)
    crowd = _Crowd(camera, time, ego, config, rng)
    crowd.fill()
    return Scene(name, index, camera, config.frames, config.frame_rate, ego, tuple(crowd.things))


def _ego_poses(mode: str, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) poses of the ego vehicle, which keeps to the middle of the street."""
    speed, middle = rng.uniform(2.2, 3.4), time[-1] / 2
    if mode == "turning":
        radius, sign = 11.0, rng.choice([-1, 1])
        quarter = radius * np.pi / 2
        path = Path((0.0, -radius, 0.0), 0.0, quarter, sign / radius)
        length = steady(time, middle, speed) + quarter * rng.uniform(0.3, 0.7)
    else:
        path = Path((0.0, rng.uniform(-27, -15), 0.0))
        if mode == "standing":
            length = np.zeros_like(time)
        elif mode == "stop_and_go":
            stand = 0.3 * time[-1]
            length = with_stop(time, middle - stand / 2, speed, middle + stand / 2, 2.5)
        else:
            length = steady(time, middle * rng.uniform(0.3, 0.6), speed)
    return path.poses(length)


class _Crowd:
    """Fills a scene with objects: draws candidates that are in view at some frame and keeps those that fit in.

    The pose at which a candidate is in view is drawn first, in the same way for moving and for standing objects; only then is
    it decided whether it moves. So no single frame tells.
    """

    def __init__(self, camera: Camera, time: np.ndarray, ego: np.ndarray, config: WorldConfig, rng: np.random.Generator) -> None:
        self.camera, self.time, self.ego, self.config, self.rng = camera, time, ego, config, rng
        self.things: list[Thing] = []
        self.in_view = np.zeros(len(time), int)
        self.wanted = config.objects_per_frame * len(time) * 1.06
        self.seen_kind = dict.fromkeys(KINDS, 0)
        self.seen_colour = dict.fromkeys(COLOURS, 0)
        self.balance = dict.fromkeys(KINDS, 0)
        self.long_parked = 0
        self.discs = [self._discs(ego, (4.6, 2.6, 1.5))]
        near = np.hypot(*(ego[:, :2] - ego[:, :2]).T) < 1
        self.nearby = [near]

    def fill(self) -> None:
        """Add objects until the mean number in view is reached, or nothing more fits."""
        for _ in range(_ATTEMPTS):
            if self.in_view.sum() >= self.wanted:
                break
            self._try_one()

    def _try_one(self) -> None:
        rng = self.rng
        kind = self._scarce(self.seen_kind, {name: k.share for name, k in KINDS.items()})
        colour = self._scarce(self.seen_colour, dict.fromkeys(COLOURS, 1 / len(COLOURS)))
        k = KINDS[kind]
        size = tuple(float(rng.uniform(*span)) for span in (k.length, k.width, k.height))
        fewest = np.flatnonzero(self.in_view <= np.sort(self.in_view)[len(self.in_view) // 3])
        at = int(rng.choice(fewest))
        path = way_of(k, self.ego[at], rng)
        if path is None:
            return
        speed = float(rng.uniform(*k.speed)) * (0.7 if path.curvature else 1.0)
        moves = rng.random() < np.clip(0.5 - self.balance[kind] / (0.5 * k.share * self.wanted), 0.08, 0.92)
        stops = rng.random() < 0.35 if moves else rng.random() < 0.6
        if stops:
            stand = rng.uniform(2.0, 4.5)
            lead = rng.uniform(0, 1)
            if moves:
                lead += rng.choice([-1, 1]) * rng.uniform(1.0, 1.6)
            length = with_stop(self.time, self.time[at] - lead * stand, speed, self.time[at] + (1 - lead) * stand, 4.0)
        elif moves:
            length = steady(self.time, self.time[at], speed)
        else:
            length = np.zeros_like(self.time)
        if kind == "pedestrian":
            free = np.clip(length, *stretch_on_foot(path))
            seen = self._views(path.poses(free), size)
            if (free != length)[seen].sum() > 0.1 * seen.sum():
                return
            length = free
        poses = path.poses(length)
        seen = self._views(poses, size)
        if seen[HISTORY:].sum() < min(7, len(self.time) // 2) or (self.in_view + seen).max() > _MOST_IN_A_FRAME:
            return
        if rng.random() > (_LONG / max(seen.sum(), _LONG)) ** 1.5:
            return
        long_parked = not moves and not stops and seen.mean() > 0.4
        if (long_parked and self.long_parked >= 1) or self._blocks_the_view(poses, size) or not self._has_room(poses, size):
            return
        self.long_parked += long_parked
        step = np.abs(np.diff(length, prepend=length[0]))
        stride = np.sin(rng.uniform(0, 2 * np.pi) + np.cumsum(step) * (4.5 if kind == "pedestrian" else 2.0))
        self.things.append(Thing(kind, colour, size, poses, stride))
        self.in_view += seen
        self.seen_kind[kind] += int(seen.sum())
        self.seen_colour[colour] += int(seen.sum())
        self.balance[kind] += int(np.where(step > 0.5 * speed / self.config.frame_rate, 1, -1)[seen].sum())

    def _scarce(self, seen: dict[str, int], shares: dict[str, float]) -> str:
        """A name drawn in proportion to what is still missing of its share."""
        missing = np.array([max(shares[name] * self.wanted - count, 0.01 * self.wanted) for name, count in seen.items()])
        return str(self.rng.choice(list(seen), p=missing / missing.sum()))

    def _views(self, poses: np.ndarray, size: tuple[float, float, float]) -> np.ndarray:
        """(n,) whether the object is in view, leaving other objects aside."""
        x, z = poses[:, 0] - self.ego[:, 0], poses[:, 1] - self.ego[:, 1]
        sin, cos = np.sin(self.ego[:, 2]), np.cos(self.ego[:, 2])
        right, forward = x * cos - z * sin, x * sin + z * cos
        ahead = np.maximum(forward, 0.5)
        tall = size[2] * self.camera.focal / ahead > self.config.min_height * 1.05
        inside = np.abs(right) * self.camera.focal / ahead < 0.97 * self.camera.size[1] / 2
        return (forward > 1.0) & tall & inside & sees_past_blocks(self.ego[:, :2], poses[:, :2])

    def _blocks_the_view(self, poses: np.ndarray, size: tuple[float, float, float]) -> bool:
        """Whether the object fills a large part of the frame for long, so that little else can be seen."""
        offset = poses[:, :2] - self.ego[:, :2]
        distance = np.maximum(np.hypot(*offset.T) - size[1] / 2, 0.5)
        bearing = np.arctan2(offset[:, 0], offset[:, 1])
        across = size[1] * np.abs(np.cos(poses[:, 2] - bearing)) + size[0] * np.abs(np.sin(poses[:, 2] - bearing))
        wide = across / distance * self.camera.focal > 0.25 * self.camera.size[1]
        aside = np.abs((bearing - self.ego[:, 2] + np.pi) % (2 * np.pi) - np.pi)
        return bool((wide & (aside < np.radians(50))).sum() > 0.1 * len(self.time))

    def _discs(self, poses: np.ndarray, size: tuple[float, float, float]) -> tuple[np.ndarray, float]:
        """Three discs along an object that cover it: centres (n, 3, 2) and their radius."""
        along = np.linspace(-1, 1, 3) * max(size[0] - size[1], 0) / 2
        heading = np.stack([np.sin(poses[:, 2]), np.cos(poses[:, 2])], -1)
        return poses[:, None, :2] + along[:, None] * heading[:, None], size[1] / 2 * 1.12

    def _has_room(self, poses: np.ndarray, size: tuple[float, float, float]) -> bool:
        """Whether the object keeps clear of all others, the ego vehicle and the houses while it is near."""
        near = np.hypot(*(poses[:, :2] - self.ego[:, :2]).T) < 48
        centres, radius = self._discs(poses, size)
        if in_block(centres[near][..., 0], centres[near][..., 1], margin=0.1).any():
            return False
        for (others, other_radius), others_near in zip(self.discs, self.nearby, strict=True):
            both = near & others_near
            if both.any():
                gap = centres[both][:, :, None] - others[both][:, None]
                if (np.square(gap).sum(-1) < (radius + other_radius + 0.25) ** 2).any():
                    return False
        self.discs.append((centres, radius))
        self.nearby.append(near)
        return True
