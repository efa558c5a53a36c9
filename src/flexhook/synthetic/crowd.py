"""Fills a scene with objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexhook.synthetic.camera import Camera
from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.kinds import COLOURS, KINDS, Kind
from flexhook.synthetic.paths import Path, steady, stop_and_go
from flexhook.synthetic.streets import in_block, sees_past_blocks
from flexhook.synthetic.thing import Thing
from flexhook.synthetic.traffic import stretch_on_foot, way_of

_MOST_IN_A_FRAME, _ATTEMPTS, _FEWEST_FRAMES = 10, 15000, 7
#: Objects in view for more frames than this are rather not taken: many short tracks teach more than a few long ones.
_LONG = 20
#: No object fills more than this share of the frame's width for more than so many frames.
_WIDE, _WIDE_FRAMES = 0.30, 10
#: Something counts as hidden while one nearer object covers this share of it.
_HIDDEN = 0.6
#: Acceleration of objects that stop and go, metres per second squared.
_BRAKES = 8.0
#: Of the objects that move, or stand, at the moment of their drawing, this share always does. The others stop and go, so that
#: looks do not tell whether an object moves: who remembers the objects of the training videos does not know it either.
_ALWAYS_MOVES, _ALWAYS_STANDS = 0.15, 0.2
#: Metres from the camera beyond which objects may meet unseen.
_NEARBY = 48.0
#: (length, width, height) kept clear for the ego vehicle.
_EGO_SIZE = (4.6, 2.6, 1.5)


@dataclass(frozen=True, eq=False)
class _Sight:
    """Roughly what the camera sees of an object.

    Attributes:
        in_view: (n,) whether it is in the frame, large enough and not behind houses.
        box: (n, 4) pixels.
        depth: (n,) metres.
    """

    in_view: np.ndarray
    box: np.ndarray
    depth: np.ndarray


class Crowd:
    """Draws candidates that are in view at some moment and keeps those that fit in.

    The pose at that moment is drawn first, in the same way for moving and for standing objects; only then is it decided
    whether the object moves. So a single frame does not tell.

    Args:
        camera: The camera.
        time: (n,) seconds.
        ego: (n, 3) poses of the camera.
        config: The world.
        rng: Source of chance.
    """

    def __init__(
        self, camera: Camera, time: np.ndarray, ego: np.ndarray, config: WorldConfig, rng: np.random.Generator
    ) -> None:
        self.camera, self.time, self.ego, self.config, self.rng = camera, time, ego, config, rng
        self.things: list[Thing] = []
        self.sights: list[_Sight] = []
        self.hidden = np.zeros((0, len(time)), bool)
        self.in_view = np.zeros(len(time), int)
        self.wanted = config.objects_per_frame * len(time)
        self.frames_of_kind = dict.fromkeys(KINDS, 0)
        self.frames_of_colour = dict.fromkeys(COLOURS, 0)
        self.frames_moving = dict.fromkeys(KINDS, 0)
        self.rooms = [(*_discs(ego, _EGO_SIZE), np.ones(len(time), bool))]

    def fill(self) -> list[Thing]:
        """The objects; they are added until the mean number in view is reached, or nothing more fits."""
        for _ in range(_ATTEMPTS):
            if self.in_view.sum() >= self.wanted:
                break
            self._try_one()
        return self.things

    def _try_one(self) -> None:
        rng = self.rng
        kind = self._scarce(self.frames_of_kind, {name: k.share for name, k in KINDS.items()})
        k = KINDS[kind]
        size = float(rng.uniform(*k.length)), float(rng.uniform(*k.width)), float(rng.uniform(*k.height))
        emptiest = np.flatnonzero(self.in_view <= np.sort(self.in_view)[len(self.in_view) // 3])
        at = int(rng.choice(emptiest))
        path = way_of(k, self.ego[at], rng)
        if path is None:
            return
        travelled = self._travel(k, path, self.frames_moving[kind] / max(self.frames_of_kind[kind], 1), self.time[at])
        if k.on_foot:
            free = np.clip(travelled, *stretch_on_foot(path))
            if (free != travelled)[self._sight(path.poses(free), size).in_view].any():
                return
            travelled = free
        poses = path.poses(travelled)
        sight = self._sight(poses, size)
        frames = int(sight.in_view.sum())
        if frames < min(_FEWEST_FRAMES, len(self.time) // 2) or rng.random() > (_LONG / max(frames, _LONG)) ** 1.5:
            return
        wide = sight.box[:, 2] - sight.box[:, 0] > _WIDE * self.camera.size[1]
        if (wide & (sight.depth > 0)).sum() > _WIDE_FRAMES:
            return
        hidden = self._hidden_with(sight)
        in_view = (np.stack([*(s.in_view for s in self.sights), sight.in_view]) & ~hidden).sum(0)
        gained = in_view.sum() - self.in_view.sum()
        if in_view.max() > _MOST_IN_A_FRAME or gained < 0.6 * frames or not self._take_room(poses, size):
            return
        colour = self._scarce(self.frames_of_colour, dict.fromkeys(COLOURS, 1 / len(COLOURS)))
        steps = np.abs(np.diff(travelled, prepend=travelled[0]))
        stride = np.sin(rng.uniform(0, 2 * np.pi) + np.cumsum(steps) * (4.5 if k.on_foot else 2.0))
        self.things.append(Thing(kind, colour, size, poses, stride))
        self.sights.append(sight)
        self.hidden, self.in_view = hidden, in_view
        self.frames_of_kind[kind] += frames
        self.frames_of_colour[colour] += frames
        self.frames_moving[kind] += int((steps > 0.1)[sight.in_view].sum())

    def _travel(self, kind: Kind, path: Path, moving: float, now: float) -> np.ndarray:
        """(n,) arc length over time of an object that is at 0 ``now``; ``moving`` is the share of its kind that moves."""
        rng, time = self.rng, self.time
        speed = float(rng.uniform(*kind.speed)) * (0.6 if path.curvature else 1.0)
        moves = bool(rng.random() < np.clip(0.5 + 2 * (0.5 - moving), 0.05, 0.95))
        if rng.random() < (_ALWAYS_MOVES if moves else _ALWAYS_STANDS):
            return steady(time, now, speed) if moves else np.zeros_like(time)
        return stop_and_go(time, now, speed, moves, _BRAKES, rng)

    def _scarce(self, frames: dict[str, int], shares: dict[str, float]) -> str:
        """A name drawn in proportion to the square of what is still missing of its share."""
        missing = np.cumsum([max(shares[k] - n / self.wanted, 0.02) ** 2 for k, n in frames.items()])
        return list(frames)[int(np.searchsorted(missing, self.rng.random() * missing[-1], side="right"))]

    def _sight(self, poses: np.ndarray, size: tuple[float, float, float]) -> _Sight:
        camera, (length, width, height) = self.camera, size
        offset = poses[:, :2] - self.ego[:, :2]
        sin, cos = np.sin(self.ego[:, 2]), np.cos(self.ego[:, 2])
        right, forward = offset[:, 0] * cos - offset[:, 1] * sin, offset[:, 0] * sin + offset[:, 1] * cos
        scale = camera.focal / np.maximum(forward, 0.5)
        aspect = poses[:, 2] - np.arctan2(offset[:, 0], offset[:, 1])
        half = (width * np.abs(np.cos(aspect)) + length * np.abs(np.sin(aspect))) / 2
        (x, y), inside = camera.centre, np.abs(right) * scale < 0.97 * camera.size[1] / 2
        box = np.stack(
            [
                x + (right - half) * scale,
                y + (camera.height - height) * scale,
                x + (right + half) * scale,
                y + camera.height * scale,
            ],
            axis=-1,
        )
        large = height * scale > self.config.min_height * 1.05
        seen = (forward > 1.0) & large & inside
        if seen.any():
            seen[seen] = sees_past_blocks(self.ego[seen, :2], poses[seen, :2])
        return _Sight(seen, box, forward)

    def _hidden_with(self, new: _Sight) -> np.ndarray:
        """(objects + 1, n) whether each object is hidden by one nearer, the new one included."""
        if not self.sights:
            return np.zeros((1, len(self.time)), bool)
        box, depth = np.stack([s.box for s in self.sights]), np.stack([s.depth for s in self.sights])
        overlap = np.prod(np.clip(np.minimum(box, new.box)[..., 2:] - np.maximum(box, new.box)[..., :2], 0, None), -1)
        nearer = depth > new.depth
        by_new = nearer & (new.depth > 1.0) & (overlap > _HIDDEN * _area(box))
        by_old = (~nearer & (depth > 1.0) & (overlap > _HIDDEN * _area(new.box))).any(0)
        return np.concatenate([self.hidden | by_new, by_old[None]])

    def _take_room(self, poses: np.ndarray, size: tuple[float, float, float]) -> bool:
        """Whether the object, while near, keeps clear of all others, of us and of the houses; if so, takes its room."""
        near = np.hypot(*(poses[:, :2] - self.ego[:, :2]).T) < _NEARBY
        centres, radius = _discs(poses, size)
        if in_block(centres[near][..., 0], centres[near][..., 1], margin=0.1).any():
            return False
        for others, other_radius, others_near in self.rooms:
            both = near & others_near
            gap = centres[both][:, :, None] - others[both][:, None]
            if (np.square(gap).sum(-1) < (radius + other_radius + 0.25) ** 2).any():
                return False
        self.rooms.append((centres, radius, near))
        return True


def _area(box: np.ndarray) -> np.ndarray:
    return np.prod(box[..., 2:] - box[..., :2], axis=-1)


def _discs(poses: np.ndarray, size: tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """Three discs along an object that cover it: centres (n, 3, 2) and their radius."""
    along = np.linspace(-1, 1, 3) * max(size[0] - size[1], 0) / 2
    heading = np.stack([np.sin(poses[:, 2]), np.cos(poses[:, 2])], -1)
    return poses[:, None, :2] + along[:, None] * heading[:, None], size[1] / 2 * 1.12
