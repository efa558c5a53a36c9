"""Pictures of a scene."""

from __future__ import annotations

import cv2
import numpy as np

from flexhook.datasets.synthetic.camera import Camera, place
from flexhook.datasets.synthetic.config import WorldConfig
from flexhook.datasets.synthetic.ground import Ground
from flexhook.datasets.synthetic.scene import HISTORY, Scene
from flexhook.datasets.synthetic.shapes import Colour, Face, Part
from flexhook.datasets.synthetic.visibility import TREE_CROWN, TREE_TRUNK, Solid, clipped, drawing_order, parts_at

#: Pictures are drawn this many times as large and then reduced.
_OVER = 2
_SHIFT = 4
_FACADES = ((176, 158, 138), (150, 140, 132), (190, 178, 160), (160, 150, 150), (182, 168, 156), (140, 136, 134))
_LEAVES, _BARK = (84, 104, 74), (88, 74, 62)


class Painter:
    """Draws the frames of one scene.

    Args:
        scene: The scene.
        config: The world; its image size is that of the pictures.
    """

    def __init__(self, scene: Scene, config: WorldConfig) -> None:
        rng = np.random.default_rng([config.seed, scene.index, 2])
        self.scene, self.seed = scene, config.seed
        self.size = config.image_size
        self.ground = Ground(rng)
        zenith, horizon = rng.uniform(150, 200), rng.uniform(205, 232)
        self.zenith = np.array([zenith * 0.86, zenith * 0.97, zenith * 1.12])
        self.haze = np.array([horizon * 0.97, horizon, horizon * 1.03]).clip(0, 255)
        sun = rng.uniform(0, 2 * np.pi)
        self.sun = np.array([np.sin(sun), 0.0, np.cos(sun)])
        self.gain = rng.uniform(0.94, 1.06)
        self.camera = Camera(
            self.size, scene.camera.focal * self.size[1] / config.size[1],
            (scene.camera.centre[0] * self.size[1] / config.size[1], scene.camera.centre[1] * self.size[0] / config.size[0]),
            scene.camera.height,
        )
        self.fine = self.camera.scaled(_OVER)

    def draw(self, frame: int) -> np.ndarray:
        """Frame ``frame`` as (h, w, 3) uint8 RGB."""
        height, width = self.size
        ego = self.scene.ego[HISTORY + frame]
        image = np.empty((height, width, 3), np.uint8)
        fall = np.clip((np.arange(height) + 0.5) / self.camera.centre[1], 0, 1)[:, None]
        image[:] = (self.zenith * (1 - fall) + self.haze * fall)[:, None]
        self.ground.draw(image, self.camera, self.scene.ego[HISTORY + frame - 1], ego, self.haze)
        canvas = cv2.resize(image, (width * _OVER, height * _OVER), interpolation=cv2.INTER_NEAREST)
        for solid in drawing_order(self.scene, frame):
            if solid.block is not None:
                self._houses(canvas, solid.block, ego)
            elif solid.tree is not None:
                self._tree(canvas, solid.tree, ego)
            else:
                self._thing(canvas, solid, frame, ego)
        image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng([self.seed, self.scene.index, 3, frame]).normal(0, 2.0, image.shape[:2])
        return (image * self.gain + noise[..., None]).clip(0, 255).astype(np.uint8)

    def _fill(self, canvas: np.ndarray, polygon: np.ndarray, ego: np.ndarray, colour: Colour | np.ndarray) -> None:
        pixel = clipped(polygon, self.fine, ego)
        if pixel is not None:
            points = np.round((np.clip(pixel, -8000, 8000) - 0.5) * 2**_SHIFT).astype(np.int32)
            cv2.fillConvexPoly(canvas, points, tuple(float(c) for c in colour), cv2.LINE_8, _SHIFT)

    def _light(self, normal: np.ndarray) -> float:
        """Brightness of a face with an outward unit normal in world coordinates."""
        return 0.86 + 0.10 * float(normal @ self.sun) + (0.14 if normal[1] > 0.5 else 0.0)

    def _thing(self, canvas: np.ndarray, solid: Solid, frame: int, ego: np.ndarray) -> None:
        thing = self.scene.things[solid.thing]
        pose = thing.poses[HISTORY + frame]
        length, width, _ = thing.size
        flat = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * (0.54 * width, 0, 0.52 * length)
        self._fill(canvas, place(flat, pose), ego, (52, 52, 54))
        eye = np.array([ego[0], self.camera.height, ego[1]])

        def key(part: Part) -> tuple[int, float]:
            middle = place(part.corners.mean(0), pose)
            return part.layer, -float(np.linalg.norm(middle - eye))

        for part in sorted(parts_at(thing, frame), key=key):
            middle = part.corners.mean(0)
            for face in part.faces:
                self._face(canvas, face, middle, pose, eye, ego)

    def _face(self, canvas: np.ndarray, face: Face, middle: np.ndarray, pose: np.ndarray, eye: np.ndarray, ego: np.ndarray) -> None:
        normal = np.cross(face.corners[1] - face.corners[0], face.corners[2] - face.corners[0])
        normal /= np.linalg.norm(normal)
        if normal @ (face.corners.mean(0) - middle) < 0:
            normal = -normal
        normal = place(normal, np.array([0.0, 0.0, pose[2]]))
        corners = place(face.corners, pose)
        if normal @ (eye - corners[0]) <= 0:
            return
        light = self._light(normal)
        self._fill(canvas, corners, ego, np.clip(np.array(face.colour) * light, 0, 255))
        for detail, colour in face.details:
            self._fill(canvas, place(detail, pose), ego, np.clip(np.array(colour) * light, 0, 255))

    def _tree(self, canvas: np.ndarray, tree: tuple[float, float], ego: np.ndarray) -> None:
        x, z = tree
        side = np.array([np.cos(ego[2]), -np.sin(ego[2])])

        def upright(across: float, up: float) -> list[float]:
            return [x + across * side[0], up, z + across * side[1]]

        trunk = np.array([upright(a, u) for a, u in ((-TREE_TRUNK, 0), (TREE_TRUNK, 0), (TREE_TRUNK, 3), (-TREE_TRUNK, 3))])
        self._fill(canvas, trunk, ego, _BARK)
        low, high, radius = TREE_CROWN
        shade = 0.85 + 0.3 * ((x * 0.37 + z * 0.73) % 1.0)
        for across, up, share, tone in ((0.0, 0.5, 1.0, 1.0), (-0.3, 0.62, 0.6, 1.12), (0.35, 0.4, 0.55, 0.9)):
            middle = low + (high - low) * up
            ring = [upright((across + share * np.cos(t)) * radius, middle + share * np.sin(t) * (high - low) / 2)
                    for t in np.linspace(0, 2 * np.pi, 10, endpoint=False)]
            self._fill(canvas, np.array(ring), ego, np.array(_LEAVES) * shade * tone)

    def _houses(self, canvas: np.ndarray, block: tuple[float, float, float, float], ego: np.ndarray) -> None:
        """The walls of a block that face the camera, in facades of different height and colour."""
        x1, z1, x2, z2 = block
        walls = (((x1, z1), (x2, z1), ego[1] < z1), ((x2, z1), (x2, z2), ego[0] > x2),
                 ((x2, z2), (x1, z2), ego[1] > z2), ((x1, z2), (x1, z1), ego[0] < x1))
        for number, (start, end, faces_us) in enumerate(walls):
            if not faces_us:
                continue
            rng = np.random.default_rng([self.seed, self.scene.index, 4, int(x1) % 1000003, int(z1) % 1000003, number])
            start, end = np.array(start), np.array(end)
            normal = np.array([end[1] - start[1], 0.0, start[0] - end[0]])
            light = self._light(normal / np.linalg.norm(normal))
            for k in range(4):
                colour = np.array(_FACADES[rng.integers(len(_FACADES))]) * light * 0.92
                height = rng.uniform(7, 15)
                self._facade(canvas, start + (end - start) * k / 4, start + (end - start) * (k + 1) / 4, height, colour, ego)

    def _facade(self, canvas: np.ndarray, a: np.ndarray, b: np.ndarray, height: float, colour: np.ndarray, ego: np.ndarray) -> None:
        def on_wall(s: float, y: float) -> list[float]:
            return [a[0] + (b[0] - a[0]) * s, y, a[1] + (b[1] - a[1]) * s]

        if np.hypot(*((a + b) / 2 - ego[:2])) > 90:
            colour = colour * 0.7 + self.haze * 0.3
        self._fill(canvas, np.array([on_wall(0, 0), on_wall(1, 0), on_wall(1, height), on_wall(0, height)]), ego, colour)
        near = np.hypot(*((a + b) / 2 - ego[:2])) < 45
        for floor in np.arange(0.9, min(height - 1.5, 9), 3.1):
            if near:
                for s in (0.1, 0.42, 0.74):
                    pane = np.array([on_wall(s, floor), on_wall(s + 0.17, floor), on_wall(s + 0.17, floor + 1.5), on_wall(s, floor + 1.5)])
                    self._fill(canvas, pane, ego, colour * 0.62)
            else:
                band = np.array([on_wall(0.08, floor), on_wall(0.92, floor), on_wall(0.92, floor + 1.5), on_wall(0.08, floor + 1.5)])
                self._fill(canvas, band, ego, colour * 0.8)
