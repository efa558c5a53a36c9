"""Pictures of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from flexhook.synthetic.camera import Camera, place
from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.ground import Ground
from flexhook.synthetic.mesh import Batch
from flexhook.synthetic.order import Solid, drawing_order, parts_at
from flexhook.synthetic.scene import Scene
from flexhook.synthetic.scenery import Scenery
from flexhook.synthetic.thing import HISTORY

#: Pictures are drawn this many times as large and then reduced.
_OVER = 2
#: Standard deviation of the noise of the camera, and how many different fields of it a video has.
_NOISE, _NOISE_FIELDS = 2.0, 7
_SHADOW = np.array([52.0, 52.0, 54.0])
_SHADOW_SHAPE = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]])


def picture_names(frames: int) -> list[str]:
    """Names of a video's picture files."""
    return [f"{frame:06d}.jpg" for frame in range(frames)]


def write_pictures(scene: Scene, config: WorldConfig, folder: Path, orders: Sequence[list[Solid]] | None = None) -> None:
    """Draw every frame of a scene into a new folder.

    Args:
        scene: The scene.
        config: The world.
        folder: The folder; it must not exist.
        orders: See :class:`Painter`.
    """
    folder.mkdir(parents=True)
    painter = Painter(scene, config, orders)
    for frame, name in enumerate(picture_names(scene.frames)):
        picture = cv2.cvtColor(painter.draw(frame), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality])
        if not done:
            raise RuntimeError("OpenCV did not encode a picture as JPEG")
        (folder / name).write_bytes(data.tobytes())


class Painter:
    """Draws the frames of one scene.

    Args:
        scene: The scene.
        config: The world; its image size is that of the pictures.
        orders: The scene's drawing order at every frame, where it is known.
    """

    def __init__(self, scene: Scene, config: WorldConfig, orders: Sequence[list[Solid]] | None = None) -> None:
        rng = np.random.default_rng([config.seed, scene.index, 2])
        self.scene, self.size, self.orders = scene, config.image_size, orders
        self.ground = Ground(rng)
        zenith, horizon = rng.uniform(150, 200), rng.uniform(205, 232)
        self.haze = np.clip(horizon * np.array([0.97, 1.0, 1.03]), 0, 255)
        sun = rng.uniform(0, 2 * np.pi)
        self.sun = np.array([np.sin(sun), 0.0, np.cos(sun)])
        self.scenery = Scenery([config.seed, scene.index, 3], Batch(self.sun))
        height, width = self.size
        shrink = width / config.size[1]
        centre = (scene.camera.centre[0] * shrink, scene.camera.centre[1] * shrink)
        self.camera = Camera(self.size, scene.camera.focal * shrink, centre, scene.camera.height)
        self.fine = self.camera.scaled(_OVER)
        fall = np.clip((np.arange(height) + 0.5) / centre[1], 0, 1)[:, None]
        self.sky = (zenith * np.array([0.86, 0.97, 1.12]) * (1 - fall) + self.haze * fall)[:, None]
        self.noise = rng.normal(0, _NOISE, (_NOISE_FIELDS, height, width, 1)).astype(np.float32)
        self.gain = np.float32(rng.uniform(0.94, 1.06))

    def draw(self, frame: int) -> np.ndarray:
        """Frame ``frame`` as (h, w, 3) uint8 RGB."""
        height, width = self.size
        ego = self.scene.ego[HISTORY + frame]
        scene = np.empty((height, width, 3), np.uint8)
        scene[:] = self.sky
        self.ground.draw(scene, self.camera, self.scene.ego[HISTORY + frame - 1], ego, self.haze)
        canvas = cv2.resize(scene, (width * _OVER, height * _OVER), interpolation=cv2.INTER_NEAREST)
        self._polygons(frame).fill(canvas, self.fine, ego)
        image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        # Neighbouring frames have different noise, and none of it comes back in the same rhythm.
        noise = np.roll(self.noise[frame % _NOISE_FIELDS], frame * 31, axis=1)
        return (image * self.gain + noise).clip(0, 255).astype(np.uint8)

    def _polygons(self, frame: int) -> Batch:
        ego = self.scene.ego[HISTORY + frame]
        eye = np.array([ego[0], self.camera.height, ego[1]])
        batch = Batch(self.sun)
        for solid in drawing_order(self.scene, frame) if self.orders is None else self.orders[frame]:
            if solid.block is not None:
                self.scenery.add_block(batch, solid.block, ego)
            elif solid.tree is not None:
                self.scenery.add_tree(batch, solid.tree, ego)
            else:
                thing = self.scene.things[solid.thing]
                pose = thing.poses[HISTORY + frame]
                length, width, _ = thing.size
                batch.add(place(_SHADOW_SHAPE * (0.54 * width, 0, 0.52 * length), pose), _SHADOW)
                batch.add_object(parts_at(thing, frame), pose, eye)
        return batch
